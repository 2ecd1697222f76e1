"""Runs: checked before anything is written, complete in their folder, loaded from nothing else."""

import json

import jax
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import DataError, InvalidInputError, NonFiniteLossError, RunError
from artifex.core.storage import flat_weights, load_model
from artifex.training import build_run, load_run, read_run_config
from artifex.training.checkpoints import latest_step
from artifex.training.runs import check_folder, class_names, new_folder


@pytest.fixture
def start(tiny, tmp_path):
    """Train a run of the preset's fields, changed, in ``tmp_path/run``."""

    def begin(name="run", resume=False, **changes):
        run = build_run(tiny.config(**changes))
        (tmp_path / name).mkdir(exist_ok=True)
        run.start(tmp_path / name, resume=resume)
        return run

    return begin


def weights(model):
    return {name: np.asarray(array) for name, array in flat_weights(model).items()}


def same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


def test_what_a_run_leaves(start, tmp_path):
    run = start()
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()}
    texts = {"config.yaml", "environment.json", "metrics.jsonl", "report.html", "summary.json"}
    assert names == {*texts, "checkpoints", "samples", "model"}
    assert read_run_config(str(folder)) == run.config
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [f"step_{s:07d}.txt" for s in (6, 12, 15)]
    assert latest_step(folder / "checkpoints") == 15
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["versions"]["jax"] == jax.__version__
    assert environment["versions"]["artifex-tiny" if "artifex-tiny" in environment["versions"] else "artifex-training"]
    same(weights(load_model(folder / "model")), weights(run.trainer.evaluation_model()))


@pytest.mark.nightly  # every day test_training_trainer.py sees a loss fall
def test_training_gets_somewhere(start):
    metrics = start(training__epochs=200).trainer.metrics
    assert metrics["loss"] < 1e-3  # the points lie on a line, which two latents hold exactly
    assert metrics["eval/loss"] < 1e-3


def test_one_seed_one_run_and_another_seed_another(start, tmp_path):
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        start(name=name, seed=seed)
    a, b, c = (weights(load_model(tmp_path / name / "model")) for name in "abc")
    same(a, b)
    assert not np.array_equal(a["up.kernel"], c["up.kernel"])


def test_cut_off_and_resumed_is_as_if_it_had_run_through(start, tiny, tmp_path):
    start(name="through", training__ema_decay=0.5)
    run = build_run(tiny.config(training__ema_decay=0.5))
    run.trainer.callbacks = (*run.trainer.callbacks, _interrupt_at(7)())
    (tmp_path / "cut").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run.start(tmp_path / "cut")
    assert latest_step(tmp_path / "cut" / "checkpoints") == 7
    assert not (tmp_path / "cut" / "model").exists()
    start(name="cut", resume=True, training__ema_decay=0.5)
    same(*(weights(load_model(tmp_path / name / "model")) for name in ("through", "cut")))


def _interrupt_at(step):
    from artifex.training import Callback

    class Interrupt(Callback):
        def on_step(self, trainer):
            if trainer.step == step:
                raise KeyboardInterrupt

    return Interrupt


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_run_that_was_cut_off_is_loaded_from_its_checkpoint_without_its_data(tiny, tmp_path, ema_decay):
    (tmp_path / "data").mkdir()
    run = build_run(tiny.config(training__ema_decay=ema_decay, data__dataset__folder=str(tmp_path / "data")))
    run.trainer.callbacks = (*run.trainer.callbacks, _interrupt_at(6)())
    (tmp_path / "run").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run.start(tmp_path / "run")
    (tmp_path / "data").rmdir()
    config, model, modality = load_run(tmp_path / "run")
    assert config == run.config
    assert type(modality).__name__ == "TinyModality"
    same(weights(model), weights(run.trainer.evaluation_model()))
    assert model.generate(3, rngs=nnx.Rngs(0)).shape == (3, 3)


def test_going_on_with_a_finished_run_forgets_its_model_until_there_is_a_new_one(start, tiny, tmp_path):
    start()
    assert build_run(tiny.config()).is_finished(tmp_path / "run")
    longer = build_run(tiny.config(training__epochs=6))
    assert not longer.is_finished(tmp_path / "run")
    longer.trainer.callbacks = (*longer.trainer.callbacks, _interrupt_at(17)())
    with pytest.raises(KeyboardInterrupt):
        longer.start(tmp_path / "run", resume=True)
    same(weights(load_run(tmp_path / "run")[1]), weights(longer.trainer.evaluation_model()))


def test_a_resume_that_does_not_fit_changes_nothing(start, tmp_path):
    start()
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"does not fit this model and optimiser: .*down"):
        start(resume=True, model__latent_dim=5)
    with pytest.raises(RunError, match="batch size was 8 and is 4 now"):
        start(resume=True, training__batch_size=4)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_run_keeps_the_names_of_its_classes(start, tmp_path):
    names = ("2", "10", "caf\u00e9", "no text \udcff")  # the last as the name of a file may be
    start(data__dataset__classes=names)
    assert class_names(tmp_path / "run") == names
    assert "caf\u00e9" in (tmp_path / "run" / "classes.json").read_text(encoding="utf-8", errors="surrogatepass")
    start(data__dataset__classes=names, resume=True, training__epochs=6)
    with pytest.raises(RunError, match=r"its classes were 2, 10, .* and are 10, 2 now; make them as they were"):
        start(data__dataset__classes=("10", "2"), resume=True, training__epochs=7)
    assert class_names(tmp_path / "run") == names
    start(name="none")
    assert class_names(tmp_path / "none") == ()
    (tmp_path / "run" / "classes.json").write_text("[")
    with pytest.raises(RunError, match=r"classes.json is damaged"):
        class_names(tmp_path / "run")


def test_numbers_gone_bad_leave_the_log_and_no_checkpoint(start, tmp_path):
    with pytest.raises(NonFiniteLossError, match="not finite at step"):
        start(data__dataset__bad_value=True, training__log_every=15)
    assert latest_step(tmp_path / "run" / "checkpoints") in (None, 4)  # 4 if the bad example came after it
    assert not (tmp_path / "run" / "model").exists()


def test_examples_read_singly_train_alike(start, tmp_path):
    start(name="a")
    start(name="b", data__dataset__read_singly=True)
    same(*(weights(load_model(tmp_path / name / "model")) for name in "ab"))


def test_extensions_add_to_the_loss(start):
    plain = start(name="a").trainer.metrics
    more = start(name="b", extensions=[{"kind": "tiny_extension", "weight": 2, "name": "two"}]).trainer.metrics
    assert more["two/loss"] == pytest.approx(1)
    assert more["loss"] == pytest.approx(plain["loss"] + 2, rel=1e-5)


def test_no_modality_and_no_held_out_data(start, tmp_path):
    run = start(data={"dataset": {"kind": "tiny_data", "held_out_size": None}})
    assert run.evaluation is None
    assert "eval/loss" not in run.trainer.metrics
    assert np.load(tmp_path / "run" / "samples" / "step_0000015.npy").shape == (2, 3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data__train_split": "trian"}, DataError, "data.train_split is 'trian', but the data set has train, test"),
        ({"data__evaluation_split": "dev"}, DataError, "data.evaluation_split is 'dev'"),
        ({"data__dataset__folder": "nowhere"}, DataError, "nowhere; set data.dataset.folder"),
        ({"training__batch_size": 25}, InvalidInputError, "batch_size is 25, but the data hold 24 examples"),
        ({"model__size": 4}, InvalidInputError, r"Tiny takes x of shape \(batch, 4\).*set model.size"),
        ({"data__dataset__held_out_size": 2}, DataError, r"split 'test' are float32\[2\], those to train on are float32\[3\]"),
        ({"data__dataset__held_out_examples": 0}, DataError, "split 'test' of TinyData has no examples"),
        ({"mesh": {"data_parallel_size": 3}}, InvalidInputError, "batch_size 8 does not split over 3"),
        ({"mesh": {"data_parallel_size": 9}}, InvalidInputError, "needs 9 devices, there are 8"),
        (
            {"data__dataset__held_out_size": None, "callbacks": [{"kind": "early_stop"}]},
            RunError,
            "early_stop callback needs held-out data",
        ),
    ],
)
def test_what_does_not_fit_is_found_before_anything_is_made(tiny, changes, error, message):
    with pytest.raises(error, match=message):
        build_run(tiny.config(**changes))


def test_the_mesh_that_is_asked_for_is_used(start):
    assert dict(start(mesh={"data_parallel_size": 4}).trainer.mesh.shape)["data"] == 4


def test_a_cpu_is_one_device_however_many_it_poses_as(tiny):
    run = build_run(tiny.config())
    assert run.trainer.mesh.size == 1
    assert not run.notes


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "devices", "note"),
    [
        (16, 1, 8, None),
        (12, 1, 6, "6 of 8 devices: batch_size 12 splits over no more of them; a multiple of 8 would use all"),
        (20, 2, 5, "5 of 8 devices: batch_size 20 in 2 parts splits over no more of them; a multiple of 16 would use all"),
        (11, 1, 1, "1 of 8 devices: batch_size 11 splits over no more of them; a multiple of 8 would use all"),
    ],
)
def test_accelerators_share_the_batch_as_far_as_it_splits(tiny, monkeypatch, batch_size, accumulate, devices, note):
    """JAX's eight devices are taken for accelerators: the run uses as many as its batch splits over, and says so."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    run = build_run(tiny.config(training__batch_size=batch_size, training__accumulate=accumulate))
    assert run.trainer.mesh.size == devices
    assert run.notes == (() if note is None else (note,))


def test_sharded_and_unsharded_reach_the_same_weights(start, tmp_path):
    start(name="one")
    start(name="four", mesh={"data_parallel_size": 4})
    one, four = (weights(load_model(tmp_path / name / "model")) for name in ("one", "four"))
    for name, value in one.items():  # sums in another order, fifteen steps of Adam: some hundred roundings
        np.testing.assert_allclose(four[name], value, atol=1e-4, err_msg=name)


def test_new_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(new_folder("a", None)) for _ in range(3)] == ["runs/a-1", "runs/a-2", "runs/a-3"]
    assert str(new_folder("", None)) == "runs/run-1"
    assert new_folder("a", tmp_path / "deep" / "er") == tmp_path / "deep" / "er"
    assert new_folder("a", tmp_path / "deep" / "er").is_dir()  # empty still


def test_folders_that_cannot_serve(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    (tmp_path / "runs").write_text("")
    for output, message in [("file", "file is a file"), ("file/below", "file is a file"), ("full", "not empty.*--resume")]:
        for check in (check_folder, lambda path: new_folder("a", path)):
            with pytest.raises(RunError, match=message):
                check(tmp_path / output)
    with pytest.raises(RunError, match="runs is a file; choose another with --output"):
        new_folder("a", None)


def test_a_folder_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the superuser may write anywhere
    with pytest.raises(RunError, match="cannot be written: no permission in"):
        check_folder(tmp_path / "new")


def test_relative_paths_of_data_mean_the_same_from_everywhere(tiny, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    built = build_run(tiny.config(data__dataset__folder="data", training__steps=1, training__epochs=None))
    built.start(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "data")
    assert read_run_config(str(tmp_path / "run")).data.dataset.folder == tmp_path / "data"


def test_folders_that_hold_no_run(tiny, tmp_path):
    with pytest.raises(RunError, match=r"is no run folder: it has no config\.yaml"):
        load_run(tmp_path)
    tiny.config().to_yaml(tmp_path / "config.yaml")
    with pytest.raises(RunError, match="neither a model nor a checkpoint"):
        load_run(tmp_path)
