"""Weights & Biases."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.training.callbacks.base import Callback, Training


@config
class WandbConfig(Config):
    """Where the run is logged."""

    project: str
    """Project on Weights & Biases."""
    entity: str | None = None
    """Team or user; the account's default when left out."""
    offline: bool = False
    """Keep the run on this machine, for ``wandb sync`` later."""


class Wandb(Callback):
    """Logs every figure to Weights & Biases. Needs the extra: ``pip install artifex-training[wandb]``.

    A resumed run goes on in the run it had there, by the id that its checkpoint holds.

    Raises:
        InvalidInputError: the extra is not installed.
    """

    first_process_only = True

    def __init__(self, config: WandbConfig):
        if importlib.util.find_spec("wandb") is None:
            raise InvalidInputError("the wandb callback needs Weights & Biases: pip install artifex-training[wandb]")
        self.config = config
        self._run: Any = None
        self._id: str | None = None

    def on_start(self, trainer: Training) -> None:
        wandb: Any = importlib.import_module("wandb")  # an extra, unknown to the type checker

        try:
            self._run = wandb.init(
                project=self.config.project,
                entity=self.config.entity,
                name=self.config.name or None,
                id=self._id,
                resume=None if self._id is None else "allow",
                dir=None if trainer.folder is None else str(trainer.folder),
                config={"seed": trainer.seed, "training": trainer.config.to_dict()},
                mode="offline" if self.config.offline else "online",
            )
        except Exception as error:  # not logged in, no connection, no such project
            raise InvalidInputError(f"Weights & Biases cannot start a run: {error}; offline: true needs no account") from error
        self._id = self._run.id

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=trainer.step)

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self.on_log(trainer, metrics)

    def on_figures(self, trainer: Training, figures: Mapping[str, float]) -> None:
        self.on_log(trainer, figures)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if self._run is not None:
            self._run.finish(exit_code=0 if error is None else 1)
            self._run = None

    def state(self) -> dict[str, Any]:
        return {"id": self._id}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._id = state.get("id")
