"""Weights to start from: what becomes what, strictly; of runs, model folders and files."""

import re

import numpy as np
import pytest
import yaml
from flax import nnx
from safetensors.numpy import save_file

from artifex.core.errors import InvalidInputError, RunError
from artifex.core.storage import flat_weights, load_model, save_model
from artifex.training import Callback, Trainer, TrainerConfig, build_run, load_run
from artifex.training.weights import InitFrom, load_weights


def weights(model):
    return {name: np.asarray(array) for name, array in flat_weights(model).items()}


def same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


class Cut(Callback):
    def on_step(self, trainer):
        if trainer.step == 7:
            raise KeyboardInterrupt


@pytest.fixture
def source(tiny, tmp_path):
    """A run that has been trained, with averaged weights, and those weights."""
    build_run(tiny.config(training__ema_decay=0.5)).start(tmp_path / "source")
    return tmp_path / "source", weights(load_run(tmp_path / "source")[1])


def started(tiny, init, **changes):
    """The weights that a run starts with."""
    run = build_run(tiny.config(training__init_from=init, **changes))
    run.trainer.compile(run.train)
    return weights(run.trainer.evaluation_model())


def test_a_run_starts_from_the_averaged_weights_of_another(tiny, source, tmp_path):
    folder, expected = source
    same(started(tiny, str(folder)), expected)
    same(started(tiny, {"folder": str(folder / "model")}), expected)
    save_file(expected, tmp_path / "foreign.safetensors")
    same(started(tiny, str(tmp_path / "foreign.safetensors")), expected)


@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_a_run_that_was_cut_off_gives_those_of_its_checkpoint(tiny, tmp_path, ema_decay):
    run = build_run(tiny.config(training__ema_decay=ema_decay))
    run.trainer.callbacks = (*run.trainer.callbacks, Cut())
    with pytest.raises(KeyboardInterrupt):
        run.start(tmp_path / "cut")
    same(started(tiny, str(tmp_path / "cut")), weights(load_run(tmp_path / "cut")[1]))


def test_training_goes_on_from_them_and_a_second_fit_from_what_was_trained(tiny, source):
    folder, expected = source
    settings = {"training__init_from": str(folder), "training__optimizer__learning_rate": 1e-9, "callbacks": []}
    run = build_run(tiny.config(**settings))
    run.trainer.fit(run.train)
    for name, value in weights(run.trainer.model).items():
        np.testing.assert_allclose(value, expected[name] + (15 if name == "seen" else 0), atol=1e-6)  # 15 steps of 1e-9
    run.trainer.fit(run.train)
    assert weights(run.trainer.model)["seen"] == expected["seen"] + 30


def test_a_resumed_run_needs_them_no_more(tiny, source, tmp_path, monkeypatch):
    folder, _ = source
    config = tiny.config(training__init_from=str(folder))
    build_run(config).start(tmp_path / "through")
    cut = build_run(config)
    cut.trainer.callbacks = (*cut.trainer.callbacks, Cut())
    with pytest.raises(KeyboardInterrupt):
        cut.start(tmp_path / "run")
    folder.rename(tmp_path / "gone")
    build_run(config).start(tmp_path / "run", resume=True)
    same(*(weights(load_run(tmp_path / name)[1]) for name in ("run", "through")))


def test_the_trainer_alone_takes_them_too(tiny, source):
    folder, expected = source
    model = load_model(folder / "model")
    model.up.kernel[...] = model.up.kernel[...] + 1
    trainer = Trainer(model, TrainerConfig(steps=1, batch_size=8, init_from=folder), seed=0)
    trainer.compile(build_run(tiny.config()).train)
    same(weights(trainer.evaluation_model()), expected)


class Renamed(nnx.Module):
    """Tiny with other names, and a head of another size."""

    def __init__(self, head=3):
        rngs = nnx.Rngs(9)
        self.body = nnx.List([nnx.Linear(3, 2, rngs=rngs)])
        self.head = nnx.Linear(2, head, rngs=rngs)


def test_names_are_mapped(source):
    folder, expected = source
    model = Renamed()
    load_weights(model, InitFrom(folder=folder, rename={"down": "body.0", "up": "head"}, skip=["seen"]))
    found = weights(model)
    for old, new in [("down", "body.0"), ("up", "head")]:
        for name in ("kernel", "bias"):
            np.testing.assert_array_equal(found[f"{new}.{name}"], expected[f"{old}.{name}"])


def test_what_is_skipped_stays_as_it_is(source):
    folder, expected = source
    model = Renamed(head=5)
    before = weights(model)
    load_weights(model, InitFrom(folder=folder, rename={"down": "body.0", "up": "head"}, skip=["seen", "head"]))
    found = weights(model)
    np.testing.assert_array_equal(found["body.0.kernel"], expected["down.kernel"])
    same({n: v for n, v in found.items() if "head" in n}, {n: v for n, v in before.items() if "head" in n})


@pytest.mark.parametrize("head", [3, 5])
def test_what_does_not_fit_is_named_and_the_setting_that_is_advised_loads_the_rest(source, head):
    folder, expected = source
    with pytest.raises(RunError) as raised:
        load_weights(Renamed(head), InitFrom(folder=folder))
    text = str(raised.value)
    assert "do not fit Renamed: it lacks body.0.bias, body.0.kernel, head.bias and 1 more; of no use is down.bias" in text
    advised = yaml.safe_load(re.search(r"init_from: (\{.*\})$", text)[1])
    model = Renamed(head)
    load_weights(model, InitFrom.from_dict(advised))
    np.testing.assert_array_equal(model.body[0].kernel[...], expected["down.kernel"])
    assert head == 5 or np.array_equal(model.head.kernel[...], expected["up.kernel"])


def test_another_shape_is_named(tiny, source):
    folder, _ = source
    with pytest.raises(RunError, match=r"of another shape is down.bias \(2,\), not \(4,\)") as raised:
        started(tiny, str(folder), model={"kind": "tiny", "latent_dim": 4})
    advised = yaml.safe_load(re.search(r"init_from: (\{.*\})$", str(raised.value))[1])
    assert advised["skip"] == ["down", "up.kernel"]
    started(tiny, advised, model={"kind": "tiny", "latent_dim": 4})


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        ({"rename": {"dwn": "body"}}, InvalidInputError, "init_from.rename: 'dwn' names nothing; did you mean 'down'"),
        ({"skip": ["uup"]}, InvalidInputError, "init_from.skip: 'uup' names nothing; did you mean 'up'"),
        ({"rename": {"down.*": "down"}}, InvalidInputError, "the same stars in the same order"),
        ({"rename": {"up": "down"}}, RunError, "gives two weights of .* the name down.bias"),
    ],
)
def test_mappings_that_cannot_be_meant(tiny, source, init, error, message):
    with pytest.raises(error, match=message):
        started(tiny, {"folder": str(source[0]), **init})


def test_folders_without_weights(tiny, tmp_path):
    with pytest.raises(RunError, match=r"none holds no weights; give a run folder with a model or a checkpoint in it"):
        started(tiny, str(tmp_path / "none"))
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(RunError, match="cannot be read"):
        started(tiny, str(tmp_path / "bad.safetensors"))


def test_a_relative_folder_means_the_same_from_everywhere(tiny, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = build_run(tiny.config(training__init_from="source"))
    assert run.config.training.init_from.folder == tmp_path / "source"
    monkeypatch.chdir("/")
    run.trainer.compile(run.train)


def test_the_command_takes_a_folder_and_leaves_nothing_where_it_does_not_fit(artifex, source, tmp_path):
    made = artifex("train", "tiny-run", "-o", "next", "--set", "training.init_from=source", "--set", "training.epochs=1")
    assert made.code == 0, made.err
    refused = artifex("train", "tiny-run", "-o", "no", "--set", "training.init_from=source", "--set", "model.latent_dim=4")
    assert refused.code == 2
    assert "do not fit Tiny" in refused.err
    assert not (tmp_path / "no").exists()


def test_a_model_folder_of_another_kind_will_do_where_its_names_fit(tiny, source, tmp_path):
    folder, expected = source
    save_model(load_model(folder / "model"), tmp_path / "copy")
    config = (tmp_path / "copy" / "config.yaml").read_text()
    (tmp_path / "copy" / "config.yaml").write_text(config.replace("kind: tiny", "kind: not_installed"))
    same(started(tiny, str(tmp_path / "copy")), expected)
