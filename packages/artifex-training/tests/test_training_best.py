"""Early stopping hands on the best: the model, its averages and its figures, also in a run that was cut off between."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import RunWarning
from artifex.core.mesh import ShardingConfig
from artifex.training import Callback, Trainer, TrainerConfig, build_run, load_run
from artifex.training.callbacks import Checkpoint, CheckpointConfig, EarlyStop, EarlyStopConfig
from artifex.training.checkpoints import Checkpoints

TRAIN, HELD_OUT = np.full((16, 8), 10.0, np.float32), np.full((16, 8), 3.0, np.float32)
BEST_STEP, BEST = 3, 2.71
"""The parameter goes 1, 1.9, 2.71, 3.439, 4.0951 ...: the third step is nearest to the held-out 3."""


class Point(nnx.Module):
    """A parameter that goes a tenth of the way to the data at each step, and a count of the steps."""

    def __init__(self):
        self.point = nnx.Param(jnp.zeros(8))
        self.seen = nnx.BatchStat(jnp.zeros([]))

    def __call__(self, x, *, rngs=None):
        self.seen[...] += 1.0
        return {"away": x - self.point[...][None]}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.tile(self.point[...][None], (n_samples, 1))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["away"] ** 2)}


def fit(folder=None, *, more=(), resume=False, mesh=None, keep=2, steps=20, ema_decay=None, stop=None):
    optimizer = {"optimizer_type": "sgd", "learning_rate": 0.4}  # the gradient is 2 / 8 of the difference
    config = TrainerConfig(steps=steps, batch_size=16, evaluate_every=1, optimizer=optimizer, ema_decay=ema_decay)
    callbacks = [EarlyStop(EarlyStopConfig(**{"patience": 4} | (stop or {}))), *more]
    if folder is not None:
        callbacks.insert(1, Checkpoint(CheckpointConfig(every=1, keep=keep)))
    trainer = Trainer(Point(), config, seed=0, callbacks=callbacks, folder=folder, mesh=mesh)
    metrics = trainer.fit(TRAIN, HELD_OUT, resume=folder / "checkpoints" if resume else None)
    return trainer, metrics


class Interrupt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.step == self.step:
            raise KeyboardInterrupt


def assert_best(trainer, metrics):
    np.testing.assert_allclose(trainer.model.point[...], BEST, rtol=1e-6)
    assert trainer.model.seen[...] == BEST_STEP
    assert metrics["best_step"] == BEST_STEP
    assert metrics["eval/loss"] == pytest.approx((3 - BEST) ** 2, rel=1e-5)
    assert trainer.evaluate(HELD_OUT)["loss"] == pytest.approx(metrics["eval/loss"], rel=1e-6)


@pytest.mark.parametrize(
    "mesh", [None, ShardingConfig(fsdp_enabled=True, fsdp_min_weight_size=1)], ids=["one device", "fsdp over eight"]
)
def test_an_early_end_hands_on_the_best(mesh):
    trainer, metrics = fit(mesh=mesh)
    assert trainer.step == BEST_STEP + 4
    assert trainer.stop_reason.endswith("for 4 evaluations; the model is that of step 3")
    assert_best(trainer, metrics)


def test_so_does_a_planned_end():
    trainer, metrics = fit(steps=5)
    assert trainer.stop_reason is None
    assert_best(trainer, metrics)


def test_so_does_an_end_that_another_callback_asks_for():
    class Stop(Callback):
        def on_step(self, trainer):
            trainer.stop_reason = "enough" if trainer.step == 5 else None

    assert_best(*fit(more=[Stop()]))


def test_unless_it_is_not_wanted():
    trainer, metrics = fit(steps=5, stop={"restore_best": False})
    np.testing.assert_allclose(trainer.model.point[...], 10 * (1 - 0.9**5), rtol=1e-6)
    assert "best_step" not in metrics


def test_the_best_is_the_best_by_any_margin():
    trainer, metrics = fit(steps=5, stop={"min_delta": 100.0})
    assert_best(trainer, metrics)


def test_the_last_step_may_be_the_best():
    trainer, metrics = fit(steps=2)
    np.testing.assert_allclose(trainer.model.point[...], 1.9, rtol=1e-6)
    assert metrics["best_step"] == 2


def test_the_average_is_the_best_ones():
    trainer, metrics = fit(ema_decay=0.5)
    average, points = 0.0, [10 * (1 - 0.9**t) for t in range(1, 20)]
    averages = []
    for t, point in enumerate(points):
        decay = min(0.5, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * point
        averages.append(average)
    best = int(np.argmin(np.abs(np.array(averages) - 3)))
    assert metrics["best_step"] == best + 1
    np.testing.assert_allclose(trainer.evaluation_model().point[...], averages[best], rtol=1e-5)
    np.testing.assert_allclose(trainer.model.point[...], points[best], rtol=1e-5)
    assert trainer.evaluate(HELD_OUT)["loss"] == pytest.approx((averages[best] - 3) ** 2, rel=1e-4)


def test_checkpoints_keep_the_last_state_and_a_longer_run_goes_on_from_it(tmp_path):
    fit(tmp_path, steps=5)
    step, arrays = Checkpoints(tmp_path / "checkpoints").arrays("params")
    assert step == 5
    np.testing.assert_allclose(arrays["params.point"], 10 * (1 - 0.9**5), rtol=1e-6)
    trainer, metrics = fit(tmp_path, steps=6, resume=True)
    assert trainer.step == 6
    assert_best(trainer, metrics)


@pytest.mark.parametrize("cut", [3, 4, 6])
def test_the_best_survives_a_run_that_is_cut_off(tmp_path, cut):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, more=[Interrupt(cut)])
    trainer, metrics = fit(tmp_path, resume=True)
    assert trainer.step == BEST_STEP + 4
    assert_best(trainer, metrics)


def test_an_ended_run_that_is_taken_up_again_still_hands_on_the_best(tmp_path):
    fit(tmp_path)
    trainer, metrics = fit(tmp_path, resume=True)
    assert trainer.step == BEST_STEP + 4
    assert_best(trainer, metrics)


def test_no_more_of_them_are_kept_than_checkpoints_tell_of(tmp_path):
    fit(tmp_path, keep=1, steps=3)
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["2.safetensors", "3.safetensors"]
    assert [c.name for c in (tmp_path / "checkpoints").iterdir() if c.name.isdecimal()] == ["3"]


def test_what_a_killed_part_of_the_run_left_is_written_over(tmp_path):
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "3.safetensors").write_bytes(b"of other settings")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, more=[Interrupt(4)])
    assert_best(*fit(tmp_path, resume=True))


def test_a_best_that_is_lost_is_told_and_looked_for_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, more=[Interrupt(4)])
    (tmp_path / "best" / "3.safetensors").unlink()
    with pytest.warns(RunWarning, match="cannot hand on the best evaluation so far, that of step 3"):
        trainer, metrics = fit(tmp_path, resume=True)
    assert metrics["best_step"] == 5  # the first after the resumption
    np.testing.assert_allclose(trainer.model.point[...], 10 * (1 - 0.9**5), rtol=1e-6)


def test_the_command_says_whose_model_it_keeps(artifex):
    stop = "callbacks=[{kind: early_stop, patience: 1, min_delta: 1000}]"
    done = artifex("train", "tiny-run", "--set", stop, "--set", "training.optimizer.learning_rate=5.0")
    assert "the model is that of step 3" in done.err
    assert "  the model is that of step 3, of the best evaluation" in done.out


def test_a_run_saves_the_best(tiny, tmp_path):
    stop = {"kind": "early_stop", "patience": 1, "min_delta": 1e9}
    run = build_run(tiny.config(callbacks=[stop], training__optimizer__learning_rate=5.0))  # too high: it gets worse
    metrics = run.start(tmp_path)
    assert metrics["best_step"] < run.trainer.step
    saved = load_run(tmp_path)[1]
    np.testing.assert_array_equal(saved.up.kernel[...], run.trainer.model.up.kernel[...])
    assert metrics["eval/loss"] == pytest.approx(run.trainer.evaluate(run.evaluation)["loss"], rel=1e-6)
