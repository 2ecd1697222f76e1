"""The model of a run that goes on or was cut off, for engines that know of runs and not of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifex.core.config import Config, config
from artifex.training.checkpoints import CHECKPOINTS, latest_step

__all__ = ["NewestCheckpoint", "NewestCheckpointConfig"]


@config
class NewestCheckpointConfig(Config):
    """Which run."""

    folder: Path
    """The run's."""


class NewestCheckpoint:
    """The newest whole checkpoint of a run: a component of the slot ``run_model``."""

    def __init__(self, config: NewestCheckpointConfig) -> None:
        self.config = config

    @property
    def step(self) -> int | None:
        """Its step; None where the run has no checkpoint."""
        return latest_step(self.config.folder / CHECKPOINTS)

    def load(self) -> Any:
        """The model with its weights, as an evaluation in training uses them: averaged ones where the run averages."""
        from artifex.training.runs import load_run

        return load_run(self.config.folder)[1]
