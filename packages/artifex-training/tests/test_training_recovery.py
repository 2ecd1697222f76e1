"""Recovery: whatever ended a run, its folder is whole, and what goes on from it is the run that was never ended."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import NonFiniteLossError, RunError, RunInUseError, RunWarning
from artifex.core.mesh import ShardingConfig
from artifex.training import Callback, Trainer, TrainerConfig, orbax_store
from artifex.training.callbacks import (
    Checkpoint,
    CheckpointConfig,
    MetricsFile,
    MetricsFileConfig,
    TensorBoard,
    TensorBoardConfig,
)
from artifex.training.checkpoints import Checkpoints, latest_step
from artifex.training.run_lock import LOCK_FILE, hold

FSDP = ShardingConfig(fsdp_enabled=True, fsdp_min_weight_size=1)


class Noisy(nnx.Module):
    """A line with noise, dropout and a count of its batches: all that a resumed run has to take up."""

    def __init__(self, seed=0):
        rngs = nnx.Rngs(seed)
        self.line = nnx.Linear(8, 8, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.seen = nnx.BatchStat(jnp.zeros([]))

    def __call__(self, x, *, rngs=None):
        self.seen[...] += 1.0
        return {"x": self.dropout(self.line(x + jax.random.normal(rngs.sample(), x.shape)))}

    def generate(self, n_samples=1, *, rngs=None):
        return self.line(jnp.zeros((n_samples, 8)))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"]) ** 2)}


DATA = np.random.default_rng(3).normal(size=(80, 8)).astype(np.float32)


def in_memory():
    return {"x": DATA}


def one_by_one():
    return [{"x": row} for row in DATA]


def config(**changes):
    optimizer = {"optimizer_type": "adamw", "learning_rate": 1e-2, "weight_decay": 0.01, "clip_norm": 1.0}
    settings = {"steps": 20, "batch_size": 16, "log_every": 3, "optimizer": optimizer, "ema_decay": 0.9, "accumulate": 2}
    return TrainerConfig(**(settings | changes))


def train(folder, *, more=(), sharding=None, data=in_memory, resume=False, model=None, every=4, **changes):
    callbacks = [MetricsFile(MetricsFileConfig()), Checkpoint(CheckpointConfig(every=every)), *more]
    trainer = Trainer(model or Noisy(), config(**changes), seed=4, mesh=sharding, callbacks=callbacks, folder=folder)
    trainer.fit(data(), DATA[:16], resume=folder / "checkpoints" if resume else None)
    return trainer


def figures(folder):
    """What ``metrics.jsonl`` says, without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("_per_second")} for line in lines]


def data_file(checkpoint):
    """The file of a checkpoint that holds the arrays, or most of them."""
    return max((path for path in checkpoint.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def assert_same(one, other):
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


class Photograph(Callback):
    """Copies the run's folder at some steps, as it is at that moment: what a SIGKILL there would have left."""

    def __init__(self, steps, where):
        self.steps, self.where = steps, where

    def on_step(self, trainer):
        if trainer.step in self.steps:
            target = self.where / str(trainer.step)
            try:
                shutil.copytree(trainer.folder, target)
            except shutil.Error:  # a file of a checkpoint got its name amid the copy
                shutil.rmtree(target)
                trainer.callbacks[1]._checkpoints.wait()
                shutil.copytree(trainer.folder, target)


@pytest.mark.daily("one_by_one-fsdp over eight", "in_memory-one device")
@pytest.mark.parametrize("sharding", [None, FSDP], ids=["one device", "fsdp over eight"])
@pytest.mark.parametrize("data", [in_memory, one_by_one])
def test_killed_at_any_step_and_resumed_is_the_run_that_was_never_killed(tmp_path, sharding, data):
    # from 9 on: the save of step 8 has waited for that of step 4
    steps = sorted(random.Random(f"{sharding}{data.__name__}").sample(range(9, 20), 2))
    photograph = Photograph(steps, tmp_path / "killed")
    whole = train(tmp_path / "whole", more=[photograph], sharding=sharding, data=data)
    for step in steps:
        folder = tmp_path / "killed" / str(step)
        assert (folder / LOCK_FILE).exists()
        assert latest_step(folder / "checkpoints") in (step // 4 * 4, step // 4 * 4 - 4)  # the last may not have been done
        resumed = train(folder, sharding=sharding, data=data, resume=True, model=Noisy(7))
        assert_same(whole.state, resumed.state)
        assert whole.loader.state() == resumed.loader.state()
        assert figures(folder) == figures(tmp_path / "whole")
        assert not (folder / LOCK_FILE).exists()


def test_killed_twice(tmp_path):
    whole = train(tmp_path / "whole", more=[Photograph([9], tmp_path / "once")])
    train(tmp_path / "once" / "9", resume=True, more=[Photograph([14], tmp_path / "twice")])
    assert_same(whole.state, train(tmp_path / "twice" / "14", resume=True).state)
    assert figures(tmp_path / "twice" / "14") == figures(tmp_path / "whole")


@pytest.mark.parametrize("moment", ["write_part", "write_whole"])
def test_killed_amid_a_save_goes_on_from_the_checkpoint_before(tmp_path, monkeypatch, moment):
    """When the arrays are written, and when all is written but the step's name: what a SIGKILL then would have left."""
    whole, seen, original = train(tmp_path / "whole"), [], getattr(orbax_store, moment)

    def photographed(folder, *arguments):
        seen.append(folder)
        if len(seen) == 3:  # amid the checkpoint of step 12
            shutil.copytree(tmp_path / "run", tmp_path / "killed")
        original(folder, *arguments)

    monkeypatch.setattr(orbax_store, moment, photographed)
    train(tmp_path / "run")
    monkeypatch.undo()
    checkpoints = tmp_path / "killed" / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["12.orbax-checkpoint-tmp", "4", "8"]
    assert latest_step(checkpoints) == 8
    assert_same(whole.state, train(tmp_path / "killed", resume=True).state)
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    assert sorted(path.name for path in checkpoints.iterdir()) == ["16", "20"]


# in processes of their own, with a real SIGKILL

LONG = {"training.epochs": "null", "training.steps": "3000", "training.log_every": "10", "training.ema_decay": "0.9"}
LONG |= {"training.accumulate": "2", "callbacks": "[{kind: metrics_file}, {kind: checkpoint, every: 100}]"}


def start(tiny, folder, *arguments, devices=None, **changes):
    settings = [part for name, value in (LONG | changes).items() for part in ("--set", f"{name}={value}")]
    return tiny.popen("train", *arguments, *settings, cwd=folder.parent, devices=devices)


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def kill_at(process, folder, step):
    """Kill ``process`` when its log has reached ``step`` and there is a checkpoint."""
    deadline = time.monotonic() + 300
    while latest_step(folder / "checkpoints") is None or figures(folder)[-1]["step"] < step:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def everything(folder):
    checkpoints = Checkpoints(folder / "checkpoints")
    step, arrays = checkpoints.arrays("step", "params", "model_state", "opt", "ema", "sums")
    return {"step": step} | {name: np.asarray(array).tobytes() for name, array in arrays.items()}


@pytest.mark.nightly
def test_a_real_kill_and_resume_by_the_command_line(tiny, tmp_path):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    finish(start(tiny, whole, "tiny-run", "-o", "whole"))
    kill_at(start(tiny, folder, "tiny-run", "-o", "run"), folder, random.randrange(200, 1500))
    assert (folder / LOCK_FILE).exists()
    assert "done: step 3000" in finish(tiny.popen("train", "--resume", "run", cwd=tmp_path))
    assert everything(folder) == everything(whole)
    assert figures(folder) == figures(whole)
    assert [line["step"] for line in figures(folder) if "loss" in line] == list(range(10, 3001, 10))


@pytest.mark.nightly
@pytest.mark.parametrize("path", ["in memory", "grain"])
@pytest.mark.parametrize("devices", [1, 8])
def test_real_kills_one_after_another(tiny, tmp_path, path, devices):
    changes = {"data.dataset.read_singly": str(path == "grain").lower()}
    if devices == 8:
        changes |= {"mesh": "{fsdp_enabled: true, fsdp_min_weight_size: 1}", "training.batch_size": "16"}
    folder, whole = tmp_path / "run", tmp_path / "whole"
    finish(start(tiny, whole, "tiny-run", "-o", "whole", devices=devices, **changes))
    process, reached = start(tiny, folder, "tiny-run", "-o", "run", devices=devices, **changes), 0
    for _ in range(3):
        reached += random.randrange(200, 700)
        kill_at(process, folder, reached)
        process = tiny.popen("train", "--resume", "run", cwd=tmp_path, devices=devices)
    finish(process)
    assert everything(folder) == everything(whole)
    assert figures(folder) == figures(whole)


# a damaged checkpoint


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_says_so(tmp_path):
    whole = train(tmp_path / "whole")
    folder = tmp_path / "run"
    train(folder, steps=16)  # checkpoints of steps 12 and 16
    file = data_file(folder / "checkpoints" / "16")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.warns(RunWarning, match=r"checkpoints/16 is damaged \(.*cut off.*\); the one of step 12 is used instead"):
        resumed = train(folder, resume=True)
    assert_same(whole.state, resumed.state)
    assert figures(folder) == figures(tmp_path / "whole")
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["16", "16.damaged", "20"]


def test_a_damaged_checkpoint_by_the_command_line(artifex, tmp_path):
    assert artifex("train", "tiny-run", "-o", "run").code == 0
    shutil.rmtree(tmp_path / "run" / "model")  # as if it had been cut off before its end
    data_file(tmp_path / "run" / "checkpoints" / "15").write_bytes(b"")
    drawn = artifex("sample", "run", "-n", "2")
    assert drawn.code == 0
    resumed = artifex("train", "--resume", "run")
    assert resumed.out.startswith("done: step 15")
    for err in (drawn.err, resumed.err):
        line = next(line for line in err.splitlines() if "damaged" in line)
        assert line.startswith("artifex: warning: checkpoint ")
        assert line.endswith("the one of step 12 is used instead")
    shutil.rmtree(tmp_path / "run" / "model")
    for folder in (tmp_path / "run" / "checkpoints").glob("1?"):
        (folder / "checksums.json").unlink()
    for command in (["sample", "run"], ["train", "--resume", "run"]):
        failed = artifex(*command)
        assert failed.code == 2
        assert "all are damaged (15: checksums.json is missing; 12: checksums.json is missing)" in failed.err


# two processes on one folder

HOLDER = """
import sys, time
from pathlib import Path
from artifex.training.run_lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_held_until_its_process_ends_even_by_a_kill(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunInUseError, match=rf"{tmp_path} is in use by process {process.pid} on \S+ since 20\d\d-"):
            hold(tmp_path).__enter__()
        process.kill()
    assert (tmp_path / LOCK_FILE).exists()
    with hold(tmp_path):
        with pytest.raises(RunInUseError, match=f"process {os.getpid()} on"), hold(tmp_path):
            pass
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_two_trainers_do_not_share_a_folder(tmp_path):
    class Intruder(Callback):
        def on_start(self, trainer):
            with pytest.raises(RunInUseError, match="is in use by process"):
                train(tmp_path)

    train(tmp_path, more=[Intruder()])


def test_a_run_that_is_refused_leaves_the_others_folder_alone(artifex, tmp_path, monkeypatch):
    from artifex.training import runs

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "theirs").write_text("")
    # between the look at the folder and the start of training, another process took it
    monkeypatch.setattr(runs, "new_folder", lambda *arguments: tmp_path / "run")
    with hold(tmp_path / "run"):
        refused = artifex("train", "tiny-run")
        assert refused.code == 2
        assert "is in use by process" in refused.err
        assert (tmp_path / "run" / "theirs").exists()


@pytest.mark.nightly
def test_sigterm_saves_and_ends_with_143_and_meanwhile_the_run_is_its_own(tiny, artifex, tmp_path):
    folder = tmp_path / "run"
    process = tiny.popen("train", "tiny-run", "-o", str(folder), "--set", "training.epochs=1000000", cwd=tmp_path)
    deadline = time.monotonic() + 120
    while latest_step(folder / "checkpoints") is None and time.monotonic() < deadline:
        time.sleep(0.1)
    refused = artifex("train", "--resume", folder)
    assert refused.code == 2
    assert f"{folder} is in use by process {process.pid} on" in refused.err
    assert artifex("sample", folder, "-n", "2").code == 0
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    step = latest_step(folder / "checkpoints")
    assert f"stopped at step {step}; go on: artifex train --resume {folder}" in err
    assert "Traceback" not in err
    assert process.returncode == 143
    assert not (folder / "model").exists()
    assert not (folder / LOCK_FILE).exists()
    Checkpoints(folder / "checkpoints").arrays("params")  # whole


def test_a_signal_while_the_step_is_compiled_ends_the_run_after_one_step(tmp_path, monkeypatch):
    planned = Trainer._new_plan

    def slowly(self, *arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return planned(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "_new_plan", slowly)
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(tmp_path)
    assert stopped.value.args == (signal.SIGTERM,)
    assert latest_step(tmp_path / "checkpoints") == 1


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(tiny, artifex, tmp_path):
    for name, files in {"begun": {LOCK_FILE, "config.yaml"}, "barely": {LOCK_FILE}}.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text(tiny.config().to_yaml() if file == "config.yaml" else "")
    resumed = artifex("train", "--resume", tmp_path / "begun")
    assert resumed.code == 0, resumed.err
    assert "has no checkpoint yet: it starts anew" in resumed.err
    again = artifex("train", "tiny-run", "-o", tmp_path / "barely")
    assert again.code == 0, again.err
    assert figures(tmp_path / "begun") == figures(tmp_path / "barely")


def test_a_signal_while_the_run_ends_cuts_nothing_off(tmp_path):
    class Late(Callback):
        def on_end(self, trainer, error):
            os.kill(os.getpid(), signal.SIGINT)

    train(tmp_path, more=[Late()], every=50)
    assert latest_step(tmp_path / "checkpoints") == 20


# a full disk


class Fills(Callback):
    """Has the disk be full from a step on, for one kind of writer."""

    def __init__(self, step, monkeypatch, what):
        self.step, self.monkeypatch, self.what = step, monkeypatch, what

    def on_step(self, trainer):
        if trainer.step == self.step:
            self.what(trainer, self.monkeypatch)


def no_space(folder, *arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{folder}/checksums")


def in_checkpoints(trainer, monkeypatch):
    trainer.callbacks[1]._checkpoints.wait()  # for the last one that finds room
    monkeypatch.setattr(orbax_store, "write_part", no_space)


def in_metrics(trainer, monkeypatch):
    trainer.callbacks[0]._file.close()
    trainer.callbacks[0]._file = Path("/dev/full").open("w")  # noqa: SIM115


def in_events(trainer, monkeypatch):
    trainer.callbacks[2]._file.close()
    trainer.callbacks[2]._file = Path("/dev/full").open("wb")  # noqa: SIM115


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("what", "names", "last"),
    [(in_checkpoints, r"checkpoints/8\.orbax\S+", 4), (in_metrics, "/dev/full", 8), (in_events, "/dev/full", 8)],
    ids=["checkpoints", "metrics", "events"],
)
def test_a_full_disk_ends_the_run_in_words_with_its_last_checkpoint_whole(tmp_path, monkeypatch, what, names, last):
    fills = Fills(6, monkeypatch, what)
    message = rf"the disk is full: \S*{names} could not be written \(\S+ \wB free in {tmp_path}\)\n"
    message += f"  Free some space, then resume from the checkpoint of step {last}, which is whole"
    with pytest.raises(RunError, match=message):
        train(tmp_path, more=[TensorBoard(TensorBoardConfig()), fills], every=4)
    monkeypatch.undo()
    assert latest_step(tmp_path / "checkpoints") == last
    assert all(path.name.isdecimal() for path in (tmp_path / "checkpoints").iterdir())
    whole = train(tmp_path / "whole")
    assert_same(whole.state, train(tmp_path, resume=True).state)
    assert figures(tmp_path) == figures(tmp_path / "whole")


@pytest.mark.nightly
def test_a_full_disk_by_the_command_line(tiny, tmp_path):
    """On a real file system of 400 kB, in a name space of its own, which goes away with the process."""
    (tmp_path / "small").mkdir()
    mount = 'mount -t tmpfs -o size=400k tmpfs small || exit 99\n"$@"; code=$?\ncp -r small/run kept; exit $code'
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a small file system")
    process = tiny.popen(
        *("train", "tiny-run", "-o", "small/run", "--set", "training.epochs=100000", "--set", "training.log_every=1"),
        before=("unshare", "-rm", "sh", "-c", mount, "sh"),
        cwd=tmp_path,
    )
    _, err = process.communicate(timeout=300)
    if process.returncode in (1, 99) and "artifex" not in err:
        pytest.skip(f"a small file system cannot be mounted here: {err}")
    assert process.returncode == 2, err
    assert "Traceback" not in err
    assert "artifex: the disk is full: " in err
    assert "a file in" not in err  # it is named
    step = latest_step(tmp_path / "kept" / "checkpoints")
    assert f"then resume from the checkpoint of step {step}, which is whole." in err
    assert Checkpoints(tmp_path / "kept" / "checkpoints").arrays("params")[0] == step


# numbers gone bad


class Breaks(Noisy):
    """Its loss is infinite from the twelfth step on, as long as the steps are long."""

    def loss_fn(self, batch, outputs, *, step):
        penalty = jnp.where(step >= 11, jnp.inf, 1.0)
        return super().loss_fn(batch, outputs) | {"loss": jnp.mean(outputs["x"] ** 2) + penalty, "penalty": penalty}


def test_numbers_gone_bad_are_told_with_the_last_good_checkpoint(tmp_path):
    good = rf"not finite at step 12 \(terms: loss, penalty\); .*\n.*the last good checkpoint is {tmp_path}/checkpoints/8$"
    with pytest.raises(NonFiniteLossError, match=good):
        train(tmp_path, model=Breaks(), log_every=20)
    assert Checkpoints(tmp_path / "checkpoints").arrays("step")[0] == 8
    with pytest.raises(NonFiniteLossError, match="there is no checkpoint from before"):
        train(tmp_path / "none", model=Breaks(), every=50)


def test_the_command_that_a_failed_run_recommends_works(artifex, tmp_path):
    settings = ("--set", "callbacks.2.every=1", "--set", "data.dataset.bad_value=true", "--set", "seed=1")
    failed = artifex("train", "tiny-run", "-o", "run", *settings)
    assert failed.code == 2
    assert "the loss is not finite at step 3" in failed.err  # with this seed the bad example is in the third batch
    *_, checkpoint, command, further_back = failed.err.splitlines()
    assert checkpoint.endswith("run/checkpoints/2; with a lower rate, for example:")
    assert command == "  artifex train --resume run --set training.optimizer.learning_rate=0.001"
    assert further_back == "  should that fail too, delete run/checkpoints/2: it then goes on from step 1"
    again = artifex(*command.split()[1:], "--set", "data.dataset.bad_value=false")
    assert again.out.startswith("done: step 15")
