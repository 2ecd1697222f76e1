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
    try:
        labels = np.asarray(stored)
    except ValueError as error:  # lists of several lengths
        raise DataError(f"{where}: labels are one whole number for each image, but these are lists; {fix}") from error
    if labels.ndim != 1:
        raise DataError(f"{where}: labels are one whole number for each image, but these have the shape {labels.shape}; {fix}")
    if np.issubdtype(labels.dtype, np.integer):
        bad = np.flatnonzero((labels < 0) | (labels > LARGEST))
    else:
        bad = np.array([row for row, label in enumerate(labels.tolist()) if not _is_label(label)], np.intp)
    if bad.size or labels.dtype == bool:
        row = bad[0] if bad.size else 0
        raise DataError(
            f"{where}: labels are whole numbers from 0 to {LARGEST}, but row {row} holds {labels[row : row + 1].tolist()[0]!r} "
            f"({labels.dtype}); {fix}"
        )
    return labels.astype(np.int32)


def _is_label(label: Any) -> bool:
    return isinstance(label, int) and 0 <= label <= LARGEST
