"""Tables in files of the user's own: CSV and Parquet."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.modalities.tabular.config import ColumnKind, Level
from artifex.modalities.tabular.datasets.tables import TableDataset, Unseen, shuffled_splits

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
    """Of the order in which rows are split."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between the values of a CSV file; left out, a comma, or a tabulator in ``.tsv``."""
    missing_markers: tuple[str, ...] = ()
    """Texts that stand for a gap, beside nothing at all, ``NA``, ``NaN``, ``null`` and their like."""
    use: tuple[str, ...] = ()
    """Columns to model; left out, all."""
    kinds: dict[str, ColumnKind] = dataclasses.field(default_factory=dict, hash=False)
    """Kinds of columns where the guess is wrong: numbers that are codes, texts that are dates."""
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


class TableFile(TableDataset):
    """A table of the user's own. ``x`` is float32 ``(N, C)``: see :class:`TableDataset`."""

    def __init__(self, config: TableFileConfig) -> None:
        self.config, self.unseen = config, config.unseen
        self.orders = config.orders
        self.kinds = {**dict.fromkeys(config.orders, "ordinal"), **config.kinds}

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.config.file)

    @cached_property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """The table of each split. Raises :class:`DataError` where a file cannot be read or lacks a column."""
        config = self.config
        files = {"test": config.test_file, "validation": config.validation_file}
        shares = {"test": config.test_fraction, "validation": config.validation_fraction}
        cut = {name: 0.0 if files[name] is not None else share for name, share in shares.items()}
        made = shuffled_splits(self._read(config.file), cut["test"], cut["validation"], config.split_seed, self.name)
        return made | {name: self._read(file) for name, file in files.items() if file is not None}

    def _read(self, file: Path) -> pd.DataFrame:
        path = file.expanduser()
        if not path.is_file():
            raise DataError(f"there is no file {path}; set 'file' to a table: {', '.join((*TEXT[:2], PARQUET[0]))}")
        name = path.name.lower()
        if not name.endswith((*TEXT, *PARQUET)):
            raise DataError(f"{path} is no table that can be read; it has to end in {', '.join((*TEXT, *PARQUET))}")
        frame = _parquet(path) if name.endswith(PARQUET) else self._csv(path, "\t" if ".tsv" in name else ",")
        if absent := [column for column in self.config.use if column not in frame.columns]:
            raise DataError(
                f"{path} has no column {absent[0]!r}, which 'use' names; it has {', '.join(map(str, frame.columns))}"
            )
        frame = frame.loc[:, list(self.config.use)] if self.config.use else frame
        return self._with_dates(frame, path)

    def _csv(self, path: Path, separator: str) -> pd.DataFrame:
        separator = self.config.separator or separator
        try:
            frame = pd.read_csv(path, sep=separator, na_values=list(self.config.missing_markers), low_memory=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError, EOFError, ValueError) as error:
            reason = str(error).removeprefix("Error tokenizing data. C error: ")
            raise DataError(f"{path} cannot be read as CSV with {separator!r} between values: {reason}") from error
        if frame.shape[1] == 1 and (better := [s for s in ";\t|" if s in str(frame.columns[0]) and s != separator]):
            raise DataError(
                f"{path} has a single column, {frame.columns[0]!r}; set separator to {better[0]!r} if that is what stands there"
            )
        return frame

    def _with_dates(self, frame: pd.DataFrame, path: Path) -> pd.DataFrame:
        """Texts that are said to be dates, as dates."""
        dates = {column for column, kind in self.config.kinds.items() if kind == "date" and column in frame.columns}
        made = {}
        for column in sorted(dates):
            values = frame[column]
            if pd.api.types.is_datetime64_any_dtype(values.dtype):
                continue
            moments = pd.to_datetime(values, errors="coerce", format="ISO8601")
            if (bad := (moments.isna() & values.notna()).to_numpy()).any():
                row = int(bad.argmax())
                raise DataError(
                    f"{path}: column {column!r} holds {values.iloc[row]!r} in row {row + 1}, which is no date; write 2024-12-31"
                )
            made[column] = moments
        return frame.assign(**made) if made else frame


def _parquet(path: Path) -> pd.DataFrame:
    if importlib.util.find_spec("pyarrow") is None:
        raise DataError(f"{path} needs pyarrow: pip install 'artifex-modalities-tabular[parquet]'")
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
