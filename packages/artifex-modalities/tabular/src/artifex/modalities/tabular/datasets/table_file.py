"""Tables in files of the user's own: CSV and Parquet."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pandas.api import types
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.modalities.tabular.config import ColumnKind, Level
from artifex.modalities.tabular.datasets.csv_file import (
    as_dates,
    looks_like_dates,
    read_csv,
    refuse_numbers_and_dates_as_text,
)
from artifex.modalities.tabular.datasets.tables import TableDataset, Unseen, split_rows

__all__ = ["TableFile", "TableFileConfig"]

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.xz", ".csv.zst", ".csv.zip")


@config
class TableFileConfig(Config):
    """Which file to read, and what its columns are.

    >>> TableFileConfig(file="people.csv", kinds={"postcode": "categorical"}).test_fraction
    0.2
    """

    file: Path
    """A CSV file with a line of column names (``.csv``, ``.tsv``, also compressed), or a Parquet file (the extra
    ``parquet``)."""
    test_file: Path | None = None
    """Rows to test on; left out, ``test_fraction`` of ``file``'s."""
    validation_file: Path | None = None
    """Rows to evaluate on during training; left out, ``validation_fraction`` of ``file``'s."""
    test_fraction: Share = 0.2
    """Share of ``file`` that is the split ``test``, where there is no ``test_file``; 0 for no such split."""
    validation_fraction: Share = 0.1
    """Share of ``file`` that is the split ``validation``, where there is no ``validation_file``; 0 for no such split."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Of the order in which rows are split. Where no share of ``file`` is taken, its rows keep their order."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between the values of a CSV file; left out, a comma, or a tabulator in ``.tsv``."""
    encoding: str = "utf-8"
    """What a CSV file is in, by Python's name: ``latin-1``, ``cp1252``, ``utf-16``."""
    decimal: Annotated[str, Field(min_length=1, max_length=1)] = "."
    """What stands before the decimal places in a CSV file."""
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """What stands between groups of three digits in a CSV file."""
    missing_markers: tuple[str, ...] = ()
    """Texts that stand for a gap, beside nothing at all, ``NA``, ``NaN``, ``null`` and their like."""
    use: tuple[str, ...] = ()
    """Columns to model; left out, all."""
    kinds: dict[str, ColumnKind] = dataclasses.field(default_factory=dict, hash=False)
    """Kinds of columns where the guess is wrong: numbers that are codes, or texts that are read as dates and are none. Digits
    with a zero before them, ``01234``, are taken for codes and kept as text, unless they are said to be numerical."""
    date_formats: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)
    """How the dates of a column are written where that is not ``2024-12-31``, as ``strptime`` has it: ``%d.%m.%Y``."""
    orders: dict[str, tuple[Level, ...]] = dataclasses.field(default_factory=dict, hash=False)
    """Levels of ordinal columns, lowest first; by default in the order of their values."""
    unseen: Unseen = "refuse"
    """What happens at a row outside the training split with a level or a gap that no training row has: an error names it, or
    (``drop``) such rows are left out and counted."""

    def __post_init__(self) -> None:
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError(
                f"test_fraction={self.test_fraction} and validation_fraction={self.validation_fraction} leave no rows "
                "to train on"
            )
        if wrong := [name for name in self.date_formats if self.kinds.get(name, "date") != "date"]:
            raise ValueError(
                f"date_formats names {wrong[0]!r}, which kinds says is {self.kinds[wrong[0]]}; leave one of them out"
            )
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they have to differ")


class TableFile(TableDataset):
    """A table of the user's own. ``x`` is float32 ``(N, C)``: see :class:`TableDataset`.

    Messages name rows as they stand in the file, the first below the names being row 1. Texts that are all dates in ISO's form
    are dates unless ``kinds`` says otherwise.
    """

    def __init__(self, config: TableFileConfig) -> None:
        self.config, self.unseen = config, config.unseen
        self.orders = config.orders
        self.kinds = {**dict.fromkeys(config.orders, "ordinal"), **dict.fromkeys(config.date_formats, "date"), **config.kinds}

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.config.file)

    def where(self, split: str) -> str:
        """The file that a split is of, and the split."""
        return f"{self._files.get(split, self.config.file)}, split {split!r}"

    def rows(self, split: str) -> np.ndarray | None:
        """The numbers that a split's rows have in the file."""
        return None if split in self._files else self._places[split] + 1

    @cached_property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """The table of each split. Raises :class:`DataError` where a file cannot be read or lacks a column."""
        made = {name: self._whole.iloc[places].reset_index(drop=True) for name, places in self._places.items()}
        texts = [name for name in self._whole.columns if types.infer_dtype(self._whole[name], skipna=True) == "string"]
        return made | {name: self._read(file, texts) for name, file in self._files.items()}

    @cached_property
    def _whole(self) -> pd.DataFrame:
        return self._read(self.config.file)

    @property
    def _files(self) -> dict[str, Path]:
        """Files of splits of their own."""
        files = {"test": self.config.test_file, "validation": self.config.validation_file}
        return {name: file for name, file in files.items() if file is not None}

    @cached_property
    def _places(self) -> dict[str, np.ndarray]:
        """Which rows of the file each split has."""
        config = self.config
        test, validation = (
            0.0 if name in self._files else share
            for name, share in (("test", config.test_fraction), ("validation", config.validation_fraction))
        )
        return split_rows(len(self._whole), test, validation, config.split_seed, self.name)

    def _read(self, file: Path, texts: Sequence[str] = ()) -> pd.DataFrame:
        config, path = self.config, file.expanduser()
        if not path.is_file():
            raise DataError(f"there is no file {path}; set 'file' to a table: {', '.join((*TEXT[:2], PARQUET[0]))}")
        name = path.name.lower()
        if not name.endswith((*TEXT, *PARQUET)):
            raise DataError(f"{path} is no table that can be read; it has to end in {', '.join((*TEXT, *PARQUET))}")
        if name.endswith(PARQUET):
            return self._with_dates(_chosen(_parquet(path), path, config.use), path)
        frame = read_csv(
            path,
            separator=config.separator or ("\t" if ".tsv" in name else ","),
            encoding=config.encoding,
            decimal=config.decimal,
            thousands=config.thousands,
            missing_markers=config.missing_markers,
            use=config.use,
            kinds=self.kinds,
            texts=texts,
        )
        refuse_numbers_and_dates_as_text(frame, path, self.kinds)
        return self._with_dates(frame, path)

    def _with_dates(self, frame: pd.DataFrame, path: Path) -> pd.DataFrame:
        """Texts that are dates, as dates."""
        made = {}
        for column in map(str, frame.columns):
            values = pd.Series(frame[column])
            if self.kinds.get(column) == "date" or (column not in self.kinds and looks_like_dates(values)):
                made[column] = as_dates(values, path, self.config.date_formats.get(column))
        return frame.assign(**made) if made else frame


def _chosen(frame: pd.DataFrame, path: Path, use: Sequence[str]) -> pd.DataFrame:
    if absent := [column for column in use if column not in frame.columns]:
        raise DataError(f"{path} has no column {absent[0]!r}, which 'use' names; it has {', '.join(map(str, frame.columns))}")
    return frame.loc[:, list(use)] if use else frame


def _parquet(path: Path) -> pd.DataFrame:
    if importlib.util.find_spec("pyarrow") is None:
        raise DataError(f"{path} needs pyarrow: pip install 'artifex-modalities-tabular[parquet]'")
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
