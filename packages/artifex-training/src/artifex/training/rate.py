"""How fast training goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Rate"]


class Rate:
    """Steps a second, with the time that evaluation takes left out."""

    def __init__(self, step: int):
        self.started, self._step, self._clock = False, step, 0.0

    def start(self, step: int) -> None:
        self.started, self._step, self._clock = True, step, time.perf_counter()

    def read(self, step: int) -> dict[str, float]:
        """The rate since the last reading; nothing when no step was timed."""
        since, clock = self._step, self._clock
        self.start(step)
        return {"steps_per_second": (step - since) / (self._clock - clock)} if step > since else {}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside does not count."""
        before = time.perf_counter()
        yield
        self._clock += time.perf_counter() - before
