"""Stopping when a figure no longer improves."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.training.callbacks.base import Callback, Training
from artifex.training.step import GRAD_NORM


@config
class EarlyStopConfig(Config):
    """Which figure has to improve, and how long it may fail to."""

    metric: str = "eval/loss"
    """The figure, by the name an evaluation gives it in the log."""
    patience: Annotated[int, Field(ge=1)] = 5
    """Evaluations in a row without an improvement after which the run ends."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """Improvements of this or less do not count."""
    higher_is_better: bool = False
    """Which way is better."""


class EarlyStop(Callback):
    """Ends the run when the figure has not improved for ``patience`` evaluations."""

    def __init__(self, config: EarlyStopConfig):
        self.config = config
        self.best: float | None = None
        self.waited = 0

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        name = self.config.metric
        self._check_name(metrics)
        value = metrics[name] if self.config.higher_is_better else -metrics[name]
        if math.isfinite(value) and (self.best is None or value > self.best + self.config.min_delta):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        self._stop_when_tired(trainer)

    def on_start(self, trainer: Training) -> None:
        assert trainer.state is not None
        self._check_name([f"eval/{name}" for name in trainer.state.sums if name.split("/")[-1] != GRAD_NORM])
        if trainer.step == 0:  # a new training, of which nothing is known
            self.best, self.waited = None, 0
        self._stop_when_tired(trainer)  # a run that was stopped stays so when it is taken up again

    def _check_name(self, known: Collection[str]) -> None:
        if self.config.metric not in known:
            raise InvalidInputError(f"early_stop watches {self.config.metric!r}, but an evaluation gives {', '.join(known)}")

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]

    def _stop_when_tired(self, trainer: Training) -> None:
        name = self.config.metric
        if self.waited >= self.config.patience:
            best = math.nan if self.best is None else self.best if self.config.higher_is_better else -self.best
            trainer.stop_reason = f"{name} has not improved on {best:.6g} for {self.waited} evaluations"
