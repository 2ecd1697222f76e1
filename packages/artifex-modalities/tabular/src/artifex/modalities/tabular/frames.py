"""Tables as pandas has them, and as arrays: what a column is, its values as numbers, and back with the exact dtype.

Shapes: ``N`` rows, ``C`` columns. In arrays a number or date is its position in the training rows' range, a level its number,
and what is missing NaN.
"""

# pandas annotates most results as unions that cannot be narrowed
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from artifex.core.errors import DataError, InvalidTypeError
from artifex.modalities.tabular.config import ColumnKind, Level, TableColumnConfig

__all__ = ["decode", "dtype_text", "encode", "infer_columns"]

MOST_LEVELS = 1000
"""Levels of a column from which on it is taken for free text."""
MOST_DECIMALS = 6
SPANS = (86400, 3600, 60, 1)
"""Seconds of a day, an hour, a minute, a second."""


def infer_columns(
    frame: pd.DataFrame,
    kinds: Mapping[str, ColumnKind] | None = None,
    orders: Mapping[str, Sequence[Level]] | None = None,
    *,
    where: str = "the table",
    rows: Sequence[int] | np.ndarray | None = None,
) -> tuple[TableColumnConfig, ...]:
    """What each column is, from these rows alone.

    Truth values and what has two levels are binary, texts categorical, pandas' categoricals categorical or ordinal, points in
    time dates, all other numbers numerical, unless ``kinds`` says otherwise.

    Args:
        frame: the training rows.
        kinds: kinds by column, where the guess is wrong: whole numbers that are codes, say.
        orders: levels of ordinal columns, lowest first; by default the categorical's own order, or that of the values.
        where: what to call the table in messages.
        rows: what to call each row in messages, where these are not all rows of a file; by default its number, from 1.

    Raises:
        DataError: there are no rows or columns, a name is no text or stands twice, or a column cannot be what it is said to be.

    Example:
        >>> table = pd.DataFrame({"age": [31, 44], "smokes": [True, False]})
        >>> [(column.column, column.variant, column.dtype) for column in infer_columns(table)]
        [('age', 'numerical', 'int64'), ('smokes', 'binary', 'bool')]
    """
    kinds, orders = dict(kinds or {}), dict(orders or {})
    _check_frame(frame, where)
    for given, what in ((kinds, "kinds"), (orders, "orders")):
        if unknown := [name for name in given if name not in frame.columns]:
            raise DataError(f"{where} has no column {unknown[0]!r}, which {what} names; it has {', '.join(frame.columns)}")
    frame = _numbered(frame, rows).sort_index()  # messages name the first row in the file that is wrong
    return tuple(_column(frame[name], kinds.get(name), orders.get(name), where) for name in frame.columns)


def _numbered(frame: pd.DataFrame, rows: Sequence[int] | np.ndarray | None) -> pd.DataFrame:
    """The table with what its rows are called as its index."""
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1) if rows is None else pd.Index(rows), axis="index")


def _check_frame(frame: pd.DataFrame, where: str) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise InvalidTypeError(f"a table is a pandas DataFrame, got {type(frame).__name__}; write pandas.DataFrame(...)")
    if frame.empty:
        raise DataError(f"{where} has {len(frame)} rows and {frame.shape[1]} columns; at least one of each is needed")
    if odd := [name for name in frame.columns if not isinstance(name, str) or not name]:
        raise DataError(f"{where} has a column called {odd[0]!r}; names are texts: write frame.rename(columns=str)")
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise DataError(f"{where} has two columns called {twice[0]!r}; rename one")


def _column(values: pd.Series, kind: ColumnKind | None, order: Sequence[Level] | None, where: str) -> TableColumnConfig:
    name, here = str(values.name), f"{where}: column {values.name!r}"
    kind = kind or _guess(values, here)
    shared: dict[str, Any] = {"column": name, "dtype": dtype_text(values.dtype, here), "missing": bool(values.isna().any())}
    if isinstance(values.dtype, pd.CategoricalDtype):
        own = values.dtype.categories
        shared |= {"levels_dtype": dtype_text(own.dtype, here), "ordered": bool(values.dtype.ordered)}
        shared["categories"] = tuple(_plain_level(value, here) for value in own)
    if kind == "date":
        return TableColumnConfig(variant=kind, **shared, **_date_range(values, here))
    if kind == "numerical":
        return TableColumnConfig(variant=kind, **shared, **_number_range(values, here))
    levels = _levels(values, kind, order, here)
    return TableColumnConfig(variant=kind, **shared, levels=levels)


def _guess(values: pd.Series, here: str) -> ColumnKind:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "ordinal" if dtype.ordered else "binary" if values.nunique() == 2 else "categorical"
    if types.is_bool_dtype(dtype):
        return "binary"
    if types.is_datetime64_any_dtype(dtype):
        return "date"
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "numerical"
    if types.is_object_dtype(dtype) or types.is_string_dtype(dtype):
        _refuse_text_among_numbers(values, here)
        return "binary" if len(_distinct(values.dropna())) == 2 else "categorical"
    raise DataError(
        f"{here} is of dtype {dtype}, which is no number, text, truth value, level or date; convert it or leave it out"
    )


def _refuse_text_among_numbers(values: pd.Series, here: str) -> None:
    """A column of numbers with a stray text in it is no column of texts."""
    there = values.dropna()
    if not len(there):
        return
    numbers = pd.to_numeric(there, errors="coerce").notna()
    if 0.5 < numbers.mean() < 1.0:
        place = int(np.flatnonzero(~numbers.to_numpy())[0])
        raise DataError(
            f"{here} holds numbers, but {there.iloc[place]!r} in row {there.index[place]}: mend it, name it among the "
            "markers of what is missing, or say in kinds that the column is categorical"
        )


def _levels(values: pd.Series, kind: ColumnKind, order: Sequence[Level] | None, here: str) -> tuple[Level, ...]:
    """Levels that occur, in order; for texts that is the alphabet's."""
    dtype = values.dtype
    there = values.dropna()
    found = [_plain_level(value, here) for value in _distinct(there)]
    if order is not None:
        if missed := [level for level in found if not _among(level, order)]:
            raise DataError(f"{here} holds {missed[0]!r}, which its order {list(order)!r} leaves out; add it")
        levels = tuple(order)
    elif isinstance(dtype, pd.CategoricalDtype):
        own = [_plain_level(value, here) for value in dtype.categories]
        levels = tuple(level for level in own if kind == "ordinal" or _among(level, found))
    elif types.is_bool_dtype(dtype):
        levels = (False, True)
    else:
        levels = tuple(
            sorted(found, key=lambda level: (isinstance(level, str), str(level) if isinstance(level, str) else level))
        )
    if kind == "binary" and len(levels) > 2:
        raise DataError(f"{here} is said to be binary, but has {len(levels)} levels: {', '.join(map(repr, levels[:4]))} ...")
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"{here} has {len(levels)} different values in {len(values)} rows, more than the {MOST_LEVELS} levels that a "
            "column may have: leave it out, group its values, or say in kinds that it is numerical"
        )
    return levels or ("",)


def _distinct(there: pd.Series) -> list[Any]:
    """Different values, without gaps; True is not 1."""
    if not types.is_object_dtype(there.dtype):
        return list(there.unique())
    return [value for _, value in dict.fromkeys((type(value), value) for value in there)]


def _among(level: Level, levels: Sequence[Level]) -> bool:
    """Whether ``level`` is one of them; True is not 1."""
    return any(type(level) is type(other) and level == other for other in levels)


def _plain_level(value: Any, here: str) -> Level:
    plain = value.item() if isinstance(value, np.generic) else value
    if type(plain) in (bool, int, str) or (type(plain) is float and np.isfinite(plain)):
        return plain
    raise DataError(f"{here} has the level {value!r} of type {type(value).__name__}; levels are texts, numbers or truth values")


def _number_range(values: pd.Series, here: str) -> dict[str, Any]:
    there = _as_numbers(values.dropna(), here)
    if not len(there):
        return {}
    if types.is_integer_dtype(there.dtype):
        return {"low": int(there.min()), "high": int(there.max()), "step": 1}
    array = there.to_numpy()
    if (bad := ~np.isfinite(array)).any():
        raise DataError(f"{here} holds {array[bad][0]} in row {there.index[bad][0]}: mend it, or leave it empty")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(high - low):
        raise DataError(f"{here} goes from {low:g} to {high:g}, which is too wide a range for float64; rescale it")
    wide = array.astype(np.float64)
    places = (n for n in range(MOST_DECIMALS + 1) if np.array_equal(np.round(wide, n).astype(array.dtype), array))
    return {"low": low, "high": high, "decimals": next(places, None)}


def _as_numbers(there: pd.Series, here: str) -> pd.Series:
    """Values without gaps as integers or floats of NumPy's."""
    if isinstance(there.dtype, pd.CategoricalDtype):
        there = there.astype("object")
    try:
        numbers = pd.to_numeric(there)
    except (ValueError, TypeError) as error:
        raise DataError(f"{here} is said to be numerical, but {_first_that_is_none(there) or error}; mend it") from error
    if types.is_bool_dtype(numbers.dtype):
        return numbers.astype("int64")
    if isinstance(numbers.dtype, np.dtype) and numbers.dtype.kind in "iuf":
        return numbers
    return numbers.astype(str(numbers.dtype).lower())  # Int64 and its like


def _first_that_is_none(there: pd.Series) -> str:
    """Which value is no number, and where."""
    bad = there[pd.to_numeric(there, errors="coerce").isna()]
    return f"holds {bad.iloc[0]!r} in row {bad.index[0]}" if len(bad) else ""


def _date_range(values: pd.Series, here: str) -> dict[str, Any]:
    if not types.is_datetime64_any_dtype(values.dtype):
        raise DataError(f"{here} is said to be a date, but is of dtype {values.dtype}; write pandas.to_datetime(...)")
    ticks = _ticks(values.dropna())
    if not len(ticks):
        return {}
    second = _ticks_per_second(values.dtype)
    steps = (span * second for span in SPANS)
    step = next((int(step) for step in steps if not np.any(ticks % step)), 1)
    return {"low": int(ticks.min()), "high": int(ticks.max()), "step": step}


def _ticks(values: pd.Series) -> np.ndarray:
    """Points in time as int64 in the dtype's own unit."""
    return values.to_numpy(dtype=f"datetime64[{unit_of(values.dtype)}]").astype(np.int64)


def unit_of(dtype: Any) -> str:
    """The unit that a dtype of points in time counts in: ``s``, ``ms``, ``us`` or ``ns``."""
    return str(getattr(dtype, "unit", None) or np.datetime_data(dtype)[0])


def _ticks_per_second(dtype: Any) -> int:
    return {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit_of(dtype)]


def dtype_text(dtype: Any, here: str = "the column") -> str:
    """The dtype as text of which pandas makes the same dtype again.

    Raises:
        DataError: it makes another.

    Example:
        >>> dtype_text(pd.Series([1, None], dtype="Int64").dtype)
        'Int64'
    """
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    text = str(dtype)
    if isinstance(dtype, pd.StringDtype) and text == "string":
        text = f"string[{dtype.storage}]"
    try:
        same = pd.api.types.pandas_dtype(text) == dtype
    except TypeError:
        same = False
    if not same:
        raise DataError(f"{here} is of dtype {dtype}, which cannot be told by its name; convert it, to object or category say")
    return text


def encode(
    frame: pd.DataFrame,
    columns: Sequence[TableColumnConfig],
    *,
    where: str = "the table",
    rows: Sequence[int] | np.ndarray | None = None,
) -> np.ndarray:
    """Rows as float32 ``(N, C)``: positions, numbers of levels, NaN where something is missing.

    Args:
        frame: the rows.
        columns: what :func:`infer_columns` made of the training rows.
        where: what to call the table in messages.
        rows: what to call each row in messages; by default its number, from 1.

    Raises:
        DataError: a column is missing, or holds a value or a gap that no training row has; the message names row and column.

    Example:
        >>> table = pd.DataFrame({"age": [20, 30, 40], "town": ["Bern", "Chur", "Bern"]})
        >>> encode(table, infer_columns(table)).tolist()
        [[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]]
    """
    if absent := [column.column for column in columns if column.column not in frame.columns]:
        raise DataError(f"{where} has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}")
    frame, made = _numbered(frame, rows), np.empty((len(frame), len(columns)), np.float32)
    for i, column in enumerate(columns):
        made[:, i] = _encoded(frame[column.column], column, f"{where}: column {column.column!r}")
    return made


def _encoded(values: pd.Series, column: TableColumnConfig, here: str) -> np.ndarray:
    gaps = values.isna().to_numpy()
    if gaps.any() and not column.missing:
        raise DataError(
            f"{here} is empty in row {values.index[int(np.argmax(gaps))]}, as it is in no training row; fill it, leave such "
            "rows out (unseen: drop), or have one among those to train on"
        )
    made = np.full(len(values), np.nan)
    made[~gaps] = (_positions if column.is_number else _codes)(values[~gaps], column, here)
    return made


def _positions(values: pd.Series, column: TableColumnConfig, here: str) -> np.ndarray:
    if column.variant == "date":
        if dtype_text(values.dtype, here) != column.dtype:
            raise DataError(f"{here} is of dtype {values.dtype}, but {column.dtype} among the training rows; convert it")
        array = _ticks(values)
    else:
        array = _as_numbers(values, here).to_numpy()
        if (bad := ~np.isfinite(array.astype(np.float64))).any():
            at = int(np.argmax(bad))
            raise DataError(f"{here} holds {values.iloc[at]} in row {values.index[at]}, which is no finite number; mend it")
    span = float(column.high - column.low) or 1.0
    if array.dtype.kind in "iu" and isinstance(column.low, int):  # exact, however great the numbers are
        return np.array([value - column.low for value in array.tolist()], np.float64) / span
    return (array.astype(np.float64) - float(column.low)) / span


def _codes(values: pd.Series, column: TableColumnConfig, here: str) -> np.ndarray:
    numbers = {(type(level), level): i for i, level in enumerate(column.levels)}
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    codes = [numbers.get((type(value), value), -1) if isinstance(value, (bool, int, float, str)) else -1 for value in plain]
    if -1 in codes:
        at, unseen = codes.index(-1), codes.count(-1)
        fix = "mend it, leave such rows out (unseen: drop), or have one among those to train on"
        if 2 * unseen > len(codes) and column.n_levels > 8:  # names or numbers of rows: no training row will have the next one
            fix = f"so do {unseen} of {len(codes)} rows; mend the column, or leave it out (in 'use', name the others)"
        raise DataError(
            f"{here} holds {plain[at]!r} in row {values.index[at]}, which no training row has; its levels are "
            f"{', '.join(map(repr, column.levels[:8]))}{' ...' if column.n_levels > 8 else ''}: {fix}"
        )
    return np.asarray(codes, np.float64)


def decode(values: np.ndarray, columns: Sequence[TableColumnConfig], *, clip: bool = True) -> pd.DataFrame:
    """The table that :func:`encode` made ``values`` of: its columns in their order, each of its own dtype.

    Args:
        values: ``(N, C)``.
        columns: what they are.
        clip: move numbers outside the range of the training rows to its ends.

    Example:
        >>> table = pd.DataFrame({"age": [20, 30, 40], "town": ["Bern", "Chur", "Bern"]})
        >>> columns = infer_columns(table)
        >>> decode(encode(table, columns), columns).equals(table)
        True
    """
    made = {column.column: _decoded(np.asarray(values[:, i], np.float64), column, clip) for i, column in enumerate(columns)}
    return pd.DataFrame(made, columns=[column.column for column in columns])


def _decoded(values: np.ndarray, column: TableColumnConfig, clip: bool) -> pd.Series:
    gaps = np.isnan(values)
    if not column.is_number:
        return _levelled(np.where(gaps, -1, values).astype(np.int64), column)
    positions = np.where(gaps, 0.0, values)
    if clip:
        positions = np.clip(positions, 0.0, 1.0)
    if isinstance(column.low, int) and column.step:
        made = _whole(positions, column)
    else:
        made = float(column.low) + positions * (float(column.high) - float(column.low))
        made = made if column.decimals is None else np.round(made, column.decimals)
    return _numbers_of_dtype(made, gaps, column)


def _whole(positions: np.ndarray, column: TableColumnConfig) -> np.ndarray:
    """Whole multiples of the step, from the lowest value on, as exact integers."""
    low, span, step = int(column.low), int(column.high) - int(column.low), column.step
    steps = np.rint(positions * (span / step))
    least, greatest = _limits(column.dtype)
    exact = [min(max(low + int(n) * step, least), greatest) for n in steps.tolist()]
    return np.array(exact, dtype=np.uint64 if greatest > 2**63 else np.int64)


def _limits(dtype: str) -> tuple[int, int]:
    """What a whole number of this dtype can be."""
    name = dtype.lower()
    if name.startswith(("int", "uint")):
        info = np.iinfo(name)
        return int(info.min), int(info.max)
    return -(2**63) + 1, 2**63 - 1  # the least int64 is no point in time


def _numbers_of_dtype(values: np.ndarray, gaps: np.ndarray, column: TableColumnConfig) -> pd.Series:
    if column.variant == "date":
        dtype: Any = pd.api.types.pandas_dtype(column.dtype)
        moments = pd.Series(values.astype(np.int64).astype(f"datetime64[{unit_of(dtype)}]"))
        moments = moments if getattr(dtype, "tz", None) is None else moments.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
        return moments.where(~gaps).astype(dtype) if gaps.any() else moments.astype(dtype)
    if column.dtype == "category":
        return _categorical([None if gap else value for gap, value in zip(gaps, values.tolist(), strict=True)], column)
    if column.dtype == "object":
        return pd.Series([None if gap else value for gap, value in zip(gaps, values.tolist(), strict=True)], dtype="object")
    if not gaps.any():
        return pd.Series(values).astype(column.dtype)
    if column.dtype.startswith(("float", "int", "uint", "bool")):
        return pd.Series(np.where(gaps, np.nan, values.astype(np.float64))).astype(column.dtype)
    series = pd.Series(values).astype(column.dtype)
    return series.mask(pd.Series(gaps))


def _levelled(codes: np.ndarray, column: TableColumnConfig) -> pd.Series:
    """Levels of the column's dtype; -1 is missing."""
    values = [None if code < 0 else column.levels[code] for code in codes.tolist()]
    if column.dtype == "category":
        return _categorical(values, column)
    series = pd.Series(values, dtype="object")
    return series if column.dtype == "object" else series.astype(column.dtype)


def _categorical(values: Sequence[Any], column: TableColumnConfig) -> pd.Series:
    categories = pd.Index(list(column.categories), dtype=column.levels_dtype)
    nearest: Any = partial(_nearest, column.categories) if column.is_number else lambda value: value
    made = [None if value is None else nearest(value) for value in values]
    return pd.Series(pd.Categorical(made, categories=categories, ordered=column.ordered))


def _nearest(levels: Sequence[Any], value: float) -> Any:
    """A categorical whose categories are numbers holds no other number."""
    return min(levels, key=lambda level: abs(level - value))
