"""A model on disk: what comes back is what was saved, and a folder that is no model says why."""

import errno
import json
import os
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import yaml
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from artifex.core import load_model, save_model, storage
from artifex.core.config import Config, config
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError, RunError, UnknownNameError
from artifex.core.plugins import ModelEntry


@config
class NetConfig(Config):
    width: int = 3
    dtype: str = "float32"


class Net(nnx.Module):
    """A linear layer, a batch norm with its running statistics, dropout with its own streams, and a counter."""

    def __init__(self, config: NetConfig, *, rngs: nnx.Rngs):
        self.config = config
        init = nnx.with_metadata(nnx.initializers.lecun_normal(), logical_axes=("embed", "mlp"))
        self.blocks = nnx.List([nnx.Linear(config.width, config.width, param_dtype=config.dtype, kernel_init=init, rngs=rngs)])
        self.norm = nnx.BatchNorm(config.width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.steps = nnx.Variable(jnp.zeros((), jnp.int32))

    def __call__(self, x):
        return self.norm(self.blocks[0](x))


@config
class OddConfig(Config):
    way: str = "plain"


class Odd(nnx.Module):
    """Constructors that do more than initialise, each in its way."""

    constructed: ClassVar[list[bool]] = []
    """Whether each construction was a trace."""

    def __init__(self, config: OddConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.layer = nnx.Linear(2, 2, rngs=rngs)
        self.layer.kernel[...] = self.layer.kernel[...].at[:, 1:].multiply(0.01)
        self.rngs = rngs if config.way == "shares streams" else rngs.fork()
        self.tied = self.layer if config.way == "ties weights" else None
        if config.way == "plain array":
            self.table = jnp.arange(3.0)
            self.host = np.arange(3, dtype=np.int64)
        if config.way == "number":
            self.count = nnx.Variable(3)
        if config.way == "looks at values":
            self.scale = float(self.layer.kernel[0, 0])
        self.constructed.append(isinstance(self.layer.kernel[...], jax.core.Tracer))


class Other(nnx.Module):
    pass


@pytest.fixture(autouse=True)
def registered(use_registry):
    return use_registry(
        artifex_models=[
            ModelEntry(name=name.lower(), model=f"{__name__}:{name}", config=f"{__name__}:{name}Config", family="f")
            for name in ("Net", "Odd")
        ]
    )


def trained(seed=0, **fields):
    """A model whose every array, statistics included, differs from a fresh one's."""
    model = Net(NetConfig(**fields), rngs=nnx.Rngs(seed))
    model(jax.random.normal(jax.random.key(7), (16, model.config.width)) * 3 + 1)
    model.steps[...] += 5
    return model


@pytest.fixture
def saved(tmp_path):
    return save_model(trained(), tmp_path / "deep" / "net")


def assert_equal(one, two):
    left, right = storage.flat_weights(one), storage.flat_weights(two)
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert type(value) is type(right[key]), key
        assert (jnp.result_type(value), jnp.shape(value)) == (jnp.result_type(right[key]), jnp.shape(right[key])), key
        assert np.array_equal(np.asarray(value), np.asarray(right[key])), key


@pytest.mark.parametrize(
    "fields", [{}, {"width": 1}, {"dtype": "bfloat16"}, {"dtype": "float16"}, {"name": "n", "metadata": {"a": [1]}}]
)
def test_what_is_saved_comes_back(tmp_path, fields):
    model = trained(**fields)
    assert save_model(model, str(tmp_path / "net")) == tmp_path / "net"
    again = load_model(tmp_path / "net")
    assert again.config == model.config
    assert_equal(again, model)
    x = jnp.ones((4, model.config.width))
    for net in (model, again):
        net.eval()
    assert np.array_equal(model(x), again(x))


def test_the_folder_holds_two_readable_files(saved):
    assert sorted(file.name for file in saved.iterdir()) == ["config.yaml", "weights.safetensors"]
    assert yaml.safe_load((saved / "config.yaml").read_text()) == {"kind": "net", "width": 3, "dtype": "float32"}
    keys = safetensors.numpy.load_file(saved / "weights.safetensors").keys()
    assert keys == {"blocks.0.bias", "blocks.0.kernel", "norm.bias", "norm.mean", "norm.scale", "norm.var", "steps"}
    with safetensors.safe_open(saved / "weights.safetensors", framework="np") as file:
        metadata = file.metadata()
    assert (metadata["artifex_format"], metadata["kind"], metadata["jax"]) == ("1", "net", jax.__version__)


def test_random_streams_are_fresh_or_as_given(saved):
    def key(model):
        return jax.random.key_data(model.dropout.rngs.key[...])

    assert not np.array_equal(key(load_model(saved)), key(load_model(saved)))
    assert np.array_equal(key(load_model(saved, rngs=nnx.Rngs(3))), key(load_model(saved, rngs=nnx.Rngs(3))))


@pytest.mark.parametrize(
    ("way", "traced"),
    [
        ("plain", True),
        ("ties weights", True),
        ("shares streams", False),
        ("plain array", False),
        ("number", False),
        ("looks at values", False),
    ],
)
def test_a_model_is_loaded_exactly_and_made_only_where_tracing_it_would_lose_something(tmp_path, way, traced):
    """Weights, types of all parts, streams: as if it had been built with these streams, which move on alike."""
    made = Odd(OddConfig(way=way), rngs=nnx.Rngs(0))
    made.layer.bias[...] += 1
    save_model(made, tmp_path / "odd")
    Odd.constructed.clear()
    ours, theirs = nnx.Rngs(3, sample=4), nnx.Rngs(3, sample=4)
    loaded = load_model(tmp_path / "odd", rngs=ours)
    assert all(Odd.constructed) == traced
    built = Odd(OddConfig(way=way), rngs=theirs)
    assert_equal(loaded, made)
    assert nnx.graphdef(loaded) == nnx.graphdef(built)
    for pair in [(loaded, built), (ours, theirs)]:
        streams = [nnx.to_pure_dict(nnx.state(of, nnx.RngState)) for of in pair]
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(data(a), data(b)), *streams)
    assert (loaded.rngs is ours) == (way == "shares streams")
    assert (loaded.tied is loaded.layer) == (way == "ties weights")
    assert np.any(loaded.rngs.sample() != loaded.rngs.sample())
    if way == "plain array":
        assert isinstance(loaded.host, np.ndarray)
        assert loaded.host.dtype == np.int64


def data(leaf):
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def test_streams_of_ones_own_live(saved):
    model = load_model(saved)
    model.train()
    x = jnp.ones((4, 3))
    assert np.any(model.dropout(x) != model.dropout(x))


def test_logical_axes_survive(saved):
    assert load_model(saved).blocks[0].kernel.get_metadata()["logical_axes"] == ("embed", "mlp")


def test_saving_again_replaces(saved):
    model = trained(seed=1)
    save_model(model, saved)
    assert_equal(load_model(saved), model)


def test_weights_keep_a_chosen_placement():
    mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(AxisType.Auto,))
    spread = NamedSharding(mesh, PartitionSpec("data"))
    model = trained(width=8)
    model.norm.scale.set_value(jax.device_put(model.norm.scale[...], spread))
    storage.set_weights(model, {key: np.asarray(value) + 1 for key, value in storage.flat_weights(model).items()})
    assert model.norm.scale[...].sharding == spread
    assert not model.norm.bias[...].committed
    assert float(model.norm.scale[0]) == 2.0


def test_plain_numbers_in_variables_survive():
    model = trained()
    model.count = nnx.Variable(3)
    weights = {key: np.asarray(value) for key, value in storage.flat_weights(model).items()}
    storage.set_weights(model, weights | {"count": np.asarray(4)})
    assert model.count.get_value() == 4


# --- what cannot be saved ---


def test_a_model_without_a_config_is_refused(tmp_path):
    with pytest.raises(InvalidTypeError, match=r"keeps its config as model.config; Other does not"):
        save_model(Other(), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_config_of_nobodys_is_refused_and_nothing_is_written(tmp_path):
    model = Other()
    model.config = Config()
    with pytest.raises(UnknownNameError, match=r"no installed plugin registers a model with the config"):
        save_model(model, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_arrays_that_the_format_lacks_are_refused(tmp_path):
    model = trained()
    model.small = nnx.Param(jnp.zeros(2, jnp.int4))
    with pytest.raises(InvalidTypeError, match=r"the weights of Net \(.*int4.*\) cannot be saved"):
        save_model(model, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_keys_that_would_collide_are_refused():
    model = trained()
    model.table = nnx.Dict({"a.b": nnx.Param(jnp.zeros(1)), "a": nnx.Dict({"b": nnx.Param(jnp.ones(1))})})
    with pytest.raises(InvalidInputError, match=r"leave dots out of the keys"):
        storage.flat_weights(model)


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_failed_write_leaves_the_old_model(saved, monkeypatch, call):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(storage.os, call, full)
        with pytest.raises(OSError, match=r"No space left on device") as caught:
            save_model(trained(seed=1), saved)
    assert caught.value.filename == str(saved / "weights.safetensors")
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    load_model(saved)


def test_a_folder_that_is_a_file_names_it(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(FileExistsError) as caught:
        save_model(trained(), tmp_path / "x")
    assert caught.value.filename == str(tmp_path / "x")


@pytest.mark.skipif(os.name == "nt", reason="no umask")
def test_files_have_the_users_own_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        storage.write_atomically(tmp_path / "x", b"1")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


# --- what cannot be loaded ---


@pytest.mark.parametrize("name", ["config.yaml", "weights.safetensors"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(RunError, match=rf"holds no saved model: {name} is missing"):
        load_model(saved)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match=r"nowhere holds no saved model"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("size", [0, 4, 60, -1])
def test_truncated_weights_are_recognised(saved, size):
    file = saved / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(RunError, match=r"weights\.safetensors cannot be read: .*truncated"):
        load_model(saved)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "was not written by save_model"),
        ({"artifex_format": "2", "kind": "net"}, "has format 2; this artifex-core reads format 1"),
        ({"artifex_format": "1", "kind": "vae"}, "holds a 'vae', and config.yaml beside it describes a 'net'"),
    ],
)
def test_weights_of_another_format_or_model_are_refused(saved, metadata, message):
    safetensors.numpy.save_file({"a": np.zeros(2)}, saved / "weights.safetensors", metadata=metadata)
    with pytest.raises(RunError, match=message):
        load_model(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width: 3", "names no 'kind' of model"),
        ("[1]", "names no 'kind' of model"),
        ("", "names no 'kind' of model"),
        ("kind: [", "cannot be read: .*line 1"),
        ("kind: net\nwidht: 4", "widht: no such field in NetConfig; did you mean 'width'"),
        ("kind: net\nwidth: many", "width: input should be a valid integer"),
    ],
)
def test_a_config_file_that_will_not_do_is_explained(saved, text, message):
    (saved / "config.yaml").write_text(text)
    with pytest.raises(RunError, match=message) as caught:
        load_model(saved)
    assert str(saved / "config.yaml") in str(caught.value)


def test_an_unknown_kind_says_what_to_install(saved):
    (saved / "config.yaml").write_text("kind: vae")
    with pytest.raises(UnknownNameError, match=r"it is part of artifex-vae: pip install artifex-vae"):
        load_model(saved)


def test_weights_of_another_shape_name_the_arrays(saved):
    (saved / "config.yaml").write_text("kind: net\nwidth: 4")
    with pytest.raises(
        RunError, match=r"net: the weights do not fit Net: .*blocks.0.kernel has shape \(3, 3\) instead of \(4, 4\)"
    ):
        load_model(saved)


def test_missing_and_unknown_arrays_are_named():
    model = trained()
    weights = storage.flat_weights(model)
    renamed = {f"old.{key}": value for key, value in weights.items()}
    with pytest.raises(
        RunError, match=r"missing: blocks.0.bias, blocks.0.kernel, norm.bias and 4 more; unknown to the model: old.blocks"
    ):
        storage.set_weights(model, renamed)
    assert_equal(model, trained())


def test_arrays_alone_are_written_and_read_under_their_names(tmp_path):
    arrays = {"a.b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "c": np.ones((), np.int32)}
    storage.write_weights(tmp_path / "some.safetensors", arrays)
    found = storage.read_weights(tmp_path / "some.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_weights_that_are_not_there_or_cannot_be_read(tmp_path):
    with pytest.raises(RunError, match="holds no weights: there is no file"):
        storage.read_weights(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(RunError, match="cannot be read"):
        storage.read_weights(tmp_path)


def test_a_folder_in_parts_is_read_as_one_and_says_which_file_is_missing(tmp_path):
    arrays = {"a": np.arange(3.0, dtype=np.float32), "b": np.ones((2, 2), np.float16)}
    with pytest.raises(DataError, match=r"neither part.safetensors nor part.safetensors.index.json; save the model there"):
        storage.read_folder(tmp_path, "part")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "part.safetensors.index.json").write_text(json.dumps(index))
    safetensors.numpy.save_file({"a": arrays["a"]}, tmp_path / "one.safetensors")
    with pytest.raises(DataError, match=r"lacks two.safetensors, which part.safetensors.index.json lists"):
        storage.read_folder(tmp_path, "part")
    safetensors.numpy.save_file({"b": arrays["b"]}, tmp_path / "two.safetensors")
    found = storage.read_folder(tmp_path, "part")
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in arrays.items())
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    assert storage.read_folder(tmp_path).keys() == arrays.keys()
