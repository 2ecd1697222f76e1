"""Callbacks: what they leave behind is read back with the tools it is meant for."""

import io
import json
import os
import pty
import signal
import struct
import sys
import threading
from types import ModuleType, SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from artifex.core import plugins
from artifex.core.errors import InvalidInputError, RunWarning
from artifex.training import Callback, build_run, callbacks
from artifex.training.callbacks import (
    Checkpoint,
    CheckpointConfig,
    Collapse,
    CollapseConfig,
    EarlyStop,
    EarlyStopConfig,
    MetricsFile,
    MetricsFileConfig,
    MLflow,
    MLflowConfig,
    Progress,
    ProgressConfig,
    SampleGrid,
    SampleGridConfig,
    TensorBoard,
    TensorBoardConfig,
    Wandb,
    WandbConfig,
    checkpoint,
)
from artifex.training.callbacks.interruption import StopBetweenSteps
from artifex.training.checkpoints import Checkpoints, latest_step


def trainer(folder=None, step=0, total=100, **more):
    """As much of a trainer as callbacks look at."""
    config = SimpleNamespace(log_every=10, batch_size=8, to_dict=lambda: {"batch_size": 8})
    parts = {"params": {}, "model_state": {}, "ema": {}}
    state = SimpleNamespace(bad_step=np.int32(-1), sums={"loss": 0.0, "accuracy": 0.0}, **parts)
    given = {
        "folder": folder,
        "step": step,
        "total_steps": total,
        "stop_reason": None,
        "seed": 7,
        "callbacks": (),
        "metrics": {},
        "choose": lambda variables: None,
        "config": config,
        "state": state,
    }
    return SimpleNamespace(**(given | more))


def test_every_registered_callback_is_built_from_its_config():
    for entry, plugin in plugins.registry().entries("callback"):
        if plugin.distribution == "artifex-training":
            cls, config = plugins.resolve(entry.callback), plugins.resolve(entry.config)
            assert issubclass(cls, Callback)
            assert getattr(callbacks, cls.__name__) is cls
            assert getattr(callbacks, config.__name__) is config


@pytest.mark.parametrize(
    "callback", [Checkpoint(CheckpointConfig()), MetricsFile(MetricsFileConfig()), SampleGrid(SampleGridConfig())]
)
def test_those_that_write_need_a_folder(callback):
    with pytest.raises(InvalidInputError, match="callback writes files; give the Trainer a folder"):
        callback.on_start(trainer())


# metrics.jsonl


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def log(callback, where, *steps):
    callback.on_start(where)
    for step in steps:
        where.step = step
        callback.on_log(where, {"loss": step / 10, "steps_per_second": 1.0})
    callback.on_end(where, None)


def test_metrics_are_one_object_a_line(tmp_path):
    callback, where = MetricsFile(MetricsFileConfig()), trainer(tmp_path, step=5)
    callback.on_start(where)
    callback.on_log(where, {"loss": 0.1, "kl": float("nan")})
    assert lines(tmp_path) == [{"step": 5, "loss": 0.1, "kl": None}]  # readable while the run goes on
    callback.on_evaluate(where, {"eval/loss": float("inf")})
    callback.on_end(where, None)
    assert lines(tmp_path)[1] == {"step": 5, "eval/loss": None}


def test_a_resumed_run_drops_the_lines_that_it_writes_again(tmp_path):
    log(MetricsFile(MetricsFileConfig()), trainer(tmp_path), 10, 20, 30)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('3\n{"step": 35, "lo')  # cut off when the machine went down
    log(MetricsFile(MetricsFileConfig()), trainer(tmp_path, step=20), 25)
    assert [line["step"] for line in lines(tmp_path)] == [10, 20, 25]


class Distance(Callback):
    """Logs a figure of its own at each evaluation."""

    def on_evaluate(self, trainer, metrics):
        trainer.log({"distance": 10.0 * trainer.step})


@pytest.mark.parametrize("first", [True, False])
def test_a_callbacks_figures_are_written_once_at_their_step_whatever_the_order(tiny, tmp_path, first):
    run = build_run(tiny.config(training__epochs=2, callbacks=[{"kind": "metrics_file"}, {"kind": "tensorboard"}]))
    given = run.trainer.callbacks
    run.trainer.callbacks = (Distance(), *given) if first else (*given, Distance())
    run.start(tmp_path)
    assert [(line["step"], line["distance"]) for line in lines(tmp_path) if "distance" in line] == [(3, 30.0), (6, 60.0)]
    assert [event for event in events(tmp_path) if event[1].endswith("distance")] == [
        (3, "train/distance", 30.0),
        (6, "train/distance", 60.0),
    ]


# TensorBoard


def events(folder):
    """Every scalar as ``(step, tag, value)``, from the record format: length, its checksum, the event, its checksum."""
    paths = sorted((folder / "tensorboard").iterdir())
    return [(e.step, value.tag, value.simple_value) for path in paths for e in records(path) for value in e.summary.value]


def records(path):
    data = io.BytesIO(path.read_bytes())
    while head := data.read(12):
        event = data.read(struct.unpack("<Q", head[:8])[0])
        assert struct.unpack("<I", head[8:])[0] == masked_crc32c(head[:8])
        assert struct.unpack("<I", data.read(4))[0] == masked_crc32c(event)
        yield Event.FromString(event)


def test_tensorboard_events_can_be_read(tmp_path):
    callback, where = TensorBoard(TensorBoardConfig()), trainer(tmp_path, step=10)
    callback.on_start(where)
    callback.on_log(where, {"loss": 0.5, "generator/loss": 2.0})
    callback.on_evaluate(where, {"eval/loss": 0.25})
    callback.on_end(where, None)
    assert events(tmp_path) == [(10, "train/loss", 0.5), (10, "generator/loss", 2.0), (10, "eval/loss", 0.25)]


def test_a_resumed_run_hides_the_events_that_it_writes_again(tmp_path):
    log(TensorBoard(TensorBoardConfig()), trainer(tmp_path), 10, 20, 30)
    log(TensorBoard(TensorBoardConfig()), trainer(tmp_path, step=20), 25)  # within the same second
    assert [step for step, tag, _ in events(tmp_path) if tag == "train/loss"] == [10, 20, 30, 25]
    first, second = sorted((tmp_path / "tensorboard").iterdir())
    assert [event.step for event in records(second) if event.session_log.status == SessionLog.START] == [21]
    assert not [event for event in records(first) if event.session_log.status == SessionLog.START]


# early stop


def stops_at(values, **options):
    callback, where = EarlyStop(EarlyStopConfig(metric="eval/loss", **options)), trainer()
    for i, value in enumerate(values):
        where.step = i + 1
        callback.on_evaluate(where, {"eval/loss": value})
        if where.stop_reason is not None:
            return i, where.stop_reason
    return None


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([5, 4, 3, 2, 1], {"patience": 1}, None),
        ([5, 4, 6, 5, 3, 7, 8, 9], {"patience": 3}, 7),
        ([5, 5, 5], {"patience": 2}, 2),
        ([5, 4.95, 4.9, 4.85], {"patience": 2, "min_delta": 0.1}, 2),
        ([1, 2, 3, 2, 1], {"patience": 2, "higher_is_better": True}, 4),
        ([float("nan"), 3, 2, float("nan"), float("nan")], {"patience": 2}, 4),
        ([float("nan"), float("nan")], {"patience": 2}, 1),
    ],
)
def test_early_stop(values, options, expected):
    found = stops_at(values, **options)
    assert (found and found[0]) == expected


def test_early_stop_says_why():
    assert stops_at([3, 4, 5], patience=2, restore_best=False)[1] == "eval/loss has not improved on 3 for 2 evaluations"
    assert stops_at([4, 3, 5], patience=1)[1].endswith("for 1 evaluations; the model is that of step 2")


def test_early_stop_on_a_figure_that_there_is_not():
    with pytest.raises(InvalidInputError, match="early_stop watches 'eval/los', but an evaluation gives eval/loss"):
        EarlyStop(EarlyStopConfig(metric="eval/los")).on_start(trainer())  # before anything is trained
    with pytest.raises(InvalidInputError, match="early_stop watches 'eval/los', but an evaluation gives eval/loss"):
        EarlyStop(EarlyStopConfig(metric="eval/los")).on_evaluate(trainer(), {"eval/loss": 1.0})


def test_early_stop_ends_a_real_run(tiny):
    stop = {"kind": "early_stop", "patience": 2, "min_delta": 1e9}
    run = build_run(tiny.config(callbacks=[stop], training__epochs=50))
    run.trainer.fit(run.train, run.evaluation)
    assert run.trainer.step == 9  # the first evaluation, and two that are no better
    assert "not improved" in run.trainer.stop_reason


# checkpoints


def saves(folder, *, sound=True, **more):
    """A trainer that can save its step."""
    made = trainer(folder, **more)
    made.step, made.is_sound = 0, lambda: sound
    made.save_checkpoint = lambda checkpoints: checkpoints.save(made.step, {"a": jnp.ones(1)}, {})
    return made


def run_checkpoint(where, steps, error=None, **options):
    callback = Checkpoint(CheckpointConfig(**options))
    callback.on_start(where)
    for step in range(1, steps + 1):
        where.step = step
        callback.on_step(where)
    callback.on_end(where, error)
    return sorted(int(path.name) for path in (where.folder / "checkpoints").glob("*"))


@pytest.mark.parametrize(
    ("steps", "options", "kept"),
    [
        (7, {"every": 3, "keep": 5}, [3, 6, 7]),
        (7, {"every": 2, "keep": 2}, [6, 7]),
        (4, {"every": 4}, [4]),
        (3, {"every": 9}, [3]),
    ],
)
def test_checkpoints_are_written_every_so_often_and_at_the_end(tmp_path, steps, options, kept):
    assert run_checkpoint(saves(tmp_path), steps, **options) == kept


class Clock:
    """The clock of the checkpoints, a minute on at each step of the trainer."""

    def __init__(self, monkeypatch, where):
        monkeypatch.setattr(checkpoint, "time", self)
        self.where = where

    def monotonic(self):
        return 60.0 * self.where.step


def test_checkpoints_are_written_by_the_clock(tmp_path, monkeypatch):
    where = saves(tmp_path)
    Clock(monkeypatch, where)
    assert run_checkpoint(where, 12, keep=9) == [5, 10, 12]  # every five minutes where nothing else is said


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"every_minutes": 2.5}, [3, 6, 7]),
        ({"every_minutes": 3, "every": 2}, [2, 4, 6, 7]),  # the clock counts from the last one
        ({"every_minutes": None}, [7]),
    ],
)
def test_the_clock_and_the_steps(tmp_path, monkeypatch, options, kept):
    where = saves(tmp_path)
    Clock(monkeypatch, where)
    assert run_checkpoint(where, 7, keep=9, **options) == kept


@pytest.mark.parametrize(("first", "written"), [(True, [4, 6]), (False, [6])])
def test_of_several_processes_the_first_ones_clock_counts_and_is_asked_where_the_log_waits_anyway(
    tmp_path, monkeypatch, first, written
):
    from jax.experimental import multihost_utils

    asked = []
    monkeypatch.setattr(checkpoint, "is_multiprocess", lambda: True)
    monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", lambda mine: asked.append(int(mine)) or np.int32(first))
    where = saves(tmp_path)
    Clock(monkeypatch, where)
    callback = Checkpoint(CheckpointConfig(every_minutes=3, keep=9))
    callback.on_start(where)
    for where.step in range(1, 7):
        if where.step == 4:
            callback.on_log(where, {})
        callback.on_step(where)
    assert asked == [1]
    callback.on_end(where, None)
    assert sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == written


def test_the_best_is_kept_besides_the_newest(tmp_path):
    where = saves(tmp_path)
    callback = Checkpoint(CheckpointConfig(best_metric="eval/loss", keep=1))
    callback.on_start(where)
    for where.step, loss in enumerate([3.0, 1.0, 2.0, 1.5], start=1):
        callback.on_evaluate(where, {"eval/loss": loss})
        callback.on_step(where)
    callback.on_end(where, None)
    assert sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == [2, 4]
    assert Checkpoints(tmp_path / "checkpoints").best_step() == 2


def test_an_interrupted_run_keeps_what_it_reached(tmp_path):
    assert run_checkpoint(saves(tmp_path), 5, KeyboardInterrupt(), every=4) == [4, 5]


def test_a_state_gone_bad_is_not_kept(tmp_path):
    assert run_checkpoint(saves(tmp_path, sound=False), 5, RuntimeError(), every=2) == []


def test_nothing_is_kept_of_no_step(tmp_path):
    callback = Checkpoint(CheckpointConfig())
    callback.on_start(saves(tmp_path))
    callback.on_end(saves(tmp_path), None)
    assert latest_step(tmp_path / "checkpoints") is None


# samples


def test_samples_are_drawn_every_so_often_at_the_end_and_from_one_seed(tmp_path):
    class Noise:
        def generate(self, n, *, rngs):
            return jax.random.normal(rngs.sample(), (n, 2))

    where = trainer(tmp_path, modality=None, evaluation_model=Noise)
    callback = SampleGrid(SampleGridConfig(every=4, n_samples=3))
    callback.on_start(where)
    for where.step in range(1, 10):
        callback.on_step(where)
    callback.on_end(where, None)
    drawn = {path.name: np.load(path) for path in (tmp_path / "samples").iterdir()}
    assert sorted(drawn) == ["step_0000004.npy", "step_0000008.npy", "step_0000009.npy"]
    first = drawn["step_0000004.npy"]
    assert first.shape == (3, 2)
    assert all(np.array_equal(first, other) for other in drawn.values())


def test_samples_of_a_conditional_model_are_given_the_vectors_of_examples(tmp_path):
    class Echo:
        def generate(self, n, *, condition=None, rngs):
            return jnp.zeros((n, 1)) if condition is None else jnp.asarray(condition)

    vectors, classes = np.float32([[1, 2], [3, 4]]), np.array([0, 1])
    for given, expected in [(vectors, [[1, 2], [3, 4], [1, 2]]), (classes, [[0], [0], [0]])]:
        loader = SimpleNamespace(one_pass=lambda given=given: iter([{"x": np.zeros((2, 1)), "condition": given}]))
        where = trainer(tmp_path, step=4, modality=None, evaluation_model=Echo, loader=loader)
        callback = SampleGrid(SampleGridConfig(every=4, n_samples=3))
        callback.on_start(where)
        callback.on_step(where)
        assert np.load(tmp_path / "samples" / "step_0000004.npy").tolist() == expected


def test_conditions_of_samples_are_prepared_as_in_training(tmp_path):
    class Echo:
        def generate(self, n, *, condition=None, rngs):
            return jnp.asarray(condition)

    class Doubling:
        def prepare(self, batch, *, rngs, train):
            assert not train
            return {**batch, "condition": 2 * batch["condition"]}

        def save_samples(self, samples, stem):
            np.save(stem, samples)
            return stem

    images = np.ones((2, 1, 1, 1), np.float32)
    loader = SimpleNamespace(one_pass=lambda: iter([{"x": images, "condition": images}]))
    where = trainer(tmp_path, step=4, modality=Doubling(), evaluation_model=Echo, loader=loader)
    callback = SampleGrid(SampleGridConfig(every=4, n_samples=3))
    callback.on_start(where)
    callback.on_step(where)
    assert np.load(tmp_path / "samples" / "step_0000004.npy").ravel().tolist() == [2, 2, 2]


def test_no_samples_of_a_run_that_failed(tmp_path):
    callback, where = SampleGrid(SampleGridConfig()), trainer(tmp_path, step=3)
    callback.on_start(where)
    callback.on_end(where, KeyboardInterrupt())
    assert not (tmp_path / "samples").exists()


# progress


def show(where):
    callback = Progress(ProgressConfig())
    callback.on_start(where)
    for where.step in range(10, 301, 10):
        speed = {"steps_per_second": 12.5, "examples_per_second": 100.0}
        callback.on_log(where, {"loss": 1 / where.step, "critic/grad_norm": 0.1, "learning_rate": 1e-3, **speed})
    callback.on_evaluate(where, {"eval/loss": 0.5})
    callback.on_figures(where, {"fid": 12.0})
    callback.on_end(where, None)


def test_progress_without_a_terminal_is_a_few_lines(capsys):
    show(trainer(total=300))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "step 10/300  loss 0.1  12.5 steps/s",
        "step 110/300  loss 0.009091  12.5 steps/s",
        "step 210/300  loss 0.004762  12.5 steps/s",
        "step 300/300  loss 0.003333  12.5 steps/s",
        "step 300  eval/loss 0.5",
        "step 300  fid 12",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_progress_on_a_terminal_is_a_bar_with_rate_and_remaining_time(monkeypatch):
    ours, theirs = pty.openpty()
    seen = []

    def read():
        while True:
            try:
                seen.append(os.read(ours, 4096))
            except OSError:
                return

    reader = threading.Thread(target=read)
    reader.start()
    for name, value in {"COLUMNS": "120", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        show(trainer(total=300))
        monkeypatch.undo()
    reader.join(10)
    os.close(ours)
    text = b"".join(seen).decode()
    for part in ("150/300", "300/300", "loss 0.003333", "12.5 steps/s", "left", "0:00:0", "step 300  eval/loss 0.5"):
        assert part in text


# trackers, by the calls that their libraries understand


@pytest.fixture
def fake(monkeypatch):
    """A module that keeps what is called on it, in the place of a library."""

    def install(name, **members):
        calls = []
        module = ModuleType(name)
        module.__spec__ = SimpleNamespace(name=name)
        for member, value in members.items():
            setattr(module, member, lambda *args, m=member, v=value, **kw: (calls.append((m, args, kw)), v)[1])
        monkeypatch.setitem(sys.modules, name, module)
        return calls

    return install


def test_wandb(fake, tmp_path):
    logged = []
    run = SimpleNamespace(
        log=lambda values, step: logged.append((step, values)), finish=lambda exit_code: logged.append(exit_code), id="abc"
    )
    calls = fake("wandb", init=run)
    callback = Wandb(WandbConfig(project="p", entity="e", offline=True, name="n"))
    where = trainer(tmp_path, step=3)
    callback.on_start(where)
    callback.on_log(where, {"loss": 1.0})
    callback.on_evaluate(where, {"eval/loss": 2.0})
    callback.on_end(where, RuntimeError())
    given = calls[0][2]
    assert given["project"] == "p"
    assert given["entity"] == "e"
    assert given["name"] == "n"
    assert given["mode"] == "offline"
    assert given["dir"] == str(tmp_path)
    assert given["config"] == {"seed": 7, "training": {"batch_size": 8}}
    assert given["id"] is given["resume"] is None
    resumed = Wandb(callback.config)
    resumed.restore(callback.state())
    resumed.on_start(where)
    assert (calls[-1][2]["id"], calls[-1][2]["resume"]) == ("abc", "allow")
    assert logged == [(3, {"loss": 1.0}), (3, {"eval/loss": 2.0}), 1]


def test_mlflow(fake):
    members = ["set_tracking_uri", "set_experiment", "start_run", "log_params", "log_metrics", "end_run"]
    calls = fake("mlflow", **dict.fromkeys(members) | {"start_run": SimpleNamespace(info=SimpleNamespace(run_id="abc"))})
    callback = MLflow(MLflowConfig(experiment="e", tracking_uri="u", name="n"))
    where = trainer(step=3)
    callback.on_start(where)
    callback.on_log(where, {"loss": 1.0})
    callback.on_evaluate(where, {"eval/loss": 2.0})
    callback.on_end(where, None)
    assert calls == [
        ("set_tracking_uri", ("u",), {}),
        ("set_experiment", ("e",), {}),
        ("start_run", (), {"run_name": "n"}),
        ("log_params", ({"seed": 7, "steps": 100, "batch_size": 8},), {}),
        ("log_metrics", ({"loss": 1.0},), {"step": 3}),
        ("log_metrics", ({"eval/loss": 2.0},), {"step": 3}),
        ("end_run", (), {"status": "FINISHED"}),
    ]
    del calls[:]
    resumed = MLflow(callback.config)
    resumed.restore(callback.state())
    resumed.on_start(where)
    assert calls[2:] == [("start_run", (), {"run_id": "abc"})]


def test_what_a_tracker_cannot_do_is_the_users_to_mend(fake, monkeypatch):
    def refuse(*args, **options):
        raise OSError("not logged in")

    fake("wandb", init=None)
    fake("mlflow", set_experiment=None)
    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    monkeypatch.setattr(sys.modules["mlflow"], "set_experiment", refuse)
    for callback, message in [
        (Wandb(WandbConfig(project="p")), "Weights & Biases cannot start a run: not logged in"),
        (MLflow(MLflowConfig(experiment="e")), "MLflow cannot start a run: not logged in"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            callback.on_start(trainer())
        callback.on_end(trainer(), OSError())


@pytest.mark.parametrize(
    ("build", "extra"),
    [(lambda: Wandb(WandbConfig(project="p")), "wandb"), (lambda: MLflow(MLflowConfig(experiment="e")), "mlflow")],
    ids=["wandb", "mlflow"],
)
def test_a_missing_extra_is_named(monkeypatch, build, extra):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=rf"pip install artifex-training\[{extra}\]"):
        build()


def test_wandb_itself_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    where = trainer(tmp_path, step=1)
    callback = Wandb(WandbConfig(project="p", offline=True))
    callback.on_start(where)
    callback.on_log(where, {"loss": 1.0})
    callback.on_end(where, None)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_mlflow_itself_in_a_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder is all that mlflow-skinny can write to by itself
    where = trainer(step=3)
    callback = MLflow(MLflowConfig(experiment="e", tracking_uri=tmp_path.as_uri()))
    callback.on_start(where)
    callback.on_log(where, {"loss": 1.5})
    callback.on_evaluate(where, {"eval/loss": 2.5})
    callback.on_end(where, None)
    (run,) = mlflow.search_runs(experiment_names=["e"], output_format="list")
    assert run.data.metrics == {"loss": 1.5, "eval/loss": 2.5}
    assert run.data.params["seed"] == "7"
    assert run.info.status == "FINISHED"
    resumed = MLflow(callback.config)
    resumed.restore(callback.state())
    resumed.on_start(trainer(step=4, total_steps=200))  # more steps than before: what MLflow was told once stands
    resumed.on_log(trainer(step=4), {"loss": 1.25})
    resumed.on_end(where, None)
    (run,) = mlflow.search_runs(experiment_names=["e"], output_format="list")
    assert run.data.metrics["loss"] == 1.25


# signals


@pytest.fixture
def heeded():
    """SIGINT as a program in the foreground has it: behind ``&`` or ``nohup`` pytest starts with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_for_the_step_and_handlers_are_put_back(capsys, heeded):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    callback = StopBetweenSteps()
    callback.on_start(trainer())
    callback.on_step(trainer())
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        callback.on_step(trainer())
    callback.on_end(trainer(), KeyboardInterrupt())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert "once more stops at once" in capsys.readouterr().err


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    callback = StopBetweenSteps()
    try:
        callback.on_start(None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        callback.on_end(None, None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        callback.on_end(None, None)
        signal.signal(signal.SIGINT, before)


# collapse


def figures(diversity=1.0, real=0.6, fake=0.6):
    names = {"diversity": diversity, "real_accuracy": real, "fake_accuracy": fake}
    return {**{f"discriminator/{name}": value for name, value in names.items()}, "generator/grad_norm": 1e-7}


def test_a_collapse_is_said_once_with_what_was_seen_and_again_when_it_comes_back(tmp_path):
    callback, where = Collapse(CollapseConfig(patience=2)), trainer(tmp_path, step=50)
    callback.on_log(where, figures(diversity=0.02))
    callback.on_log(where, figures())  # one line is none
    for _ in range(2):
        callback.on_log(where, figures(diversity=0.5, real=1.0, fake=0.8))  # neither alike nor beaten
    callback.on_log(where, figures(diversity=0.02))
    with pytest.warns(RunWarning, match=r"step 50, the last 2 lines .* nearly all alike: they lie 0\.03 times as far apart"):
        callback.on_log(where, figures(diversity=0.03))
    callback.on_log(where, figures(diversity=0.03))  # said already
    callback.on_log(where, figures())
    callback.on_log(where, figures(diversity=0.03))
    with pytest.warns(RunWarning, match="alike"):
        callback.on_log(where, figures(diversity=0.03))
    assert where.stop_reason is None


def test_a_discriminator_that_has_won_is_said_and_may_end_the_run(tmp_path):
    callback, where = Collapse(CollapseConfig(patience=2, stop=True)), trainer(tmp_path, step=50, stop_reason=None)
    resumed = Collapse(CollapseConfig(patience=2, stop=True))
    callback.on_log(where, figures(real=1.0, fake=0.995))
    resumed.restore(callback.state())
    with pytest.warns(RunWarning, match=r"knows 100\.0% of real, 99\.5% of generated .* generator/grad_norm 1e-07"):
        resumed.on_log(where, figures(real=1.0, fake=0.995))
    assert where.stop_reason.startswith("the discriminator has won")


def test_without_a_diversity_as_in_batches_of_one_the_discriminator_is_looked_at_still(tmp_path):
    callback, where = Collapse(CollapseConfig(patience=1)), trainer(tmp_path, step=50)
    seen = {name: value for name, value in figures(real=1.0, fake=1.0).items() if not name.endswith("diversity")}
    with pytest.warns(RunWarning, match="the discriminator has won"):
        callback.on_log(where, seen)


def test_the_collapse_callback_says_that_a_model_has_no_such_figures(tmp_path):
    with pytest.raises(InvalidInputError, match="of an adversarial model; this one logs loss: leave the callback out"):
        Collapse(CollapseConfig()).on_log(trainer(tmp_path), {"loss": 1.0})
