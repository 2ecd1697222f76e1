"""Rows of a table as objects of the host that know their table: what metrics are given, one by one or many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.tabular.config import TableColumnConfig
from artifex.modalities.tabular.frames import decode, infer_columns

__all__ = ["Table", "TableRow", "as_table", "frame_of", "rows_of"]


class TableRow(Mapping[str, Any]):
    """One row: values by column, as pandas has them.

    Args:
        values: positions, numbers of levels and NaN, ``(C,)``.
        columns: what they are.
        clip: move numbers outside the range of the training rows to its ends.
    """

    __slots__ = ("clip", "columns", "values_")

    def __init__(self, values: np.ndarray, columns: tuple[TableColumnConfig, ...], clip: bool = True):
        self.values_, self.columns, self.clip = values, columns, clip

    def __getitem__(self, name: str) -> Any:
        for i, column in enumerate(self.columns):
            if column.column == name:
                return decode(self.values_[None, i : i + 1], (column,), clip=self.clip).iloc[0, 0]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (column.column for column in self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"TableRow({dict(self)!r})"


def rows_of(values: np.ndarray, columns: tuple[TableColumnConfig, ...], *, clip: bool = True) -> list[TableRow]:
    """A :class:`TableRow` for each row of ``values``, ``(N, C)``."""
    return [TableRow(row, columns, clip) for row in np.asarray(values)]


class Table:
    """A table and what its columns are, for metrics."""

    __slots__ = ("columns", "frame")

    def __init__(self, frame: pd.DataFrame, columns: tuple[TableColumnConfig, ...]):
        self.frame, self.columns = frame, columns

    def __len__(self) -> int:
        return len(self.frame)

    def names(self, *variants: str) -> list[str]:
        """Columns of these kinds."""
        return [column.column for column in self.columns if column.variant in variants]


TableLike = pd.DataFrame | Table | Sequence[TableRow | None]


def as_table(table: Any, like: Table | None = None, *, name: str = "samples") -> Table:
    """A table of what a metric is given: a frame, a table, or rows, among which None stands for what is no row.

    Args:
        table: what was given.
        like: a table whose columns it has to have, and whose kinds of column hold for it too.
        name: what to call it in messages.

    Raises:
        InvalidTypeError: it is none of these.
        InvalidInputError: it has no rows, or lacks a column of ``like``.
    """
    if not isinstance(table, Table | Sequence | pd.DataFrame) or isinstance(table, str):
        raise InvalidTypeError(f"{name} is a {type(table).__name__}; a table is a pandas DataFrame, or a list of TableRow")
    rows = [row for row in table if row is not None] if isinstance(table, Sequence) else table
    if not len(rows):
        raise InvalidInputError(f"{name} has no rows; a metric of tables needs at least one")
    if isinstance(rows, Table):
        made = rows
    elif isinstance(rows, pd.DataFrame):
        made = Table(rows, infer_columns(rows, where=name) if like is None else like.columns)
    else:
        if wrong := [row for row in rows if not isinstance(row, TableRow)]:
            raise InvalidTypeError(f"{name} holds a {type(wrong[0]).__name__}; a table is a DataFrame, or TableRows")
        made = Table(decode(np.stack([row.values_ for row in rows]), rows[0].columns, clip=rows[0].clip), rows[0].columns)
    if like is not None and (absent := [c.column for c in like.columns if c.column not in made.frame.columns]):
        raise InvalidInputError(f"{name} has no column {absent[0]!r}; it has {', '.join(map(str, made.frame.columns))}")
    return made


def frame_of(table: TableLike, like: pd.DataFrame | None = None, *, name: str = "samples") -> pd.DataFrame:
    """The table as pandas has it, for metrics to which what its columns are makes no difference: free text is welcome.

    Args:
        table: a frame, a table, or rows.
        like: a frame whose columns it has to have; they alone are given back.
        name: what to call it in messages.

    Raises:
        InvalidInputError: it has no rows, or lacks a column of ``like``.
    """
    frame = table if isinstance(table, pd.DataFrame) and len(table) else as_table(table, name=name).frame
    if like is None:
        return frame
    if absent := [column for column in like.columns if column not in frame.columns]:
        raise InvalidInputError(f"{name} has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}")
    return frame.loc[:, list(like.columns)]
