"""Progress on the terminal: a bar with rate and remaining time, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from artifex.core.config import Config, config
from artifex.training.callbacks.base import Callback, Training

LEFT_OUT = {"steps_per_second", "examples_per_second", "learning_rate", "grad_norm"}
"""Figures that a line has no room for; the rate is at its end."""


@config
class ProgressConfig(Config):
    """Nothing to set."""


class Progress(Callback):
    """Shows steps done, the loss, the rate and the time that remains, on standard error."""

    first_process_only = True

    def __init__(self, config: ProgressConfig):
        self.config = config
        self._bar: Any = None
        self._task: Any = None

    def on_start(self, trainer: Training) -> None:
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress as Bar,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), auto_refresh=False)
        self._task = self._bar.add_task("compiling", total=trainer.total_steps, completed=trainer.step)
        self._bar.start()

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.step, description=_line(metrics), refresh=True)
        elif (trainer.step // trainer.config.log_every) % 10 == 1 or trainer.step == trainer.total_steps:
            print(f"step {trainer.step}/{trainer.total_steps}  {_line(metrics)}", file=sys.stderr, flush=True)

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        line = f"step {trainer.step}  {_line(metrics)}"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def on_figures(self, trainer: Training, figures: Mapping[str, float]) -> None:
        self.on_evaluate(trainer, figures)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _line(metrics: Mapping[str, float]) -> str:
    parts = [f"{name} {value:.4g}" for name, value in metrics.items() if name.split("/")[-1] not in LEFT_OUT]
    if "steps_per_second" in metrics:
        parts.append(f"{metrics['steps_per_second']:.1f} steps/s")
    return "  ".join(parts)
