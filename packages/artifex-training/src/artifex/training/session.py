"""What surrounds training: the folder is held, signals wait for the step at hand, and whatever fails, everything is ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax

from artifex.training.callbacks.base import Callback, Training
from artifex.training.checkpoints import naming_last_good
from artifex.training.full_disk import explaining_a_full_disk
from artifex.training.run_lock import hold

__all__ = ["Session"]


class Session(ExitStack):
    """A context for one training. What was started last is ended first.

    Args:
        folder: held for as long as it goes on; None for none.
        checkpoints: folder of checkpoints that an error of numbers gone bad can name.
    """

    def __init__(self, folder: Path | None, checkpoints: Path | None):
        super().__init__()
        self._folder, self._checkpoints = folder, checkpoints

    def __enter__(self) -> Session:
        super().__enter__()
        if self._folder is not None:
            self.enter_context(_at_work_in(self._folder))
        self.enter_context(naming_last_good(self._checkpoints))
        return self

    def start(self, callback: Callback, training: Training) -> None:
        """Tell a callback of the start, and see to it that it is told of the end, even of its own failure to start."""
        self.push(partial(_end, callback, training))
        callback.on_start(training)


def _end(callback: Callback, training: Training, kind: Any, error: BaseException | None, trace: Any) -> None:
    del kind, trace  # ExitStack hands all three on; the error carries the other two
    callback.on_end(training, error)


@contextmanager
def _at_work_in(folder: Path) -> Iterator[None]:
    """Hold the folder for this run, and put a full disk into words."""
    folder.mkdir(parents=True, exist_ok=True)
    with explaining_a_full_disk(folder), hold(folder) if jax.process_index() == 0 else nullcontext():
        yield
