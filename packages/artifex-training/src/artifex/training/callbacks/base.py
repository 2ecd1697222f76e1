"""What every callback may do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifex.core.errors import InvalidInputError

if TYPE_CHECKING:
    from artifex.training.trainer import Trainer

__all__ = ["Callback"]


class Callback:
    """Base of callbacks: every moment is optional.

    ``trainer.step`` is the number of steps done. The arrays of ``trainer.state`` are given away to the next step: copy what is
    kept. To end the run, set ``trainer.stop_reason``.
    """

    first_process_only = False
    """Whether only the first of several processes calls it. Set it where a callback writes, and asks the trainer for nothing
    that the devices of all processes have to compute (an evaluation, ``evaluation_model()``)."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step; after the state was restored, when the run is resumed."""

    def on_step(self, trainer: Trainer) -> None:
        """After each step. The step may still be running on the device: reading an array here waits for it."""

    def on_log(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """With the averages over the last ``log_every`` steps."""

    def on_evaluate(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """With the figures of an evaluation on held-out data, their names under ``eval/``."""

    def on_end(self, trainer: Trainer, error: BaseException | None) -> None:
        """After the last step, or after whatever ended the run early."""

    def state(self) -> dict[str, Any]:
        """What a resumed run has to remember, as plain data; kept in every checkpoint."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state` gave, before :meth:`on_start`."""


def run_folder(trainer: Trainer, what: str) -> Path:
    """The trainer's folder, for a callback that writes into it."""
    if trainer.folder is None:
        raise InvalidInputError(f"the {what} callback writes files; give the Trainer a folder")
    return trainer.folder
