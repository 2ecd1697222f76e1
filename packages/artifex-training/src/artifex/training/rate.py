"""How fast training goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Rate"]


class Rate:
    """Steps and examples a second, with the time that evaluation takes left out."""

    def __init__(self, step: int, batch_size: int):
        self.started, self._step, self._clock, self._batch_size = False, step, 0.0, batch_size

    def start(self, step: int) -> None:
        self.started, self._step, self._clock = True, step, time.perf_counter()

    def read(self, step: int) -> dict[str, float]:
        """The rates since the last reading; nothing when no step was timed."""
        since, clock = self._step, self._clock
        self.start(step)
        if step == since:
            return {}
        rate = (step - since) / (self._clock - clock)
        return {"steps_per_second": rate, "examples_per_second": rate * self._batch_size}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside does not count."""
        before = time.perf_counter()
        yield
        self._clock += time.perf_counter() - before
