"""Series of unequal length and with gaps, as arrays: padded, filled, cut into windows. On the host; NumPy alone.

Shapes: ``N`` series, ``L`` steps, ``C`` channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError, InvalidTypeError

__all__ = ["filled", "lengths_of", "padded", "windows"]


def padded(series: Any, *, name: str = "series", dtype: Any = np.float64) -> np.ndarray:
    """Series as one array ``(N, L, C)``, NaN after the end of those that are shorter.

    Args:
        series: an array ``(N, L, C)`` or ``(N, L)``; or a sequence of arrays ``(L_i, C)`` or ``(L_i,)``, among which None
            stands for what is no series and is left out.
        name: what to call it in messages.
        dtype: of the result.

    Raises:
        InvalidInputError: there is no series, one is empty, or their numbers of channels differ.

    >>> padded([np.array([1.0, 2.0]), np.array([3.0])])[..., 0].tolist()
    [[1.0, 2.0], [3.0, nan]]
    """
    if isinstance(series, str) or not (hasattr(series, "ndim") or isinstance(series, Sequence)):
        raise InvalidTypeError(
            f"{name} is a {type(series).__name__}; series are an array (N, L, C), or a list of arrays (L, C)"
        )
    if not isinstance(series, Sequence) and series.ndim in (2, 3):
        made = np.asarray(series, dtype)
        made = made[..., None] if made.ndim == 2 else made
        if 0 in made.shape:
            raise InvalidInputError(f"{name} is empty: {np.shape(series)}; at least one series of one step is needed")
        return made
    try:
        parts = [np.asarray(one, dtype) for one in series if one is not None]
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"{name} needs series of numbers, (L, C) each: {error}") from error
    parts = [one[:, None] if one.ndim == 1 else one for one in parts]
    if not parts or any(one.ndim != 2 or 0 in one.shape for one in parts):
        shapes = sorted({one.shape for one in parts})[:4]
        raise InvalidInputError(f"{name} needs at least one series (L, C), and none that is empty; got {shapes or 'none'}")
    if len(channels := {one.shape[1] for one in parts}) > 1:
        raise InvalidInputError(
            f"{name} has series of {' and of '.join(map(str, sorted(channels)))} channels; give all the same"
        )
    made = np.full((len(parts), max(map(len, parts)), channels.pop()), np.nan, dtype)
    for row, one in zip(made, parts, strict=True):
        row[: len(one)] = one
    return made


def lengths_of(x: np.ndarray) -> np.ndarray:
    """Steps of each series of :func:`padded`, up to its last value; ``(N,)``."""
    there = np.logical_not(np.all(np.isnan(x), axis=-1))
    return np.where(there.any(axis=1), x.shape[1] - np.argmax(there[:, ::-1], axis=1), 0)


def filled(x: np.ndarray) -> np.ndarray:
    """Gaps on the line between their ends, at either end of a series the nearest value; a channel without any is 0.

    What lies after the end of a series stays NaN.

    >>> filled(np.array([[[1.0], [np.nan], [3.0]]]))[0, :, 0].tolist()
    [1.0, 2.0, 3.0]
    """
    if not np.isnan(x).any():
        return x
    made = x.copy()
    for row, length in zip(made, lengths_of(x), strict=True):
        for channel in row[:length].T:
            gaps = np.isnan(channel)
            if gaps.all():
                channel[:] = 0.0
            elif gaps.any():
                channel[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), channel[~gaps])
    return made


def windows(series: np.ndarray, length: int, stride: int = 1) -> np.ndarray:
    """Every ``stride``-th stretch of ``length`` steps of one series ``(L, C)``: ``(N, length, C)``, oldest first.

    >>> windows(np.arange(5.0)[:, None], 3, 2)[..., 0].tolist()
    [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
    """
    if len(series) < length:
        return np.empty((0, length, series.shape[1]), series.dtype)
    views = np.lib.stride_tricks.sliding_window_view(series, length, axis=0)[::stride]
    return np.ascontiguousarray(np.moveaxis(views, -1, 1))
