"""Several processes: two over loopback, four virtual CPU devices each, train as one process with eight does."""

import json
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

from artifex.core.errors import InvalidInputError, NonFiniteLossError, RunError
from artifex.core.mesh import ShardingConfig
from artifex.core.storage import flat_weights, load_model
from artifex.training import GrainLoader, build_run
from artifex.training.checkpoints import latest_step
from artifex.training.placement import Placement
from artifex.training.processes import (
    ADDRESS,
    COUNT,
    HEARTBEAT_S,
    INDEX,
    Interrupted,
    ask_first,
    ended_alike,
    gathered,
    put_global,
    start_processes,
)

FIELDS = {
    "model__size": 16,
    "model__latent_dim": 8,
    "data__dataset__examples": 64,
    "data__dataset__size": 16,
    "data__dataset__held_out_size": 16,
    "data__dataset__held_out_examples": 20,  # a batch that splits over eight devices, and one that does not
    "training__batch_size": 16,
    "training__log_every": 1,
}
FSDP = {"fsdp_enabled": True, "fsdp_min_weight_size": 1}


class Pair:
    """The two processes of one run, ``devices`` each; they start it, or are told what else to do by ``command``."""

    def __init__(self, tiny, folder, fields, command=("run.yaml", "-o", "run"), devices=4):
        self.folder, self._tiny, self._command, self._devices = folder, tiny, command, devices
        tiny.config(**fields).to_yaml(folder / "run.yaml")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.processes = [self._start(index, address) for index in range(2)]

    def _start(self, index, address):
        environment = {
            ADDRESS: address,
            COUNT: "2",
            INDEX: str(index),
            "JAX_COORDINATOR_BIND_ADDRESS": address,
            "JAX_NUM_CPU_DEVICES": str(self._devices),
            "JAX_PLATFORMS": "cpu",
        }
        with (self.folder / f"output_{index}.txt").open("w") as file:
            command = ("train", *self._command, "--distributed")
            options = {"cwd": self.folder, "stdout": file, "stderr": subprocess.STDOUT}
            return self._tiny.popen(*command, environment=environment, **options)

    def wait_for(self, moment):
        deadline = time.monotonic() + 120
        while not moment(self.folder / "run") and time.monotonic() < deadline:
            assert all(process.poll() is None for process in self.processes), self.outputs()
            time.sleep(0.05)

    def codes(self, timeout=120):
        deadline = time.monotonic() + timeout
        return [process.wait(deadline - time.monotonic()) for process in self.processes]

    def outputs(self):
        return [(self.folder / f"output_{index}.txt").read_text() for index in range(2)]


@pytest.fixture
def pair(tiny, tmp_path):
    started = []

    def start(options=None, **changes):
        (tmp_path / "two").mkdir(exist_ok=True)
        started.append(Pair(tiny, tmp_path / "two", FIELDS | changes, **(options or {})))
        return started[-1]

    yield start
    for process in [process for each in started for process in each.processes]:
        process.kill()
        process.wait()


def curve(folder):
    """Every loss of a run, training and evaluation, with its step."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], name, line[name]) for line in lines for name in ("loss", "eval/loss") if name in line]


def assert_one_curve(left, right):
    assert [entry[:2] for entry in left] == [entry[:2] for entry in right]
    np.testing.assert_allclose([entry[2] for entry in left], [entry[2] for entry in right], rtol=1e-5)


def weights(model):
    return {name: np.asarray(array) for name, array in flat_weights(model).items()}


def assert_close(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():  # sums in another order, twenty steps of Adam: some hundred roundings
        np.testing.assert_allclose(value, right[name], atol=1e-4, err_msg=name)


def test_what_is_laid_out_comes_back():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    tree = {"a": np.arange(16.0).reshape(8, 2), "b": np.float32(3)}
    laid = put_global(tree, {"a": NamedSharding(mesh, P("data")), "b": NamedSharding(mesh, P())})
    assert laid["a"].addressable_shards[3].data.tolist() == [[6.0, 7.0]]
    jax.tree.map(np.testing.assert_array_equal, gathered(laid), tree)


def test_a_process_that_has_all_devices_has_all_rows():
    placement, x = Placement(ShardingConfig(data_parallel_size=4)), np.arange(16.0).reshape(8, 2)
    assert placement.share(8).tolist() == list(range(8))
    laid = placement.put_share({"x": x}, 8)["x"]
    np.testing.assert_array_equal(laid, x)
    assert laid.sharding == placement.split


def test_parts_of_batches_are_those_of_the_whole_batches():
    source = [{"x": np.full(2, i)} for i in range(12)]
    whole, part = (GrainLoader(source, batch_size=4, seed=3) for _ in range(2))
    for _ in range(5):
        rows = next(whole)["x"]
        np.testing.assert_array_equal(part.next_part(np.array([1, 3]))["x"], rows[[1, 3]])
    assert part.state() == whole.state()


def test_what_the_first_process_is_asked():
    def refuse():
        raise RunError("no")

    assert ask_first(lambda: "hellö") == "hellö"
    with pytest.raises(RunError, match="no"):
        ask_first(refuse)


def test_which_errors_all_processes_meet(monkeypatch):
    assert all(ended_alike(error) for error in (None, OSError(), Interrupted()))  # a process that is alone has no other
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert all(ended_alike(error) for error in (None, NonFiniteLossError(), Interrupted()))
    assert not any(ended_alike(error) for error in (OSError(), KeyboardInterrupt(), RunError()))


def test_a_mesh_leaves_no_process_out(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InvalidInputError, match="devices of 1 of 2 processes, and each has to take part"):
        Placement(None)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({COUNT: "2"}, "JAX_NUM_PROCESSES alone will not do; set all three"),
        ({ADDRESS: "here:1", INDEX: "0"}, "JAX_COORDINATOR_ADDRESS, JAX_PROCESS_ID alone will not do"),
        ({ADDRESS: "here:1", COUNT: "two", INDEX: "0"}, "whole numbers, got 'two' and '0'"),
    ],
)
def test_an_environment_that_does_not_add_up(monkeypatch, environment, message):
    for name in (ADDRESS, COUNT, INDEX):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError, match=message):
        start_processes()


def test_distributed_where_nothing_tells_of_others(tiny, tmp_path):
    process = tiny.popen("train", "tiny-run", "--distributed", cwd=tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "--distributed: nothing tells of other processes (coordinator_address should be defined.)" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_two_processes_train_as_one(pair, tiny, tmp_path):
    changes = {"mesh": FSDP, "training__ema_decay": 0.9}
    two = pair(**changes)
    one = build_run(tiny.config(**FIELDS | changes))
    (tmp_path / "one").mkdir()
    one.start(tmp_path / "one")
    assert (one.trainer.mesh.size, one.trainer.step) == (8, 20)
    assert two.codes() == [0, 0], two.outputs()
    folder = two.folder / "run"
    assert_one_curve(curve(folder), curve(tmp_path / "one"))
    assert_close(weights(load_model(folder / "model")), weights(load_model(tmp_path / "one" / "model")))

    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("config.yaml", "environment.json", "metrics.jsonl", "summary.json", "report.html"),
        *("checkpoints", "samples", "model"),
    }
    assert len(json.loads((folder / "environment.json").read_text())["devices"]) == 8
    first, second = two.outputs()
    assert "done: step 20" in first
    for text in ("done", "run folder", "loss", "step"):
        assert text not in second

    restored = build_run(tiny.config(**FIELDS | changes))  # by one process what two have written
    restored.trainer.restore(restored.train, folder / "checkpoints")
    assert restored.trainer.step == 20
    assert_close(weights(restored.trainer.evaluation_model()), weights(load_model(folder / "model")))


@pytest.mark.nightly
def test_processes_run_ahead_of_their_devices(pair, tiny, tmp_path):
    """Nothing waits for a step before the sixtieth; the devices need threads for each other and for the steps that wait."""
    changes = {
        "model__depth": 6,
        "data__dataset__held_out_size": None,
        "training__epochs": 15,
        "training__log_every": 60,
        "callbacks": [{"kind": "metrics_file"}],
    }
    two = pair(**changes)
    one = build_run(tiny.config(**FIELDS | changes | {"mesh": {}}))
    (tmp_path / "one").mkdir()
    one.start(tmp_path / "one")
    assert two.codes() == [0, 0], two.outputs()
    assert_one_curve(curve(two.folder / "run"), curve(tmp_path / "one"))


@pytest.mark.nightly
def test_a_signal_to_one_process_stops_both_at_one_step(pair, tiny, tmp_path):
    """Each reads its own part of every batch; what they reached on eight devices, they go on from with one device each."""
    changes = {"data__dataset__read_singly": True, "training__evaluate_every": 10**9}
    two = pair(**changes, training__epochs=10**6)
    two.wait_for(lambda folder: latest_step(folder / "checkpoints") is not None)
    two.processes[1].send_signal(signal.SIGTERM)
    assert two.codes() == [143, 143], two.outputs()
    folder = two.folder / "run"
    step = latest_step(folder / "checkpoints")
    assert f"stopped at step {step}; go on: artifex train --resume run" in two.outputs()[0]
    assert not (folder / "model").exists()

    length = ["--set", f"training.steps={step + 4}", "--set", "training.epochs=null"]
    resumed = pair({"command": ("run", "--resume", *length), "devices": 1}, **changes)
    changes |= {"mesh": {}, "training__epochs": None, "training__steps": step + 4}
    (tmp_path / "one").mkdir()
    build_run(tiny.config(**FIELDS | changes)).start(tmp_path / "one")
    assert resumed.codes() == [0, 0], resumed.outputs()
    assert_one_curve(curve(folder), curve(tmp_path / "one"))


@pytest.mark.nightly
def test_a_process_does_not_wait_for_a_dead_one(pair):
    """It says so where a message between devices fails; else JAX misses the other's heartbeat, and aborts."""
    callbacks = [{"kind": "metrics_file"}, {"kind": "checkpoint", "every": 10**6}]
    two = pair(mesh=FSDP, training__epochs=10**6, training__log_every=100, callbacks=callbacks)
    two.wait_for(lambda folder: (folder / "metrics.jsonl").exists() and len(curve(folder)) > 3)
    two.processes[1].kill()
    first, second = two.codes(timeout=2 * HEARTBEAT_S + 30)  # noticed, and the others told
    assert second == -signal.SIGKILL
    assert first in (2, -signal.SIGABRT), two.outputs()
    if first == 2:
        assert "artifex: this process lost the others" in two.outputs()[0]
