"""Checkpoints along the way, and one at the end."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import RunError
from artifex.training.callbacks.base import Callback, Training, run_folder
from artifex.training.checkpoints import CHECKPOINTS, Checkpoints, latest_step
from artifex.training.full_disk import is_full_disk
from artifex.training.processes import ended_alike


@config
class CheckpointConfig(Config):
    """When to write checkpoints and how many to keep."""

    every: Annotated[int, Field(ge=1)] = 500
    """Steps between two checkpoints."""
    keep: Annotated[int, Field(ge=1)] = 2
    """How many of the newest stay."""


class Checkpoint(Callback):
    """Writes the training state to ``checkpoints/`` in the background: at the step itself only a copy is made in memory."""

    def __init__(self, config: CheckpointConfig):
        self.config = config
        self._checkpoints: Checkpoints | None = None

    def on_start(self, trainer: Training) -> None:
        folder = run_folder(trainer, "checkpoint") / CHECKPOINTS
        if (reached := latest_step(folder) or 0) > trainer.step:
            raise RunError(
                f"{folder} has a checkpoint of step {reached}, and this run is at step {trainer.step}; "
                "resume from there, or give the Trainer another folder"
            )
        self._checkpoints = Checkpoints(folder, keep=self.config.keep)

    def on_step(self, trainer: Training) -> None:
        if self._checkpoints is None:
            return
        self._checkpoints.check()
        if trainer.step % self.config.every == 0 and trainer.is_sound():
            trainer.save_checkpoint(self._checkpoints)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if self._checkpoints is None or not ended_alike(error):
            return  # other processes do not come to write with this one, nor to finish what is being written
        checkpoints, self._checkpoints = self._checkpoints, None
        with checkpoints:
            # what was reached is worth keeping when the run was interrupted, but not when its numbers have gone bad;
            # and where the disk is full there is no room for it
            if trainer.step and trainer.is_sound() and not is_full_disk(error):
                trainer.save_checkpoint(checkpoints)
