"""Checkpoints: every array comes back as it was, wherever it is to lie; what cannot serve is said in a line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from artifex.core.errors import RunError
from artifex.training.checkpoints import Checkpoints, latest_step

DTYPES = ["bool", "int8", "uint8", "int32", "uint32", "float16", "bfloat16", "float32"]


def mesh(n):
    return jax.make_mesh((n,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:n])


def state():
    values = jnp.arange(-8, 8).reshape(8, 2)
    return {"nested": ({dtype: values.astype(dtype) for dtype in DTYPES}, jnp.asarray(3, jnp.int32)), "empty": {}}


def laid_out(tree, n, spec=()):
    place = NamedSharding(mesh(n), PartitionSpec(*spec))
    everywhere = NamedSharding(mesh(n), PartitionSpec())
    return jax.tree.map(lambda leaf: place if leaf.ndim else everywhere, tree)


def save(folder, *steps, tree=None, **options):
    with Checkpoints(folder, **options) as checkpoints:
        for step in steps:
            checkpoints.save(step, state() if tree is None else tree, {"loader": {"epoch": step}})


def restore(folder, like, layout=None):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(like, laid_out(like, 1) if layout is None else layout)


@pytest.mark.parametrize(("saved_on", "restored_on"), [(1, 1), (4, 2), (2, 8), (8, 1)])
def test_a_round_trip_keeps_every_bit_on_any_mesh(tmp_path, saved_on, restored_on):
    save(tmp_path, 7, tree=jax.device_put(state(), laid_out(state(), saved_on, ("data",))))
    layout = laid_out(state(), restored_on, ("data",))
    step, restored, extra = restore(tmp_path, state(), layout)
    assert (step, extra) == (7, {"loader": {"epoch": 7}})
    assert jax.tree.structure(restored) == jax.tree.structure(state())
    for new, old, place in zip(*map(jax.tree.leaves, (restored, state(), layout)), strict=True):
        assert (new.dtype, new.sharding) == (old.dtype, place)
        assert np.asarray(new).tobytes() == np.asarray(old).tobytes()


def test_the_newest_few_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3, 4, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]
    assert latest_step(tmp_path) == 4


def test_a_step_is_saved_once(tmp_path):
    save(tmp_path, 5, 5)
    assert latest_step(tmp_path) == 5


def test_some_arrays_alone(tmp_path):
    save(tmp_path, 1, tree={"params": {"a": jnp.ones(2), "b": jnp.zeros(1)}, "params_of_another": jnp.ones(1)})
    with Checkpoints(tmp_path) as checkpoints:
        step, arrays = checkpoints.arrays("params")
        _, one = checkpoints.arrays("params.b")
    assert step == 1
    assert sorted(arrays) == ["params.a", "params.b"]
    assert sorted(one) == ["params.b"]


def test_none_there(tmp_path):
    with pytest.raises(RunError, match="nowhere holds no checkpoint"):
        restore(tmp_path / "nowhere", state())
    assert not (tmp_path / "nowhere").exists()
    assert latest_step(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": jnp.ones(3), "b": jnp.ones(1)}, r"a is float32\[2\], not float32\[3\]$"),
        ({"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(1)}, r"a is float32\[2\], not bfloat16\[2\]$"),
        ({"a": jnp.ones(2)}, "it has b besides$"),
        ({"a": jnp.ones(2), "b": jnp.ones(1), "c": jnp.ones(1)}, "it lacks c$"),
        ({str(i): jnp.ones(1) for i in range(5)}, "it lacks 0; it lacks 1; it lacks 2; and 4 more$"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, like, message):
    save(tmp_path, 1, tree={"a": jnp.ones(2), "b": jnp.ones(1)})
    with pytest.raises(RunError, match=f"1 does not fit this model and optimiser: {message}") as caught:
        restore(tmp_path, like)
    assert len(str(caught.value).splitlines()) == 1


def test_a_damaged_checkpoint(tmp_path):
    save(tmp_path, 1)
    for file in (tmp_path / "1" / "state").rglob("*"):
        if file.is_file() and file.stat().st_size:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(RunError, match=r"1 cannot be read, it may be damaged.*\n.*Delete that folder"):
        restore(tmp_path, state())


def test_one_that_was_cut_off_does_not_count(tmp_path):
    save(tmp_path, 3)
    (tmp_path / "9.orbax-checkpoint-tmp-1").mkdir()
    assert latest_step(tmp_path) == 3
    assert restore(tmp_path, state())[0] == 3
