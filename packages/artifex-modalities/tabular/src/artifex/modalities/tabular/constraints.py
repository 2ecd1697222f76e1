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
    frame = as_table(table, name="the table").frame
    if absent := [name for name in columns if name not in frame.columns]:
        raise InvalidInputError(f"the table has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}")
    return frame


def _violations(rule: str, columns: Sequence[str], broken: np.ndarray, values: Sequence[Any]) -> Violations:
    rows = np.flatnonzero(broken)
    return Violations(rule, tuple(columns), tuple(rows.tolist()), tuple(values[row] for row in rows))


def check_types(table: TableLike, dtypes: Mapping[str, str]) -> list[Violations]:
    """Whether columns have the dtypes that are given by name; where one has not, all its rows break the rule.

    >>> [str(found) for found in check_types(pd.DataFrame({"a": [1.5]}), {"a": "int64"})]
    ['a: of dtype int64: broken in 1 rows, first in row 0 (1.5)']
    """
    frame = _frame(table, tuple(dtypes))
    return [
        _violations(
            f"of dtype {dtype}",
            [name],
            np.full(len(frame), frame[name].dtype != pd.api.types.pandas_dtype(dtype)),
            frame[name].tolist(),
        )
        for name, dtype in dtypes.items()
    ]


def check_ranges(table: TableLike, ranges: Mapping[str, tuple[Any, Any]]) -> list[Violations]:
    """Whether values lie within ``(low, high)``, ends included, None for no end; gaps break no rule.

    >>> check_ranges(pd.DataFrame({"age": [3, -1, 200]}), {"age": (0, 120)})[0].rows
    (1, 2)
    """
    frame, found = _frame(table, tuple(ranges)), []
    for name, (low, high) in ranges.items():
        values, inside = frame[name], pd.Series(True, index=frame.index)
        if low is not None:
            inside &= values >= low
        if high is not None:
            inside &= values <= high
        broken = ~inside.to_numpy(dtype=bool, na_value=True) & values.notna().to_numpy()
        rule = " and ".join([f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None))
        found.append(_violations(rule or "any value", [name], broken, values.tolist()))
    return found


def check_categories(table: TableLike, categories: Mapping[str, Sequence[Any]]) -> list[Violations]:
    """Whether values are among those that are given; gaps break no rule.

    >>> check_categories(pd.DataFrame({"town": ["Bern", "Oz", None]}), {"town": ["Bern", "Chur"]})[0].values
    ('Oz',)
    """
    frame, found = _frame(table, tuple(categories)), []
    for name, allowed in categories.items():
        values = frame[name].astype("object")
        broken = np.array([value not in set(allowed) for value in values], bool) & values.notna().to_numpy()
        found.append(_violations(f"one of {list(allowed)!r}", [name], broken, values.tolist()))
    return found


def check_unique(table: TableLike, keys: Sequence[Sequence[str] | str]) -> list[Violations]:
    """Whether no two rows agree in a key, which is a column or several; the second and later ones break the rule.

    >>> check_unique(pd.DataFrame({"id": [7, 8, 7]}), ["id"])[0].rows
    (2,)
    """
    sets = [[key] if isinstance(key, str) else list(key) for key in keys]
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
    frame = _frame(table, [name for whole, parts in sums.items() for name in (whole, *parts)])
    found = []
    for whole, parts in sums.items():
        total = frame[whole].to_numpy(dtype=np.float64, na_value=np.nan)
        each = np.stack([frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in parts])
        off = np.abs(total - each.sum(axis=0)) > tolerance * np.maximum(1.0, np.abs(each).sum(axis=0))
        found.append(_violations(f"the sum of {' + '.join(parts)}", [whole, *parts], off, total.tolist()))
    return found


def check_columns(table: TableLike, columns: Sequence[TableColumnConfig]) -> list[Violations]:
    """Whether a table keeps all that was learnt of its columns: dtypes, gaps, ranges and levels."""
    frame = _frame(table, [column.column for column in columns])
    found = check_types(frame, {column.column: column.dtype for column in columns if column.dtype != "category"})
    for column in columns:
        if not column.missing:
            gaps = frame[column.column].isna().to_numpy()
            found.append(_violations("never missing", [column.column], gaps, frame[column.column].tolist()))
    found += check_categories(frame, {column.column: column.levels for column in columns if column.levels})
    return found + check_ranges(frame, {c.column: (c.low, c.high) for c in columns if c.variant == "numerical"})
