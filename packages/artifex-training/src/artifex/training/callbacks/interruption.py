"""Ending a run from outside without losing what it reached."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from artifex.training.callbacks.base import Callback, Training
from artifex.training.processes import Interrupted, is_multiprocess

__all__ = ["StopBetweenSteps"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what a scheduler sends before it kills."""


class StopBetweenSteps(Callback):
    """Turns SIGINT and SIGTERM into a ``KeyboardInterrupt(signal)`` between two steps; a second signal acts at once.

    Amid a step the state belongs to the device, and an exception there would leave nothing to write to a checkpoint. In several
    processes a signal to any of them ends all of them after one and the same step: JAX takes SIGTERM for a notice of preemption
    and agrees on the step (``multihost_utils.reached_preemption_sync_point``), which takes a second or two.
    A signal that is ignored at the start, as under ``nohup`` or after ``&`` in a script, stays ignored.
    """

    def __init__(self) -> None:
        self._asked: signal.Signals | None = None
        self._is_multiprocess = False
        self._before: dict[signal.Signals, Any] = {}

    def on_start(self, trainer: Training) -> None:
        self._is_multiprocess = is_multiprocess()
        if threading.current_thread() is threading.main_thread():  # nowhere else may handlers be set
            handled = SIGNALS[:1] if self._is_multiprocess else SIGNALS  # JAX has set its own handler for SIGTERM
            heeded = [number for number in handled if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._ask) for number in heeded}

    def on_step(self, trainer: Training) -> None:
        if self._is_multiprocess:
            from jax.experimental import multihost_utils

            if multihost_utils.reached_preemption_sync_point(trainer.step):
                raise Interrupted(self._asked or signal.SIGTERM)
        elif self._asked is not None:
            raise Interrupted(self._asked)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        self._restore()

    def _ask(self, number: int, frame: Any) -> None:
        self._asked = signal.Signals(number)
        self._restore()
        if self._is_multiprocess:
            os.kill(os.getpid(), signal.SIGTERM)
        sys.stderr.write("\nstopping after this step; once more stops at once\n")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
