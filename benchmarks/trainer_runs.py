"""Artifex's `Trainer` with metrics file, TensorBoard and progress bar, held so that a few steps at a time can be timed."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from rounds import Run

from artifex.core.mesh import ShardingConfig
from artifex.training import Trainer, TrainerConfig
from artifex.training.callbacks import (
    Callback,
    MetricsFile,
    MetricsFileConfig,
    Progress,
    ProgressConfig,
    TensorBoard,
    TensorBoardConfig,
)

FOREVER = 10**9


class Turnstile(Callback):
    """Lets the trainer do as many steps as :meth:`run` is asked for, then has it wait."""

    def __init__(self) -> None:
        self._left = 0
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)

    def run(self, steps: int) -> None:
        """Returns when ``steps`` more steps are done."""
        self._left = steps
        self._go.release()
        self._done.acquire()

    def on_start(self, trainer: Trainer) -> None:  # noqa: ARG002
        self._go.acquire()

    def on_step(self, trainer: Trainer) -> None:
        self._left -= 1
        if self._left == 0:
            jax.block_until_ready(trainer.state)
            self._done.release()
            self._go.acquire()


def trainer_loop(
    model: Any,
    data: np.ndarray,
    *,
    batch_size: int,
    learning_rate: float,
    devices: int = 1,
    more_callbacks: Sequence[Callback] = (),
    folder: str | None = None,
) -> Run:
    """``run(steps)`` on a trainer that never ends of itself; it dies with the process."""
    sys.stderr = _terminal()
    turnstile = Turnstile()
    usual = [MetricsFile(MetricsFileConfig()), TensorBoard(TensorBoardConfig()), Progress(ProgressConfig())]
    callbacks = [*usual, *more_callbacks, turnstile]
    config = TrainerConfig(steps=FOREVER, batch_size=batch_size, optimizer={"learning_rate": learning_rate}, log_every=50)
    sharding = ShardingConfig(data_parallel_size=devices)
    trainer = Trainer(model, config, seed=0, mesh=sharding, callbacks=callbacks, folder=folder or tempfile.mkdtemp())
    threading.Thread(target=trainer.fit, args=({"x": data},), daemon=True).start()
    return turnstile.run


def _terminal() -> Any:
    """A terminal that nobody looks at: the progress bar is drawn, and costs what it costs."""
    ours, theirs = os.openpty()

    def read_away() -> None:
        while os.read(ours, 4096):
            pass

    threading.Thread(target=read_away, daemon=True).start()
    return os.fdopen(theirs, "w")
