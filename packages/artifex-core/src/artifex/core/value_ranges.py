"""Which values of a batch a model can take (:class:`artifex.core.protocols.DeclaresValues`), and how one outside is told."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from artifex.core.errors import DataError

__all__ = ["Columns", "Interval", "ValueRange", "check_finite", "check_values"]


@dataclass(frozen=True, slots=True)
class Interval:
    """Real numbers from ``low`` to ``high``, which rounding may leave by ``slack``."""

    low: float
    high: float
    slack: float = 0.0


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows, along the last axis, in which types and whole numbers stand beside real numbers: the columns of either."""

    one_hot: range = range(0)
    whole: range = range(0)


ValueRange: TypeAlias = range | Interval | Columns
"""Whole numbers, such as the classes ``range(10)``; an interval of real ones; or rows of reals, types and whole numbers."""


def check_values(
    arrays: Mapping[str, np.ndarray], ranges: Mapping[str, ValueRange], taker: str, *, rows: Sequence[int] | None = None
) -> None:
    """Refuse values outside the ranges that are declared for them.

    Args:
        arrays: with a leading axis of examples; places of ``x`` at which an array ``mask`` is False may hold anything.
        ranges: by the arrays' names.
        taker: who declares them, for messages.
        rows: which examples of the data set they are; by default counted from 0.

    Raises:
        DataError: it names key, row, value, what is taken, and the fix.

    >>> check_values({"label": np.array([0, 3])}, {"label": range(3)}, "the model")
    Traceback (most recent call last):
    artifex.core.errors.DataError: 'label' of row 1 holds 3, but the model takes whole numbers from 0 to 2: mend the labels, \
or give the model 4 classes
    """
    for key, allowed in ranges.items():
        values = arrays.get(key)
        if values is None or not values.size:
            continue
        if isinstance(allowed, range):
            _check_whole(key, values, allowed, taker, rows, arrays.get("mask"))
        elif isinstance(allowed, Columns):
            _check_columns(key, values, allowed, arrays.get("mask"), taker, rows)
        else:
            _check_within(key, values, allowed.low, allowed.high, allowed.slack, arrays.get("mask"), taker, rows)


def check_finite(
    arrays: Mapping[str, np.ndarray], keys: Collection[str] = ("x", "condition"), *, rows: Sequence[int] | None = None
) -> None:
    """Refuse NaN and infinity, but for places of ``x`` at which the array ``mask`` is False.

    Raises:
        DataError: it names key, row and value.
    """
    for key in keys:
        values = arrays.get(key)
        if values is None or not values.size or not jnp.issubdtype(values.dtype, jnp.inexact):
            continue
        if np.isfinite(values.min()) and np.isfinite(values.max()):  # two passes and no copy; NaN is the least and the greatest
            continue
        bad = ~np.isfinite(values) & _counted(key, values, arrays.get("mask"))
        if not bad.any():
            continue
        row, value = _first(bad, values, rows)
        instead = "; if they stand for gaps, give a 'mask' that is False there" if key == "x" else ""
        n = int(np.sum(bad.reshape(len(bad), -1).any(axis=1)))
        raise DataError(
            f"{key!r} of row {row} holds {value}, and {n} row{'s are' if n > 1 else ' is'} not finite in all: "
            f"mend such rows, or leave them out{instead}"
        )


def _counted(key: str, values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Where values count, in a shape that goes with theirs."""
    if key != "x" or mask is None or mask.shape != values.shape[: mask.ndim]:
        return np.ones((1,) * values.ndim, bool)
    return np.asarray(mask, bool).reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim))


def _first(bad: np.ndarray, values: np.ndarray, rows: Sequence[int] | None) -> tuple[int, Any]:
    """The first row that holds something bad, and the first such value in it."""
    at = np.unravel_index(np.argmax(bad), bad.shape)
    return int(at[0]) if rows is None else rows[int(at[0])], values[at].item()


def _check_whole(
    key: str, values: np.ndarray, allowed: range, taker: str, rows: Sequence[int] | None, mask: np.ndarray | None
) -> None:
    expected = f"{taker} takes whole numbers from {allowed.start} to {allowed.stop - 1}"
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(f"{key!r} is {values.dtype} of shape {values.shape}, but {expected}: {_as_integers(key, values)}")
    bad = (values < allowed.start) | (values >= allowed.stop)
    if not bad.any():
        return
    counted = _counted(key, values, mask)
    if not (bad & counted).any():
        return
    row, value = _first(bad & counted, values, rows)
    seen = values[np.broadcast_to(counted, values.shape)]
    low, high = int(seen.min()), int(seen.max())
    raise DataError(f"{key!r} of row {row} holds {value}, but {expected}: {_fix_whole(key, low, high, allowed)}")


def _as_integers(key: str, values: np.ndarray) -> str:
    """The line that makes whole numbers of what is none."""
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype != object:
        return f"one-hot vectors become classes by {key}.argmax(axis=1)"
    if values.dtype != bool and not np.array_equal(values, np.round(values)):
        return "round them, or choose a model that is conditioned on real numbers"
    return f"write {key}.astype(np.int32)"


def _fix_whole(key: str, low: int, high: int, allowed: range) -> str:
    if low == allowed.start + 1 and high == allowed.stop:
        return f"they are numbered from {low}; write {key} - {low - allowed.start}"
    if low < allowed.start:
        return f"they go from {low} to {high}; leave such rows out, or number them from {allowed.start}"
    if key in ("label", "condition") and allowed.start == 0:
        return f"mend the labels, or give the model {high + 1} classes"
    return f"they go up to {high}; mend them, or make the model for as many"


def _check_within(
    key: str,
    values: np.ndarray,
    low: float,
    high: float,
    slack: float,
    mask: np.ndarray | None,
    taker: str,
    rows: Sequence[int] | None,
) -> None:
    if values.min() >= low - slack and values.max() <= high + slack:  # false for NaN too
        return
    counted = _counted(key, values, mask)
    bad = ~((values >= low - slack) & (values <= high + slack)) & counted
    if not bad.any():
        return
    row, value = _first(bad, values, rows)
    seen = values[np.broadcast_to(counted, values.shape)]
    found = float(seen.min()), float(seen.max())
    expected = f"{taker} takes numbers from {low:g} to {high:g}"
    raise DataError(f"{key!r} of row {row} holds {value:g}, but {expected}: {_fix_interval(key, *found, low, high)}")


def _fix_interval(key: str, found_low: float, found_high: float, low: float, high: float) -> str:
    found = f"they go from {found_low:g} to {found_high:g}; "
    if not (math.isfinite(found_low) and math.isfinite(found_high)):
        return "mend what is not finite, or leave those rows out"
    if (low, high) == (0.0, 1.0) and found_low >= 0 and 1.5 < found_high <= 255:
        return found + f"write {key}.astype(np.float32) / 255"
    if (low, high) == (0.0, 1.0) and -1.01 <= found_low < 0 and found_high <= 1.01:
        return found + f"write ({key} + 1) / 2"
    return found + "rescale them, or choose a model that takes them (its likelihood says which)"


def _check_columns(
    key: str, values: np.ndarray, allowed: Columns, mask: np.ndarray | None, taker: str, rows: Sequence[int] | None
) -> None:
    if values.shape[-1] < max(allowed.one_hot.stop, allowed.whole.stop):
        return  # a shape that does not fit is the model's to name
    types, whole = (values[..., columns.start : columns.stop] for columns in (allowed.one_hot, allowed.whole))
    one_each = (np.count_nonzero(types == 1, axis=-1) == 1) & (np.count_nonzero(types, axis=-1) == 1)
    makes = f"np.eye({len(allowed.one_hot)})[types]"
    parts = (
        (types, allowed.one_hot, one_each, f"one 1, for the type, and else 0: write {makes}"),
        (whole, allowed.whole, (whole == np.round(whole)).all(axis=-1), "whole numbers: round them"),
    )
    for part, columns, good, wanted in parts:
        bad = ~good & _counted(key, values, mask)[..., 0]
        if not columns or not bad.any():
            continue
        at = np.unravel_index(np.argmax(bad), bad.shape)
        row = int(at[0]) if rows is None else rows[int(at[0])]
        found, n = ", ".join(f"{value:g}" for value in part[at].tolist()), int(bad.sum())
        padded = "" if mask is not None or part[at].any() else "; if there is no point, give a 'mask' that is False there"
        raise DataError(
            f"{key!r} of row {row} holds ({found}) in columns {columns.start} to {columns.stop - 1} of point {at[-1]}, and "
            f"{n} point{'s are' if n > 1 else ' is'} like that, but {taker} takes there {wanted}{padded}"
        )
