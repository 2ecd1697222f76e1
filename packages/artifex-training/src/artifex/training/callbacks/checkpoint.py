"""Checkpoints along the way, and one at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import RunError
from artifex.training.callbacks.base import Callback, Training, run_folder
from artifex.training.checkpoints import CHECKPOINTS, Checkpoints, latest_step
from artifex.training.full_disk import is_full_disk
from artifex.training.processes import ended_alike, is_multiprocess


@config
class CheckpointConfig(Config):
    """When to write checkpoints and how many to keep. The end of a run and a signal that ends it also write one."""

    every_minutes: Annotated[float, Field(gt=0)] | None = 5.0
    """Minutes between two checkpoints; None for none by the clock."""
    every: Annotated[int, Field(ge=1)] | None = None
    """Steps between two checkpoints, besides."""
    keep: Annotated[int, Field(ge=1)] = 2
    """How many of the newest stay."""
    best_metric: str | None = None
    """A figure of the evaluations, ``eval/loss`` say: whenever it is the best so far a checkpoint is written, and the best one
    stays besides the newest."""
    higher_is_better: bool = False
    """Which way ``best_metric`` is better."""


class Checkpoint(Callback):
    """Writes the training state to ``checkpoints/`` in the background: at the step itself only a copy is made in memory."""

    def __init__(self, config: CheckpointConfig):
        self.config = config
        self._checkpoints: Checkpoints | None = None
        self._is_due = False
        self._last = 0.0

    def on_start(self, trainer: Training) -> None:
        folder = run_folder(trainer, "checkpoint") / CHECKPOINTS
        if (reached := latest_step(folder) or 0) > trainer.step:
            raise RunError(
                f"{folder} has a checkpoint of step {reached}, and this run is at step {trainer.step}; "
                "resume from there, or give the Trainer another folder"
            )
        self._checkpoints = Checkpoints(
            folder,
            keep=self.config.keep,
            best_metric=self.config.best_metric,
            higher_is_better=self.config.higher_is_better,
        )
        self._is_due, self._last = False, time.monotonic()

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        if self._checkpoints is not None and self._checkpoints.evaluated(trainer.step, metrics):
            self._is_due = True

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        if is_multiprocess():  # only here, where the log has waited for all of them anyway, are others asked for their clocks
            self._is_due |= self._first_says(self._time_is_up())

    def on_step(self, trainer: Training) -> None:
        if self._checkpoints is None:
            return
        self._checkpoints.check()
        by_steps = self.config.every is not None and trainer.step % self.config.every == 0
        by_clock = not is_multiprocess() and self._time_is_up()
        if (self._is_due or by_steps or by_clock) and trainer.is_sound():
            trainer.save_checkpoint(self._checkpoints)
            self._is_due, self._last = False, time.monotonic()

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if self._checkpoints is None or not ended_alike(error):
            return  # other processes do not come to write with this one, nor to finish what is being written
        checkpoints, self._checkpoints = self._checkpoints, None
        with checkpoints:
            # what was reached is worth keeping when the run was interrupted, but not when its numbers have gone bad;
            # and where the disk is full there is no room for it
            if trainer.step and trainer.is_sound() and not is_full_disk(error):
                trainer.save_checkpoint(checkpoints)

    def _time_is_up(self) -> bool:
        minutes = self.config.every_minutes
        return minutes is not None and time.monotonic() - self._last >= 60 * minutes

    @staticmethod
    def _first_says(answer: bool) -> bool:
        """The answer of the first process, whose clock counts: all of them write at the same step."""
        from jax.experimental import multihost_utils

        return bool(multihost_utils.broadcast_one_to_all(np.int32(answer)))
