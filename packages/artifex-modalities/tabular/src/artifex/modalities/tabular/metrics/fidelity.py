"""How alike the columns of two tables are distributed, one by one and in pairs.

The definitions are those of SDMetrics (DataCebo 2020-, https://docs.sdv.dev/sdmetrics), to rounding. A table is a pandas
frame, or a list of :class:`~artifex.modalities.tabular.TableRow`; which columns are numbers and which have levels is known of
rows, and of frames told from ``references``.
"""

# pandas annotates most results as unions that cannot be narrowed
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular.rows import Table, TableLike, as_table

__all__ = [
    "column_ks_complement",
    "column_tv_complement",
    "contingency_similarity",
    "correlation_similarity",
    "ks_complement",
    "pair_contingency_similarity",
    "pair_correlation_similarity",
    "tv_complement",
]

NUMBERS = ("numerical", "date")
LEVELS = ("categorical", "ordinal", "binary")
ABSENT = 1e-6
"""References that SDMetrics counts of a level that none of them has."""


def both(samples: TableLike, references: TableLike) -> tuple[Table, Table]:
    """Both as tables with the columns of the references."""
    real = as_table(references, name="references")
    return as_table(samples, real, name="samples"), real


def ks_complement(samples: TableLike, references: TableLike) -> float:
    """Mean over numerical columns and dates of ``1 - sup_v |F(v) - G(v)|``; NaN where there are none.

    Args:
        samples: a table.
        references: a real one.

    Raises:
        InvalidInputError: one has no rows, or ``samples`` lacks a column.

    >>> ks_complement(pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}), pd.DataFrame({"a": [1.0, 2.0, 3.0, 9.0]}))
    0.75
    """
    return _mean_of_columns(column_ks_complement, NUMBERS, *both(samples, references))


def tv_complement(samples: TableLike, references: TableLike) -> float:
    """Mean over columns with levels of ``1 - 1/2 sum_l |p(l) - q(l)|``; what is missing is left out. NaN where there are none.

    >>> tv_complement(pd.DataFrame({"a": list("xxyy")}), pd.DataFrame({"a": list("xxxy")}))
    0.75
    """
    return _mean_of_columns(column_tv_complement, LEVELS, *both(samples, references))


def correlation_similarity(samples: TableLike, references: TableLike) -> float:
    """Mean over pairs of numerical columns and dates of ``1 - |r - s| / 2`` with Pearson's correlations r and s.

    Pairs in which a column is constant have no correlation and are left out. NaN where no pair is left.

    >>> rising, falling = pd.DataFrame({"a": [0, 1, 2], "b": [0, 1, 2]}), pd.DataFrame({"a": [0, 1, 2], "b": [2, 1, 0]})
    >>> round(correlation_similarity(rising, falling), 4)
    0.0
    """
    made, real = both(samples, references)
    columns = [[_with_gaps(side.frame[name]) for name in real.names(*NUMBERS)] for side in (made, real)]
    return _mean([_likeness(*pair) for pair in zip(*(itertools.combinations(side, 2) for side in columns), strict=True)])


def contingency_similarity(samples: TableLike, references: TableLike) -> float:
    """Mean over pairs of columns with levels of ``1 - 1/2 sum_lm |p(l, m) - q(l, m)|``; NaN where there are none.

    What is missing is a level.

    >>> one = pd.DataFrame({"a": list("xxyy"), "b": list("uvuv")})
    >>> contingency_similarity(one, pd.DataFrame({"a": list("xxyy"), "b": list("uuvv")}))
    0.5
    """
    made, real = both(samples, references)
    pairs = [list(pair) for pair in itertools.combinations(real.names(*LEVELS), 2)]
    return _mean([pair_contingency_similarity(made.frame[pair], real.frame[pair]) for pair in pairs])


def _mean_of_columns(measure: Callable[[Any, Any], float], kinds: tuple[str, ...], made: Table, real: Table) -> float:
    figures = [measure(made.frame[name], real.frame[name]) for name in real.names(*kinds)]
    return _mean(figures)


def _mean(figures: list[float]) -> float:
    """The mean of those that are there."""
    there = [figure for figure in figures if not np.isnan(figure)]
    return float(np.mean(there)) if there else float("nan")


def numbers(values: Any) -> np.ndarray:
    """A column without gaps as float64 or, of dates, as int64 counts of microseconds, whatever the unit of each table."""
    there = pd.Series(values).dropna()
    if pd.api.types.is_datetime64_any_dtype(there.dtype):
        return there.dt.as_unit("us").astype("int64").to_numpy()
    return pd.to_numeric(there).to_numpy(dtype=np.float64)


def column_ks_complement(samples: Any, references: Any) -> float:
    """``1 - sup_v |F(v) - G(v)|`` of two columns of numbers; gaps are left out. NaN where a column is all gaps."""
    made, real = np.sort(numbers(samples)), np.sort(numbers(references))
    if not (len(made) and len(real)):
        return float("nan")
    places = np.concatenate([made, real])
    steps = (np.searchsorted(side, places, side="right") / len(side) for side in (made, real))
    return float(1 - np.max(np.abs(np.subtract(*steps))))


def column_tv_complement(samples: Any, references: Any) -> float:
    """``1 - 1/2 sum_l |p(l) - q(l)|`` of two columns with levels; gaps are left out. NaN where a column is all gaps.

    As SDMetrics has it, a level of the samples that no reference has counts a millionth of a reference.
    """
    made, real = (_counts(pd.Series(side).dropna()) for side in (samples, references))
    if not (made and real):
        return float("nan")
    return _complement_of_distance(_shares(made), _shares({**dict.fromkeys(made, ABSENT), **real}))


def pair_correlation_similarity(samples: pd.DataFrame, references: pd.DataFrame) -> float:
    """``1 - |r - s| / 2`` of two tables of two columns; rows with a gap are left out. NaN where a column is constant."""
    for pair in (samples, references):
        _check_pair(pair)
    return _likeness(*([_with_gaps(pair.iloc[:, i]) for i in (0, 1)] for pair in (samples, references)))


Pair = Sequence[np.ndarray]


def _with_gaps(column: pd.Series) -> np.ndarray:
    """A column as float64 with NaN for gaps."""
    made, there = np.full(len(column), np.nan), column.notna().to_numpy()
    made[there] = numbers(column)
    return made


def _likeness(made: Pair, real: Pair) -> float:
    return float(1 - abs(_correlation(*made) - _correlation(*real)) / 2)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    there = ~(np.isnan(x) | np.isnan(y))
    x, y = x[there], y[there]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    return float(np.clip(x @ y, -1.0, 1.0))


def pair_contingency_similarity(samples: pd.DataFrame, references: pd.DataFrame) -> float:
    """``1 - 1/2 sum_lm |p(l, m) - q(l, m)|`` of two tables of two columns with levels; a gap is a level of its own."""
    for pair in (samples, references):
        _check_pair(pair)
    made, real = (_shares(_counts(_tuples(pair))) for pair in (samples, references))
    return _complement_of_distance(made, real)


def _tuples(pair: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Rows as tuples in which every gap is None."""
    columns = (np.where(pair.iloc[:, i].isna(), None, pair.iloc[:, i].astype("object")) for i in (0, 1))
    return list(zip(*columns, strict=True))


def _check_pair(pair: pd.DataFrame) -> None:
    if pair.shape[1] != 2 or not len(pair):
        raise InvalidInputError(f"a table of two columns with at least one row is needed, got {pair.shape}")


def _counts(values: Any) -> dict[Any, float]:
    """How often each level stands there."""
    counts: dict[Any, float] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


def _shares(counts: dict[Any, float]) -> dict[Any, float]:
    whole = sum(counts.values())
    return {level: count / whole for level, count in counts.items()}


def _complement_of_distance(one: dict[Any, float], other: dict[Any, float]) -> float:
    return 1 - sum(abs(one.get(level, 0.0) - other.get(level, 0.0)) for level in {**one, **other}) / 2
