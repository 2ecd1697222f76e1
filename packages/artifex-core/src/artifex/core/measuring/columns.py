"""Columns: rows that were computed, kept under a key so that nothing is computed twice."""

from __future__ import annotations

from typing import Protocol

import numpy as np

__all__ = ["Column", "Columns", "MemoryColumns"]


class Column(Protocol):
    """Rows of one dtype and shape, appended in their order."""

    def __len__(self) -> int:
        """How many there are already."""
        ...

    def append(self, rows: np.ndarray) -> None:
        """Add rows ``(B, ...)``; once it returns they are kept."""
        ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, ``(stop - start, ...)``."""
        ...


class Columns(Protocol):
    """Where columns are kept."""

    def column(self, key: str) -> Column:
        """The column of ``key``, with what an earlier evaluation left in it."""
        ...


class _MemoryColumn:
    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, rows: np.ndarray) -> None:
        self._parts.append(np.asarray(rows))
        self._length += len(rows)

    def read(self, start: int, stop: int) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0][start:stop]


class MemoryColumns:
    """Columns in memory, gone with the object.

    Example:
        >>> column = MemoryColumns().column("squares")
        >>> column.append(np.arange(3) ** 2)
        >>> column.read(1, 3).tolist()
        [1, 4]
    """

    def __init__(self) -> None:
        self._columns: dict[str, _MemoryColumn] = {}

    def column(self, key: str) -> Column:
        return self._columns.setdefault(key, _MemoryColumn())
