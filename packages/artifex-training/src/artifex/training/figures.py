"""Figures that callbacks log, on their way to all the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from artifex.core.errors import InvalidInputError

__all__ = ["Figures"]


class Figures:
    """What was logged at this step and has still to be handed round.

    Example:
        >>> figures = Figures()
        >>> figures.add({"fid": 12.5})
        >>> with figures.taken() as taken:
        ...     print(taken)
        {'fid': 12.5}
    """

    def __init__(self) -> None:
        self._waiting: dict[str, float] = {}
        self._accepts = True

    def add(self, figures: Mapping[str, Any]) -> None:
        """Keep numbers by name.

        Raises:
            InvalidInputError: one of that name waits already, or nothing would hand them round any more.
        """
        if not self._accepts:
            raise InvalidInputError(
                f"{', '.join(figures)} came too late to be handed round; "
                "log figures from on_start, on_step, on_log or on_evaluate"
            )
        if twice := sorted(figures.keys() & self._waiting.keys()):
            raise InvalidInputError(f"{twice[0]!r} is logged twice at one step; give one of the two another name")
        self._waiting |= {name: float(value) for name, value in figures.items()}

    @contextmanager
    def taken(self) -> Iterator[dict[str, float]]:
        """What waits, which is handed round inside; meanwhile nothing more is accepted."""
        figures, self._waiting = self._waiting, {}
        self._accepts = False
        yield figures
        self._accepts = True

    def close(self) -> None:
        """Accept no more."""
        self._accepts = False
