"""Rules that series keep, as pure functions: each says what is violated where, and changes nothing.

Series are an array ``(N, L, C)`` or ``(N, L)``, or a list of arrays ``(L_i, C)``; a gap (NaN) breaks no rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.timeseries.series import padded

__all__ = ["Violations", "check_bounded", "check_monotone", "check_no_future", "check_non_negative"]


@dataclass(frozen=True, slots=True)
class Violations:
    """Places at which one rule is broken."""

    rule: str
    """The rule, in words."""
    places: tuple[tuple[int, int, int], ...]
    """Series, step and channel of each."""
    values: tuple[float, ...]
    """What stands there."""

    def __str__(self) -> str:
        if not self.places:
            return f"{self.rule}: kept"
        series, step, channel = self.places[0]
        return (
            f"{self.rule}: broken at {len(self.places)} places, first in series {series}, step {step}, channel {channel} "
            f"({self.values[0]:g})"
        )


def _violations(rule: str, broken: np.ndarray, values: np.ndarray) -> Violations:
    places = np.argwhere(broken)
    found = tuple((int(n), int(step), int(channel)) for n, step, channel in places)
    return Violations(rule, found, tuple(values[broken].tolist()))


def check_monotone(
    series: Any, *, direction: Literal["rising", "falling"] = "rising", strict: bool = False, tolerance: float = 0.0
) -> Violations:
    """Whether no value lies below (``falling``: above) the last one before it by more than ``tolerance``.

    Args:
        series: see above.
        direction: which way they go.
        strict: whether a value that equals the one before it breaks the rule too.
        tolerance: what is overlooked.

    >>> check_monotone(np.array([[1.0, 2.0, 1.5]])).places
    ((0, 2, 0),)
    """
    if direction not in ("rising", "falling"):
        raise InvalidInputError(f"direction is 'rising' or 'falling', got {direction!r}")
    x = padded(series)
    signed = x if direction == "rising" else -x
    known = np.where(np.isnan(signed), -np.inf, signed)
    where = np.where(np.isnan(signed), -1, np.arange(x.shape[1])[None, :, None])
    last = np.maximum.accumulate(where, axis=1)[:, :-1]
    before = np.where(last >= 0, np.take_along_axis(known, np.maximum(last, 0), axis=1), -np.inf)
    now = signed[:, 1:]
    broken = np.zeros(x.shape, bool)
    broken[:, 1:] = (now <= before - tolerance if strict else now < before - tolerance) & np.isfinite(before)
    return _violations(f"{'strictly ' if strict else ''}{direction}", broken, x)


def check_bounded(series: Any, low: float | None, high: float | None) -> Violations:
    """Whether values lie from ``low`` to ``high``, ends included; None for no end.

    >>> str(check_bounded(np.array([[0.5, 2.0]]), 0.0, 1.0))
    'from 0 to 1: broken at 1 places, first in series 0, step 1, channel 0 (2)'
    """
    x = padded(series)
    broken = np.zeros(x.shape, bool)
    if low is not None:
        broken |= x < low
    if high is not None:
        broken |= x > high
    ends = ["" if low is None else f"from {low:g}", "" if high is None else f"to {high:g}"]
    return _violations(" ".join(filter(None, ends)) or "any value", broken, x)


def check_non_negative(series: Any) -> Violations:
    """Whether no value lies below 0.

    >>> check_non_negative(np.array([[0.0, -1.0]])).values
    (-1.0,)
    """
    found = check_bounded(series, 0.0, None)
    return Violations("not negative", found.places, found.values)


def check_no_future(
    transform: Callable[[np.ndarray], Any], series: Any, *, rng: np.random.Generator, tolerance: float = 1e-5
) -> Violations:
    """Whether a transform's output at a step depends on what comes after it: a causal one's does not.

    The steps after one that is drawn are replaced by noise; the outputs up to it have to stay as they are.

    Args:
        transform: of arrays ``(N, L, C)`` to arrays with the same first two axes.
        series: what it is tried on.
        rng: of the noise, and of the step.
        tolerance: by how much an output may change through rounding, as a share of the greatest.

    >>> smooth = lambda x: (x + np.roll(x, -1, axis=1)) / 2
    >>> bool(check_no_future(smooth, np.ones((1, 8)), rng=np.random.default_rng(0)).places)
    True
    """
    x = padded(series)
    if x.shape[1] < 2:
        raise InvalidInputError("series of one step have no future; at least two steps are needed")
    cut = int(rng.integers(1, x.shape[1]))
    other = x.copy()
    other[:, cut:] += rng.normal(size=other[:, cut:].shape) * (np.nanstd(x) or 1.0)
    one, two = (np.asarray(transform(data), np.float64)[:, :cut] for data in (x, other))
    change = np.abs(one - two).reshape(len(x), cut, -1)
    return _violations("nothing of the future", change > tolerance * max(float(np.nanmax(np.abs(one))), 1e-12), change)
