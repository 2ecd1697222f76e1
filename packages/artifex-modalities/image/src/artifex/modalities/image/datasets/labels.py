"""Labels as they are stored, and as a model is given them: int32, from 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from artifex.core.errors import DataError

__all__ = ["as_labels"]

LARGEST = np.iinfo(np.int32).max


def as_labels(stored: Any, where: str, fix: str) -> np.ndarray:
    """``stored`` ``(N,)`` as int32.

    Args:
        stored: whole numbers from 0, of any integer type.
        where: what to call them in messages.
        fix: how to do without them, or to mend them.

    Raises:
        DataError: they are no whole numbers, or one is negative or too great; the message names its row.

    >>> as_labels(np.array([3, 0], np.uint8), "label", "mend them")
    array([3, 0], dtype=int32)
    """
    labels = np.asarray(stored)
    if not np.issubdtype(labels.dtype, np.integer):
        first = f", the first is {labels.flat[0]!r}" if labels.size else ""
        raise DataError(f"{where}: labels are whole numbers from 0, one for each image, but these are {labels.dtype}{first}; {fix}")
    bad = np.flatnonzero((labels < 0) | (labels > LARGEST))
    if bad.size:
        raise DataError(
            f"{where}: labels are whole numbers from 0 to {LARGEST}, but row {bad[0]} holds {labels.flat[bad[0]]} "
            f"({bad.size} of {labels.size} rows are like it); {fix}"
        )
    return labels.astype(np.int32)
