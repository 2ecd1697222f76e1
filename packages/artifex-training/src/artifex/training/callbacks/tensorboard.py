"""TensorBoard events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from artifex.core.config import Config, config
from artifex.training.callbacks.base import Callback, run_folder

if TYPE_CHECKING:
    from artifex.training.trainer import Trainer


@config
class TensorBoardConfig(Config):
    """Nothing to set."""


class TensorBoard(Callback):
    """Writes every figure as TensorBoard events into ``tensorboard/``."""

    first_process_only = True

    def __init__(self, config: TensorBoardConfig):
        self.config = config
        self._writer: Any = None

    def on_start(self, trainer: Trainer) -> None:
        from tensorboardX import SummaryWriter

        purge = trainer.step + 1 if trainer.step else None
        self._writer = SummaryWriter(str(run_folder(trainer, "tensorboard") / "tensorboard"), purge_step=purge)

    def on_log(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name if "/" in name else f"train/{name}", value, trainer.step)

    def on_evaluate(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        self.on_log(trainer, metrics)

    def on_end(self, trainer: Trainer, error: BaseException | None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
