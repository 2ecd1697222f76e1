"""Series in files of the user's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import ordered, require_split
from artifex.modalities.timeseries.datasets.reading import Read, read_csv, read_ts
from artifex.modalities.timeseries.series import lengths_of, windows

__all__ = ["SeriesFile", "SeriesFileConfig"]

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


@config
class SeriesFileConfig(Config):
    """Which file to read, and how its series become examples.

    >>> SeriesFileConfig(file="load.csv", step="date", window=48).stride
    1
    """

    file: Path
    """``.csv`` with a line of names, or ``.ts``."""
    test_file: Path | None = None
    """Series to test on; left out, ``test_fraction`` of ``file``."""
    validation_file: Path | None = None
    """Series to evaluate on during training; left out, ``validation_fraction`` of ``file``."""
    test_fraction: Share = 0.2
    """Share of ``file`` that is the split ``test``: the last steps of every series where windows are cut, else whole series."""
    validation_fraction: Share = 0.1
    """Share of ``file`` that is the split ``validation``; of steps, those before the ones to test on."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Of the order in which whole series are split. Where no share of ``file`` is taken, they keep their order."""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """What stands between the values of a CSV file."""
    series: str = ""
    """Column that says which series a line is of; left out, all lines are one series."""
    step: str = ""
    """Column of the time, by which the lines of a series are in order; it is no channel."""
    step_format: str = ""
    """How times are written, as ``strptime`` has it: ``%d.%m.%Y``. Left out, they are numbers, or dates as 2024-12-31."""
    encoding: str = "utf-8"
    """What the file is in, by Python's name: ``latin-1``, ``cp1252``, ``utf-16``."""
    decimal: Annotated[str, Field(min_length=1, max_length=1)] = "."
    """What stands before the decimal places in a CSV file."""
    use: tuple[str, ...] = ()
    """Channels; left out, all columns but ``series`` and ``step``."""
    window: Annotated[int, Field(ge=2)] | None = None
    """Steps of the windows that series are cut into; left out, a series is an example."""
    stride: Annotated[int, Field(ge=1)] = 1
    """Steps from the start of one window to that of the next."""

    def __post_init__(self) -> None:
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError(
                f"test_fraction={self.test_fraction} and validation_fraction={self.validation_fraction} leave nothing "
                "to train on"
            )
        if self.window is None and self.stride != 1:
            raise ValueError(f"stride={self.stride} is that of windows: set window, or leave stride out")
        if self.step_format and not self.step:
            raise ValueError(f"step_format={self.step_format!r} is of the column 'step': name it, or leave step_format out")


class SeriesFile:
    """Series of the user's own: ``x`` float32 ``(N, L, C)``, NaN for gaps; ``mask`` ``(N, L)`` where lengths differ; ``label``.

    ``L`` is that of the longest series of all splits.

    Where windows are cut, the splits are stretches of time, the training split's first, and no window lies in two of them: what
    is evaluated on comes after all that was learnt from.
    """

    def __init__(self, config: SeriesFileConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` first, then ``test``, then ``validation``."""
        return ordered(self._parts)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self._read.channels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of a ``.ts`` file, in the order of their labels; empty where there are none."""
        return tuple(sorted(set(self._read.labels or ())))

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The examples of one split.

        Raises:
            InvalidInputError: no such split.
            DataError: a file cannot be read, or holds something wrong: which file, line and column is said.
        """
        require_split(split, self.splits, str(self.config.file))
        part = self._parts[split]
        x = np.full((len(part.series), self._longest, len(self.channels)), np.nan, np.float32)
        for row, one in zip(x, part.series, strict=True):
            row[: len(one)] = one
        made: dict[str, np.ndarray] = {"x": x}
        if self._differ:
            made["mask"] = np.arange(x.shape[1]) < lengths_of(x)[:, None]
        if part.labels is not None:
            if unknown := set(part.labels) - set(self.classes):
                raise DataError(f"split {split!r} has the class {min(unknown)!r}, which {self.config.file} lacks")
            made["label"] = np.array([self.classes.index(label) for label in part.labels], np.int32)
        return made

    @property
    def _all(self) -> list[np.ndarray]:
        """The series of all splits, which are to be alike."""
        return [one for part in self._parts.values() for one in part.series]

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._all))

    @cached_property
    def _differ(self) -> bool:
        """Whether a series ends before the longest one. Windows are whole, also where they end in gaps."""
        whole = self.config.window is not None
        return not whole and any(len(one) < self._longest or np.isnan(one[-1]).all() for one in self._all)

    @cached_property
    def _read(self) -> Read:
        return self._read_file(self.config.file)

    def _read_file(self, file: Path) -> Read:
        config, path = self.config, file.expanduser()
        if not path.is_file():
            raise DataError(f"there is no file {path}; set 'file' to a .csv or a .ts file")
        if path.suffix.lower() == ".ts":
            plain = SeriesFileConfig(file=config.file)
            of_csv = ("series", "step", "step_format", "use", "separator", "decimal")
            if given := [name for name in of_csv if getattr(config, name) != getattr(plain, name)]:
                raise DataError(f"{given[0]} is of CSV files, and {path} is a .ts file, which says by itself; leave it out")
            return read_ts(path, config.encoding)
        if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
            raise DataError(f"{path} is no file of series that can be read; it has to end in .csv or .ts")
        return read_csv(
            path,
            separator=config.separator,
            series=config.series,
            step=config.step,
            use=config.use,
            encoding=config.encoding,
            decimal=config.decimal,
            step_format=config.step_format,
        )

    @cached_property
    def _parts(self) -> dict[str, Read]:
        config = self.config
        files = {"test": config.test_file, "validation": config.validation_file}
        shares = {"test": config.test_fraction, "validation": config.validation_fraction}
        cut = {name: 0.0 if files[name] is not None else share for name, share in shares.items()}
        parts = (self._by_series if config.window is None else self._by_time)(cut["test"], cut["validation"])
        for name, file in files.items():
            if file is not None:
                read = self._read_file(file)
                if read.channels != self.channels:
                    raise DataError(
                        f"{file} has the channels {', '.join(read.channels)}, {config.file} {', '.join(self.channels)}"
                    )
                parts[name] = read if config.window is None else self._cut(read, name)
        return parts

    def _by_series(self, test: float, validation: float) -> dict[str, Read]:
        """Whole series, shuffled where ``file`` is divided."""
        read = self._read
        n = len(read.series)
        sizes = {name: round(share * n) for name, share in (("test", test), ("validation", validation)) if share > 0}
        if n - sum(sizes.values()) < 1 or 0 in sizes.values():
            raise DataError(
                f"{self.config.file} has {n} series, too few for the splits train, {', '.join(sizes)}; set window to cut "
                "series into windows, or other fractions"
            )
        order = np.random.default_rng(self.config.split_seed).permutation(n) if sizes else np.arange(n)
        at, parts = n - sum(sizes.values()), {}
        parts["train"] = self._chosen(order[:at])
        for name, size in sizes.items():
            parts[name], at = self._chosen(order[at : at + size]), at + size
        return parts

    def _chosen(self, which: Sequence[int] | np.ndarray) -> Read:
        labels = self._read.labels
        chosen = None if labels is None else tuple(labels[i] for i in which)
        return Read(tuple(self._read.series[i] for i in which), self._read.channels, chosen)

    def _by_time(self, test: float, validation: float) -> dict[str, Read]:
        """Windows of the first steps of every series, of those after them, and of the last."""
        stretches: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
        for one in self._read.series:
            n_test, n_validation = round(test * len(one)), round(validation * len(one))
            ends = np.cumsum([len(one) - n_test - n_validation, n_validation])
            for name, stretch in zip(stretches, np.split(one, ends), strict=True):
                stretches[name].append(stretch)
        wanted = {"train": 1.0, "validation": validation, "test": test}
        return {
            name: self._cut(dataclasses.replace(self._read, series=tuple(parts)), name)
            for name, parts in stretches.items()
            if wanted[name] > 0
        }

    def _cut(self, read: Read, split: str) -> Read:
        """Windows of every series, each with its class; those without any value are left out."""
        config = self.config
        assert config.window is not None
        parts = [windows(one, config.window, config.stride) for one in read.series]
        made = np.concatenate(parts)
        if not len(made):
            longest = max(map(len, read.series))
            raise DataError(
                f"split {split!r} of {config.file} has stretches of {longest} steps at most, too short for a window of "
                f"{config.window}; set a smaller window, or other fractions"
            )
        there = ~np.isnan(made).all(axis=(1, 2))
        labels = None if read.labels is None else np.repeat(np.array(read.labels, object), [len(part) for part in parts])
        return Read(tuple(made[there]), self.channels, None if labels is None else tuple(labels[there]))
