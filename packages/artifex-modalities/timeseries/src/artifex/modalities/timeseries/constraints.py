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

    Raises:
        InvalidInputError: the direction is none, or the tolerance is negative.

    >>> check_monotone(np.array([[1.0, 2.0, 1.5]])).places
    ((0, 2, 0),)
    """
    if direction not in ("rising", "falling"):
        raise InvalidInputError(f"direction is 'rising' or 'falling', got {direction!r}")
    if not tolerance >= 0:
        raise InvalidInputError(f"tolerance is a number from 0, got {tolerance}")
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

    Raises:
        InvalidInputError: an end is NaN, or the lower one lies above the higher one.

    >>> str(check_bounded(np.array([[0.5, 2.0]]), 0.0, 1.0))
    'from 0 to 1: broken at 1 places, first in series 0, step 1, channel 0 (2)'
    """
    if any(end is not None and np.isnan(end) for end in (low, high)):
        raise InvalidInputError(f"values are to lie from {low} to {high}; write None for no end")
    if low is not None and high is not None and low > high:
        raise InvalidInputError(f"no value lies from {low:g} to {high:g}; give the lower end first")
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

    Raises:
        InvalidInputError: there is no future or no value, the outputs have other series or steps, or are NaN before any gap, so
            that nothing can be told of them.

    >>> smooth = lambda x: (x + np.roll(x, -1, axis=1)) / 2
    >>> bool(check_no_future(smooth, np.ones((1, 8)), rng=np.random.default_rng(0)).places)
    True
    """
    x = padded(series)
    if x.shape[1] < 2:
        raise InvalidInputError("series of one step have no future; at least two steps are needed")
    if np.isnan(x).all():
        raise InvalidInputError("series have no value; at least one is needed")
    cut = int(rng.integers(1, x.shape[1]))
    other = x.copy()
    other[:, cut:] += rng.normal(size=other[:, cut:].shape) * (np.nanstd(x) or 1.0)
    one, two = (_early_outputs(transform, data, cut) for data in (x, other))
    unknown = np.isnan(one) & np.isnan(two)
    whole = ~np.maximum.accumulate(np.isnan(x[:, :cut]).any(axis=2), axis=1)
    if (bad := unknown & whole[..., None]).any():
        row, step, _ = (int(i) for i in np.argwhere(bad)[0])
        raise InvalidInputError(
            f"the transform's output is NaN in series {row}, step {step}, before any gap: whether it looks into the future "
            "cannot be told; mend it"
        )
    with np.errstate(invalid="ignore"):
        change = np.where(unknown | (one == two), 0.0, np.abs(one - two))
    change = np.nan_to_num(change, nan=np.inf, posinf=np.inf)  # NaN in one and a number in the other
    greatest = np.abs(one[np.isfinite(one)]).max(initial=1e-12)
    return _violations("nothing of the future", change > tolerance * greatest, change)


def _early_outputs(transform: Callable[[np.ndarray], Any], x: np.ndarray, cut: int) -> np.ndarray:
    """Outputs before the step ``cut``, ``(N, cut, ...)`` with one last axis."""
    made = np.asarray(transform(x), np.float64)
    if made.shape[:2] != x.shape[:2]:
        raise InvalidInputError(
            f"the transform made {made.shape} of {x.shape}; its series and steps have to be those it is given"
        )
    return made[:, :cut].reshape(len(x), cut, -1)
