"""Rows of tokens made of documents: windows of all of them, one each, or several packed into a row.

Shapes: ``N = rows, L = tokens of a row``.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

__all__ = ["documents", "packed", "padded", "windows"]


def padded(rows: Sequence[Sequence[int]], length: int) -> dict[str, np.ndarray]:
    """Rows of at most ``length`` tokens as ``x`` int32 and ``mask``, ``(N, L)``; zeros stand behind their ends.

    >>> padded([[5, 6], [7]], 3)["mask"].tolist()
    [[True, True, False], [True, False, False]]
    """
    x, lengths = np.zeros((len(rows), length), np.int32), np.array([len(row) for row in rows], int)
    for row, tokens in zip(x, rows, strict=True):
        row[: len(tokens)] = tokens
    return {"x": x, "mask": np.arange(length)[None] < lengths[:, None]}


def windows(tokens: Int[np.ndarray, "T"], length: int, stride: int) -> dict[str, np.ndarray]:
    """Every ``stride``-th window of ``length`` tokens; what is left at the end is left out.

    >>> windows(np.arange(7), 3, 3)["x"].tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    x = np.lib.stride_tricks.sliding_window_view(tokens, length)[::stride].astype(np.int32)
    return {"x": x, "mask": np.ones(x.shape, bool)}


def documents(texts: Iterable[Sequence[int]], length: int) -> dict[str, np.ndarray]:
    """A row for each document; one that is longer goes on in the next row.

    >>> documents([[1, 2, 3, 4, 5], [6]], 3)["x"].tolist()
    [[1, 2, 3], [4, 5, 0], [6, 0, 0]]
    """
    return padded([text[i : i + length] for text in texts for i in range(0, len(text), length)], length)


def packed(texts: Iterable[Sequence[int]], length: int) -> dict[str, np.ndarray]:
    """As few rows as can easily be had: each document, the longest first, goes where it leaves the least room.

    Longer ones are cut into rows first. ``segment``, int32 ``(N, L)``, numbers the documents of a row from 1, and is 0 where
    there is none, so that models keep them apart.

    >>> packed([[1, 1], [2, 2, 2], [3]], 4)["segment"].tolist()
    [[1, 1, 1, 2], [1, 1, 0, 0]]
    """
    parts = sorted((text[i : i + length] for text in texts for i in range(0, len(text), length)), key=len, reverse=True)
    rows: list[list[Sequence[int]]] = []
    room: list[tuple[int, int]] = []  # what is left in each row that is not full, sorted
    for part in parts:
        at = bisect.bisect_left(room, (len(part), -1))
        left, row = room.pop(at) if at < len(room) else (length, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(part)
        if left > len(part):
            bisect.insort(room, (left - len(part), row))
    made = padded([[token for part in row for token in part] for row in rows], length)
    numbers = padded([[i for i, part in enumerate(row, start=1) for _ in part] for row in rows], length)
    return {**made, "segment": numbers["x"]}
