"""The loop on the host around the compiled step: advance, log, evaluate, call back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.core.errors import NonFiniteLossError
from artifex.core.objectives import WeightedMean
from artifex.training.callbacks.base import Callback, Training
from artifex.training.feed import Feed
from artifex.training.loaders import HostBatch, Loader
from artifex.training.placement import Placement
from artifex.training.plan import Plan
from artifex.training.processes import put_global
from artifex.training.rate import Rate
from artifex.training.state import Flat, TrainState
from artifex.training.step import GRAD_NORM

__all__ = ["Loop", "all_finite", "evaluate", "means"]


class Loop:
    """Trains until the planned length is reached or a callback sets ``stop_reason``.

    Args:
        training: what is trained: its ``arrays``, ``step`` and ``metrics`` are carried on.
        plan: the compiled programs.
        feed: batches.
        callbacks: called in this order at each moment.
        log_every: steps between two lines of the log.
    """

    def __init__(self, training: Training, plan: Plan, feed: Feed, callbacks: Sequence[Callback], *, log_every: int):
        self._training, self._plan, self._feed, self._callbacks = training, plan, feed, callbacks
        self._on_step = [c for c in callbacks if type(c).on_step is not Callback.on_step]
        self._log_every, self._logged_at, self._rate = log_every, training.step, Rate(training.step, feed.loader.batch_size)

    def run(self, held_out: tuple[Loader, Placement, jax.Array] | None, evaluate_every: int) -> None:
        """Go on to the end; ``held_out`` is what :func:`evaluate` is given every ``evaluate_every`` steps."""
        training, total = self._training, self._plan.total_steps
        self._hand_round()  # what was logged at the start
        while training.step < total and training.stop_reason is None:
            training.arrays = self._plan.step(training.arrays, training.frozen, self._feed.next())
            training.step += 1
            if not self._rate.started:
                jax.block_until_ready(training.arrays)  # the first step is compiled, which is no part of the rate
                self._rate.start(training.step)
            last = training.step == total
            if training.step % self._log_every == 0 or last:
                self._log()
            if held_out is not None and (training.step % evaluate_every == 0 or last):
                self._evaluate(*held_out)
            try:
                for callback in self._on_step:
                    callback.on_step(training)
            except KeyboardInterrupt:  # the step itself is whole, and what was logged at it belongs to it
                self._hand_round()
                raise
            self._hand_round()
        if training.step > self._logged_at:  # stopped between two lines of the log
            self._log()
            self._hand_round()

    def _hand_round(self) -> None:
        """Tell all callbacks what callbacks have logged."""
        training = self._training
        with training.figures.taken() as figures:
            if figures:
                training.metrics |= figures
                for callback in self._callbacks:
                    callback.on_figures(training, figures)

    def _log(self) -> None:
        training, plan = self._training, self._plan
        sums, state = read_sums(plan.form.unflatten(training.arrays), plan.layout, training.step)
        training.arrays = plan.form.flatten(state)
        metrics = sums | plan.rates(training.step) | self._rate.read(training.step)
        training.metrics |= metrics
        self._logged_at = training.step
        for callback in self._callbacks:
            callback.on_log(training, metrics)

    def _evaluate(self, loader: Loader, placement: Placement, key: jax.Array) -> None:
        training = self._training
        jax.block_until_ready(training.arrays)  # steps that are still under way are no part of the evaluation
        with self._rate.paused():
            state = self._plan.form.unflatten(training.arrays)
            found = evaluate(self._plan, state, training.frozen, loader.one_pass(), placement, key)
            figures = {f"eval/{name}": value for name, value in found.items()}
            training.metrics |= figures
            for callback in self._callbacks:
                callback.on_evaluate(training, figures)


def evaluate(
    plan: Plan, state: TrainState, frozen: Flat, batches: Iterable[HostBatch], placement: Placement, key: jax.Array
) -> dict[str, float]:
    """Averages of every scalar of the objectives over ``batches``; batch ``i`` draws from ``fold_in(key, i)``."""
    parts = [plan.losses(state, frozen, placement.put(batch), jax.random.fold_in(key, i)) for i, batch in enumerate(batches)]
    return means(jax.tree.map(lambda *sums: np.sum(np.asarray(sums, np.float64), axis=0), *jax.device_get(parts)))


def means(sums: Mapping[str, WeightedMean]) -> dict[str, float]:
    """The mean of each scalar, from arrays of the host; NaN where it has no weight."""
    return {name: _mean(np.asarray(s.total, np.float64), np.asarray(s.weight, np.float64)) for name, s in sums.items()}


def _mean(total: np.ndarray, weight: np.ndarray) -> float:
    if not np.any(weight):
        return math.nan
    return float(np.sum(np.divide(total, weight, out=np.zeros_like(total), where=weight != 0)))


def read_sums(state: TrainState, layout: TrainState, step: int) -> tuple[dict[str, float], TrainState]:
    """Averages of the logged scalars since they were last read, of those that have any weight, and the state with new sums.

    Raises:
        NonFiniteLossError: a loss or a parameter is no finite number any more.
    """
    found: Any = jax.device_get((state.sums, state.bad_step, all_finite(state.params)))
    sums, bad_step, finite = found
    advice = "try a lower optimizer.learning_rate, optimizer.clip_norm, or look for bad values in the data"
    if bad_step >= 0:
        bad = (name for name, value in sums.items() if not np.all(np.isfinite(value.total)))
        terms = ", ".join(name for name in bad if name.split("/")[-1] != GRAD_NORM)
        raise NonFiniteLossError(f"the loss is not finite at step {int(bad_step)} (terms: {terms}); {advice}")
    if not finite:
        raise NonFiniteLossError(
            f"the parameters are not finite after step {step}, though the loss was: a gradient was not; "
            "optimizer.clip_value bounds one that is infinite, and one that is no number comes from a square root, a logarithm "
            "or a division at 0 in the loss"
        )
    fresh = state.replace(sums=put_global(jax.tree.map(np.zeros_like, sums), layout.sums))
    return means({name: value for name, value in sums.items() if np.any(value.weight)}), fresh


@jax.jit
def all_finite(params: Flat) -> jax.Array:
    """Whether every parameter is a finite number."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(p)) for p in params.values()]))
