"""Ending a run from outside without losing what it reached."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from artifex.training.callbacks.base import Callback

if TYPE_CHECKING:
    from artifex.training.trainer import Trainer

__all__ = ["StopBetweenSteps"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what a scheduler sends before it kills."""


class StopBetweenSteps(Callback):
    """Turns SIGINT and SIGTERM into a ``KeyboardInterrupt(signal)`` between two steps; a second signal acts at once.

    Amid a step the state belongs to the device, and an exception there would leave nothing to write to a checkpoint.
    """

    def __init__(self) -> None:
        self._asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def on_start(self, trainer: Trainer) -> None:
        if threading.current_thread() is threading.main_thread():  # nowhere else may handlers be set
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}

    def on_step(self, trainer: Trainer) -> None:
        if self._asked is not None:
            raise KeyboardInterrupt(self._asked)

    def on_end(self, trainer: Trainer, error: BaseException | None) -> None:
        self._restore()

    def _ask(self, number: int, frame: Any) -> None:
        self._asked = signal.Signals(number)
        self._restore()
        sys.stderr.write("\nstopping after this step; once more stops at once\n")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
