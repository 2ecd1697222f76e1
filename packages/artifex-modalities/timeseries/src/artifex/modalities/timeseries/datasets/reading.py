"""Series out of files: CSV with a column for each channel, or with a line for each step of each series, and ``.ts`` files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifex.core.errors import DataError

__all__ = ["Read", "read_csv", "read_ts"]

GAPS = frozenset(["", "?", "na", "n/a", "nan", "null", "none"])
"""What stands for a gap."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a file holds."""

    series: tuple[np.ndarray, ...]
    """Each ``(L_i, C)``, float64, NaN for gaps."""
    channels: tuple[str, ...]
    """Names of the channels."""
    labels: tuple[str, ...] | None = None
    """Class of each series, where there are any."""


def number(text: str, where: str) -> float:
    """A value, or NaN for a gap. Raises :class:`DataError` for what is neither."""
    text = text.strip()
    if text.lower() in GAPS:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where} holds {text!r}, which is no number; mend it, or leave it empty for a gap") from None
    if not np.isfinite(value):
        raise DataError(f"{where} holds {text!r}; mend it, or leave it empty for a gap")
    return value


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines by their number, from 1."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from enumerate(file, 1)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file in UTF-8: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def read_csv(path: Path, *, separator: str = ",", series: str = "", step: str = "", use: Sequence[str] = ()) -> Read:
    """Series of a CSV file with a line of column names.

    Args:
        path: the file.
        separator: what stands between values.
        series: column that says which series a line belongs to; empty where all lines are one series.
        step: column of the time, by which lines have to be in order; it is no channel.
        use: channels; empty for all other columns.

    Raises:
        DataError: the message names file, line and column.
    """
    reader = csv.reader((text for _, text in _lines(path)), delimiter=separator)
    try:
        head = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    for name in (*(name for name in (series, step) if name), *use):
        if name not in head:
            raise DataError(f"{path} has no column {name!r}; it has {', '.join(head) or 'none'}")
    channels = tuple(use) or tuple(name for name in head if name not in (series, step))
    if not channels or len(set(head)) != len(head) or "" in channels:
        raise DataError(f"{path} needs a first line of names, a different one for each column; it is {separator.join(head)!r}")
    places = [head.index(name) for name in channels]
    found: dict[str, list[list[float]]] = {}
    last: dict[str, str] = {}
    for row in reader:
        line = f"{path}, line {reader.line_num}"
        if not row:
            continue
        if len(row) != len(head):
            raise DataError(f"{line} has {len(row)} values for {len(head)} columns; is {separator!r} what stands between them?")
        key = row[head.index(series)] if series else ""
        if step:
            last[key] = _in_order(row[head.index(step)], last.get(key), f"{line}, column {step!r}")
        found.setdefault(key, []).append([number(row[i], f"{line}, column {head[i]!r}") for i in places])
    if not found:
        raise DataError(f"{path} holds no values below its names")
    return Read(tuple(np.array(rows, np.float64) for rows in found.values()), channels)


def _in_order(now: str, before: str | None, where: str) -> str:
    """The time of a line, once it is later than that of the line before it in its series."""
    if before is not None:
        try:
            later = float(now) > float(before)
        except ValueError:
            later = now > before  # dates in ISO's order
        if not later:
            raise DataError(f"{where} is {now!r} after {before!r}; sort the lines of each series by time")
    return now


def read_ts(path: Path) -> Read:
    """Series of a ``.ts`` file, as the UEA and UCR archives have them: channels apart by ``:``, values by ``,``.

    A. Bagnall et al. 2018, "The UEA multivariate time series classification archive" (arXiv:1811.00075), appendix.

    Raises:
        DataError: the message names file and line.
    """
    has_labels, in_data, series, labels = False, False, [], []
    for line, text in _lines(path):
        where, text = f"{path}, line {line}", text.strip()
        if not text or text.startswith(("#", "%")):
            continue
        if not in_data:
            tag, *values = text.split()
            if tag.lower() == "@timestamps" and values[:1] == ["true"]:
                raise DataError(f"{where}: series with time stamps cannot be read; write the values at equal steps")
            if not tag.startswith("@"):
                raise DataError(f"{where} stands before @data and is no tag; is this a .ts file?")
            has_labels |= tag.lower() in ("@classlabel", "@targetlabel") and values[:1] == ["true"]
            in_data = tag.lower() == "@data"
            continue
        *parts, label = text.split(":") if has_labels else (*text.split(":"), "")
        if not parts:
            raise DataError(f"{where} has no values before its class")
        labels.append(label.strip())
        series.append(_channels([part.split(",") for part in parts], where))
    if not series:
        raise DataError(f"{path} holds no series" + ("" if in_data else ": it has no line @data"))
    if len(counts := {one.shape[1] for one in series}) > 1:
        raise DataError(f"{path} has series of {' and of '.join(map(str, sorted(counts)))} channels")
    names = tuple(f"channel_{i}" for i in range(counts.pop()))
    return Read(tuple(series), names, tuple(labels) if has_labels else None)


def _channels(parts: list[list[str]], where: str) -> np.ndarray:
    """Channels side by side; one that ends earlier has gaps at its end."""
    made = np.full((max(map(len, parts)), len(parts)), np.nan)
    for i, values in enumerate(parts):
        made[: len(values), i] = [number(value, f"{where}, channel {i}") for value in values]
    return made
