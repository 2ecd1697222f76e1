"""What every data set of tables has: its columns, learnt from the training rows, and its splits as tables and as arrays."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from artifex.core.errors import DataError, RunWarning
from artifex.core.splits import ordered, require_split
from artifex.modalities.tabular.config import ColumnKind, Level, TableColumnConfig
from artifex.modalities.tabular.frames import encode, infer_columns

__all__ = ["FrameTable", "TableDataset", "Unseen", "shuffled_splits", "split_rows"]

Unseen = Literal["refuse", "drop"]


class TableDataset(ABC):
    """Tables of each split: ``arrays(split)`` has ``x`` float32 ``(N, C)``, as :func:`~artifex.modalities.tabular.encode`."""

    kinds: Mapping[str, ColumnKind]
    orders: Mapping[str, Sequence[Level]]
    unseen: Unseen

    @property
    @abstractmethod
    def name(self) -> str:
        """What to call it in messages."""

    @cached_property
    @abstractmethod
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """The table of each split."""

    def where(self, split: str) -> str:
        """What to call one split in messages."""
        return f"{self.name}, split {split!r}"

    def rows(self, split: str) -> np.ndarray | None:
        """What to call the rows of one split in messages: their numbers in a file; None where they are all there are."""
        del split
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` first, then ``test``, then the others."""
        return ordered(self.frames)

    @cached_property
    def columns(self) -> tuple[TableColumnConfig, ...]:
        """What the columns are, from the training rows alone."""
        return infer_columns(self.frames["train"], self.kinds, self.orders, where=self.where("train"), rows=self.rows("train"))

    def table(self, split: str) -> pd.DataFrame:
        """The rows of one split, as they are. Raises :class:`InvalidInputError` for a split that does not exist."""
        return self._kept(split)[0]

    def _kept(self, split: str) -> tuple[pd.DataFrame, np.ndarray | None]:
        """The rows of one split that are not left out, and what to call them."""
        require_split(split, self.splits, self.name)
        frame, rows = self.frames[split], self.rows(split)
        if split == "train" or self.unseen == "refuse":
            return frame, rows
        known = self._known(frame, split)
        return frame.loc[known], None if rows is None else rows[known]

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """``x`` of one split.

        Raises:
            InvalidInputError: no such split.
            DataError: a row holds a level or a gap that no training row has, and ``unseen`` refuses it.
        """
        frame, rows = self._kept(split)
        return {"x": encode(frame, self.columns, where=self.where(split), rows=rows)}

    def _known(self, frame: pd.DataFrame, split: str) -> np.ndarray:
        """Which rows hold only levels and gaps that training rows have; how many do not is told."""
        by_column = {column.column: _known(pd.Series(frame[column.column]), column) for column in self.columns}
        known = np.all(list(by_column.values()), axis=0)
        if not known.all():
            message = f"{self.name}: {int(np.sum(~known))} of {len(frame)} rows of split {split!r} are unlike any training row"
            worst = min(by_column, key=lambda name: by_column[name].sum())
            message += f"; they are left out, {int(np.sum(~by_column[worst]))} of them for column {worst!r}"
            warnings.warn(message, RunWarning, stacklevel=4)
        return known


def _known(values: pd.Series, column: TableColumnConfig) -> np.ndarray:
    """Where a column holds levels that training rows have, and gaps where they have some."""
    known = np.ones(len(values), bool) if column.missing else values.notna().to_numpy()
    if not column.levels:
        return known
    levels = {(type(level), level) for level in column.levels}
    return known & (np.array([(type(value), value) in levels for value in values.tolist()], bool) | values.isna().to_numpy())


class FrameTable(TableDataset):
    """Tables in memory, one for each split: for a notebook, or a trainer that is used directly.

    >>> table = FrameTable({"train": pd.DataFrame({"age": [31, 44]})})
    >>> table.splits, table.arrays("train")["x"].tolist()
    (('train',), [[0.0], [1.0]])
    """

    def __init__(
        self,
        frames: Mapping[str, pd.DataFrame],
        *,
        kinds: Mapping[str, ColumnKind] | None = None,
        orders: Mapping[str, Sequence[Level]] | None = None,
        unseen: Unseen = "refuse",
    ) -> None:
        if "train" not in frames:
            raise DataError(
                f"tables need the split 'train', from whose rows the columns are learnt; got {', '.join(frames) or 'none'}"
            )
        self._frames, self.unseen = dict(frames), unseen
        self.kinds, self.orders = kinds or {}, orders or {}

    @property
    def name(self) -> str:
        """``the table``."""
        return "the table"

    @cached_property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """The table of each split."""
        return self._frames


def shuffled_splits(frame: pd.DataFrame, test: float, validation: float, seed: int, where: str) -> dict[str, pd.DataFrame]:
    """Rows in shuffled order as ``train`` and, of the given shares, ``test`` and ``validation``.

    Raises:
        DataError: there are too few rows for each split to have one.

    >>> {name: len(part) for name, part in shuffled_splits(pd.DataFrame({"a": range(10)}), 0.2, 0.1, 0, "it").items()}
    {'train': 7, 'test': 2, 'validation': 1}
    """
    rows = split_rows(len(frame), test, validation, seed, where)
    return {name: frame.iloc[places].reset_index(drop=True) for name, places in rows.items()}


def split_rows(n: int, test: float, validation: float, seed: int, where: str) -> dict[str, np.ndarray]:
    """Which of ``n`` rows each split has, as :func:`shuffled_splits`; all of them in their order, where no share is taken.

    Raises:
        DataError: there are too few for each split to have one.
    """
    sizes = {name: round(share * n) for name, share in (("test", test), ("validation", validation)) if share > 0}
    left = n - sum(sizes.values())
    if left < 1 or 0 in sizes.values():
        raise DataError(f"{where} has {n} rows, too few for the splits train, {', '.join(sizes)}; give other fractions")
    order = np.random.default_rng(seed).permutation(n) if sizes else np.arange(n)
    ends = np.cumsum([left, *sizes.values()])[:-1]
    return dict(zip(("train", *sizes), np.split(order, ends), strict=True))
