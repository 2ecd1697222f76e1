"""Rules that a table keeps, as pure functions: each says what is violated in which rows, and changes nothing.

A table is a pandas frame, or a list of :class:`~artifex.modalities.tabular.TableRow`. Rows are numbered from 0.
"""

# pandas annotates most results as unions that cannot be narrowed
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular.config import TableColumnConfig
from artifex.modalities.tabular.frames import unit_of
from artifex.modalities.tabular.rows import TableLike, as_table

__all__ = [
    "Violations",
    "check_categories",
    "check_columns",
    "check_ranges",
    "check_sums",
    "check_types",
    "check_unique",
]


@dataclass(frozen=True, slots=True)
class Violations:
    """Rows in which one rule is broken."""

    rule: str
    """The rule, in words."""
    columns: tuple[str, ...]
    """The columns it is about."""
    rows: tuple[int, ...]
    """Numbers of the rows that break it."""
    values: tuple[Any, ...]
    """What stands there, a value for each row."""

    def __str__(self) -> str:
        if not self.rows:
            return f"{', '.join(self.columns)}: {self.rule}: kept"
        first = f"first in row {self.rows[0]} ({self.values[0]!r})"
        return f"{', '.join(self.columns)}: {self.rule}: broken in {len(self.rows)} rows, {first}"


def _frame(table: TableLike, columns: Sequence[str]) -> pd.DataFrame:
    """The table as pandas has it; what its columns are to a model is not asked."""
    frame = table if isinstance(table, pd.DataFrame) else as_table(table, name="the table").frame
    if absent := [name for name in columns if name not in frame.columns]:
        raise InvalidInputError(f"the table has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}")
    if twice := [name for name in columns if list(frame.columns).count(name) > 1]:
        raise InvalidInputError(f"the table has two columns called {twice[0]!r}; rename one")
    return frame


def _violations(rule: str, columns: Sequence[str], broken: np.ndarray, values: Sequence[Any]) -> Violations:
    rows = np.flatnonzero(broken)
    return Violations(rule, tuple(columns), tuple(rows.tolist()), tuple(values[row] for row in rows))


def check_types(table: TableLike, dtypes: Mapping[str, Any]) -> list[Violations]:
    """Whether columns have the dtypes that are given, by name or as pandas has them; else all their rows break the rule.

    ``category`` is a categorical of any categories, a ``pandas.CategoricalDtype`` one of these.

    Raises:
        InvalidInputError: there is no such column or dtype.

    >>> [str(found) for found in check_types(pd.DataFrame({"a": [1.5]}), {"a": "int64"})]
    ['a: of dtype int64: broken in 1 rows, first in row 0 (1.5)']
    """
    frame, found = _frame(table, tuple(dtypes)), []
    for name, given in dtypes.items():
        try:
            dtype = pd.api.types.pandas_dtype(given)
        except TypeError as error:
            raise InvalidInputError(
                f"there is no dtype {given!r}; pandas' names are int64, float64, str, category ..."
            ) from error
        any_categories = isinstance(dtype, pd.CategoricalDtype) and dtype.categories is None
        same = frame[name].dtype == ("category" if any_categories else dtype)
        rule = f"of dtype {given if isinstance(given, str) else _dtype_in_words(dtype)}"
        found.append(_violations(rule, [name], np.full(len(frame), not same), frame[name].tolist()))
    return found


def _dtype_in_words(dtype: Any) -> str:
    if not isinstance(dtype, pd.CategoricalDtype) or dtype.categories is None:
        return str(dtype)
    return f"category of {dtype.categories.tolist()!r}{', ordered' if dtype.ordered else ''}"


def check_ranges(table: TableLike, ranges: Mapping[str, tuple[Any, Any]]) -> list[Violations]:
    """Whether values lie within ``(low, high)``, ends included, None for no end; gaps break no rule.

    A stray text among numbers lies in no range of numbers, and breaks the rule. Ordered levels go by their order.

    Raises:
        InvalidInputError: there is no such column, a range is none, or no value of the column can be compared with its ends.

    >>> check_ranges(pd.DataFrame({"age": [3, -1, 200]}), {"age": (0, 120)})[0].rows
    (1, 2)
    """
    frame, found = _frame(table, tuple(ranges)), []
    for name, ends in ranges.items():
        low, high = _ends(name, ends)
        values, least, most = _by_order(frame[name], low, high)
        if None not in (least, most) and least != most and _lies_inside(least, most, None):
            raise InvalidInputError(f"the range of {name!r} goes from {low} to {high}; give the lower end first")
        outside, strange = _compared(values, least, most)
        if strange.any() and strange.sum() == values.notna().sum():
            value, end = values[strange].iloc[0], high if low is None else low
            raise InvalidInputError(
                f"column {name!r} holds {value!r}, which cannot be compared with {end!r}; give ends of its kind"
            )
        found.append(_violations(_range_in_words(low, high), [name], outside | strange, frame[name].tolist()))
    return found


def _ends(name: str, ends: Any) -> tuple[Any, Any]:
    """Both ends of a range, once they are known to be some."""
    if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
        raise InvalidInputError(f"the range of {name!r} is {ends!r}; write (low, high), with None for no end")
    if none := [end for end in ends if end is not None and pd.isna(end)]:
        raise InvalidInputError(f"the range of {name!r} has the end {none[0]}; write None for no end")
    return ends[0], ends[1]


def _range_in_words(low: Any, high: Any) -> str:
    ends = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
    return " and ".join(ends) or "any value"


def _by_order(values: pd.Series, low: Any, high: Any) -> tuple[pd.Series, Any, Any]:
    """Ordered levels and the ends of their range as numbers; what else there is as it is."""
    if not isinstance(values.dtype, pd.CategoricalDtype) or not values.dtype.ordered:
        return values, low, high
    levels = values.dtype.categories.tolist()
    if wrong := [end for end in (low, high) if end is not None and end not in levels]:
        raise InvalidInputError(
            f"column {values.name!r} has the ordered levels {', '.join(map(repr, levels[:8]))}, of which {wrong[0]!r} is none"
        )
    codes = values.cat.codes.astype("Int64").mask(values.isna())
    return codes, *(None if end is None else levels.index(end) for end in (low, high))


def _compared(values: pd.Series, low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """Which values lie outside the range, and which cannot be compared with its ends; gaps do neither."""
    there = values.notna().to_numpy()
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("object")
    try:
        inside = pd.Series(True, index=values.index)
        inside &= True if low is None else values >= low
        inside &= True if high is None else values <= high
        return there & ~inside.to_numpy(dtype=bool, na_value=True), np.zeros(len(values), bool)
    except TypeError:  # of one value that is of another kind, or of all
        found = [_lies_inside(value, low, high) if known else True for value, known in zip(values, there, strict=True)]
        return np.array([one is False for one in found], bool), np.array([one is None for one in found], bool)


def _lies_inside(value: Any, low: Any, high: Any) -> bool | None:
    """None for what cannot be compared."""
    try:
        return bool((low is None or value >= low) and (high is None or value <= high))
    except TypeError:
        return None


def check_categories(table: TableLike, categories: Mapping[str, Sequence[Any]]) -> list[Violations]:
    """Whether values are among those that are given; gaps break no rule.

    >>> check_categories(pd.DataFrame({"town": ["Bern", "Oz", None]}), {"town": ["Bern", "Chur"]})[0].values
    ('Oz',)
    """
    frame, found = _frame(table, tuple(categories)), []
    for name, allowed in categories.items():
        if isinstance(allowed, str):
            raise InvalidInputError(f"the levels of {name!r} are the text {allowed!r}; write [{allowed!r}]")
        values, known = frame[name].astype("object"), set(allowed)
        broken = np.array([value not in known for value in values], bool) & values.notna().to_numpy()
        found.append(_violations(f"one of {list(allowed)!r}", [name], broken, values.tolist()))
    return found


def check_unique(table: TableLike, keys: Sequence[Sequence[str] | str]) -> list[Violations]:
    """Whether no two rows agree in a key, which is a column or several; the second and later ones break the rule.

    >>> check_unique(pd.DataFrame({"id": [7, 8, 7]}), ["id"])[0].rows
    (2,)
    """
    if isinstance(keys, str):
        raise InvalidInputError(f"keys are a list; write [{keys!r}]")
    sets = [[key] if isinstance(key, str) else list(key) for key in keys]
    if [] in sets:
        raise InvalidInputError("a key has no columns; name one column or several, or leave the key out")
    frame = _frame(table, [name for key in sets for name in key])
    return [
        _violations("unique", key, frame.duplicated(subset=key).to_numpy(), list(frame[key].itertuples(index=False, name=None)))
        for key in sets
    ]


def check_sums(table: TableLike, sums: Mapping[str, Sequence[str]], *, tolerance: float = 1e-6) -> list[Violations]:
    """Whether a column is the sum of others, to a share ``tolerance`` of their absolute sum (at least of 1).

    Rows with a gap in one of the columns break no rule.

    >>> check_sums(pd.DataFrame({"all": [3.0, 5.0], "a": [1.0, 1.0], "b": [2.0, 2.0]}), {"all": ["a", "b"]})[0].rows
    (1,)
    """
    if not tolerance >= 0:
        raise InvalidInputError(f"tolerance is a share from 0, got {tolerance}")
    if empty := [whole for whole, parts in sums.items() if not len(parts)]:
        raise InvalidInputError(f"{empty[0]!r} is given no columns to be the sum of; name them, or leave the rule out")
    frame = _frame(table, [name for whole, parts in sums.items() for name in (whole, *parts)])
    found = []
    for whole, parts in sums.items():
        total, each = _floats(frame[whole]), np.stack([_floats(frame[name]) for name in parts])
        with np.errstate(invalid="ignore"):  # of infinite ones
            made = each.sum(axis=0)
            near = np.abs(total - made) <= tolerance * np.maximum(1.0, np.abs(each).sum(axis=0))
        kept = (total == made) | (near & np.isfinite(total) & np.isfinite(made)) | np.isnan([total, *each]).any(axis=0)
        found.append(_violations(f"the sum of {' + '.join(parts)}", [whole, *parts], ~kept, total.tolist()))
    return found


def _floats(values: pd.Series) -> np.ndarray:
    """Numbers as float64, NaN for gaps."""
    try:
        if pd.api.types.is_datetime64_any_dtype(values.dtype) or pd.api.types.is_timedelta64_dtype(values.dtype):
            raise TypeError("points and spans of time have no sum of numbers")
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        row = next(i for i, value in enumerate(values) if not pd.isna(value) and not isinstance(value, (int, float, np.number)))
        raise InvalidInputError(
            f"column {values.name!r} holds {values.iloc[row]!r} in row {row}, which is no number; sums are of numbers"
        ) from error


def check_columns(table: TableLike, columns: Sequence[TableColumnConfig]) -> list[Violations]:
    """Whether a table keeps all that was learnt of its columns: dtypes, gaps, ranges of numbers and dates, and levels."""
    frame = _frame(table, [column.column for column in columns])
    found = check_types(frame, {column.column: _dtype(column) for column in columns})
    for column in columns:
        if not column.missing:
            gaps = frame[column.column].isna().to_numpy()
            found.append(_violations("never missing", [column.column], gaps, frame[column.column].tolist()))
    found += check_categories(frame, {column.column: column.levels for column in columns if column.levels})
    for column in columns:
        if column.is_number:
            values, (low, high) = frame[column.column], _learnt_range(column)
            broken = np.logical_or(*_compared(values, low, high))
            found.append(_violations(_range_in_words(low, high), [column.column], broken, values.tolist()))
    return found


def _dtype(column: TableColumnConfig) -> Any:
    """The dtype that was learnt: of a categorical with its categories and their order."""
    if column.dtype != "category":
        return column.dtype
    return pd.CategoricalDtype(pd.Index(list(column.categories), dtype=column.levels_dtype), ordered=column.ordered)


def _learnt_range(column: TableColumnConfig) -> tuple[Any, Any]:
    """The least and the greatest of the training rows, dates as points in time."""
    if column.variant != "date":
        return column.low, column.high
    dtype: Any = pd.api.types.pandas_dtype(column.dtype)
    ticks = np.array([column.low, column.high], np.int64)
    moments = pd.Series(ticks.astype(f"datetime64[{unit_of(dtype)}]"))
    zone = getattr(dtype, "tz", None)
    low, high = moments if zone is None else moments.dt.tz_localize("UTC").dt.tz_convert(zone)
    return low, high
