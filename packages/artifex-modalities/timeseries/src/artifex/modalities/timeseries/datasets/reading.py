"""Series out of files: CSV with a column for each channel, or with a line for each step of each series, and ``.ts`` files."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from artifex.core.encodings import undecodable
from artifex.core.errors import DataError, RunWarning

__all__ = ["Read", "read_csv", "read_ts"]

GAPS = frozenset(["", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"])
"""What stands for a gap."""
GREATEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Read:
    """What a file holds."""

    series: tuple[np.ndarray, ...]
    """Each ``(L_i, C)``, float64, NaN for gaps."""
    channels: tuple[str, ...]
    """Names of the channels."""
    labels: tuple[str, ...] | None = None
    """Class of each series, where there are any."""


def number(text: str, where: str, decimal: str = ".", *, is_column: bool = True) -> float:
    """A value, or NaN for a gap. Raises :class:`DataError` for what is neither."""
    text = text.strip()
    if text.lower() in GAPS:
        return float("nan")
    try:
        value = float(text if decimal == "." else text.replace(decimal, "."))
    except ValueError:
        fix = "mend it"
        if decimal == "." and re.fullmatch(r"[+-]?\d+,\d+", text):
            fix = "set decimal to ',' if that is what it is"
        elif re.match(r"\d+[-./]\d+[-./]\d+", text):
            fix = "if these are the times, name the column in 'step'"
        elif is_column:
            fix = "mend it, name the channels in 'use' if it is none ('series' is the column that says whose a line is)"
        raise DataError(f"{where} holds {text!r}, which is no number; {fix}, or leave it empty for a gap") from None
    if not abs(value) <= GREATEST:
        fix = "mend it" if not np.isfinite(value) else "32-bit numbers end at 3.4e38: rescale the column"
        raise DataError(f"{where} holds {text!r}; {fix}, or leave it empty for a gap")
    return value


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Lines by their number, from 1."""
    try:
        with path.open(encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding, newline="") as file:
            yield from enumerate(file, 1)
    except LookupError as error:
        raise DataError(f"there is no encoding {encoding!r}; Python's names for them are utf-8, latin-1, cp1252 ...") from error
    except UnicodeError as error:
        raise DataError(f"{path}{undecodable(path, encoding)}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def read_csv(
    path: Path,
    *,
    separator: str = ",",
    series: str = "",
    step: str = "",
    use: Sequence[str] = (),
    encoding: str = "utf-8",
    decimal: str = ".",
    step_format: str = "",
) -> Read:
    """Series of a CSV file with a line of column names.

    Args:
        path: the file.
        separator: what stands between values.
        series: column that says which series a line belongs to; empty where all lines are one series.
        step: column of the time, by which lines have to be in order; it is no channel.
        use: channels; empty for all other columns.
        encoding: what the file is in, by Python's name.
        decimal: what stands before the decimal places.
        step_format: how times are written, as ``strptime`` has it; by default as numbers, or as ISO 8601 says.

    Raises:
        DataError: the message names file, line and column.
    """
    if decimal == separator:
        raise DataError(f"{path}: {decimal!r} cannot stand both before decimal places and between values; set separator")
    reader = csv.reader((text for _, text in _lines(path, encoding)), delimiter=separator)
    head, channels = _head(reader, path, separator, [name for name in (series, step) if name], use)
    places = [head.index(name) for name in channels]
    found: dict[str, list[list[float]]] = {}
    times: dict[str, _Times] = {}
    for row in reader:
        line = f"{path}, line {reader.line_num}"
        if len(row) < 2 and not "".join(row).strip():
            continue
        if len(row) != len(head):
            raise DataError(f"{line} has {len(row)} values for {len(head)} columns; is {separator!r} what stands between them?")
        key = row[head.index(series)] if series else ""
        if step:
            stamp = row[head.index(step)]
            times.setdefault(key, _Times(step_format)).add(stamp, line, f"{line}, column {step!r}")
        found.setdefault(key, []).append([number(row[i], f"{line}, column {head[i]!r}", decimal) for i in places])
    if not found:
        raise DataError(f"{path} holds no values below its names")
    _warn_of_unequal_steps(list(times.values()))
    read = Read(tuple(np.array(rows, np.float64) for rows in found.values()), channels)
    _check_values(read, path, [f"series {key!r}" if series else "the series" for key in found])
    return read


def _head(
    reader: Iterator[list[str]], path: Path, separator: str, apart: Sequence[str], use: Sequence[str]
) -> tuple[list[str], tuple[str, ...]]:
    """Names of all columns, and of those that are channels."""
    try:
        head = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    if head and head[0].casefold().startswith("sep="):
        raise DataError(
            f"{path} begins with {head[0]!r}, which Excel reads as no row; take that line away, and set separator to what it "
            "says"
        )
    if len(head) == 1 and (better := [other for other in ";\t|," if other in head[0] and other != separator]):
        raise DataError(f"{path} has a single column, {head[0]!r}; set separator to {better[0]!r} if that is what stands there")
    for name in (*apart, *use):
        if name not in head:
            raise DataError(f"{path} has no column {name!r}; it has {', '.join(head) or 'none'}")
    channels = tuple(use) or tuple(name for name in head if name not in apart)
    wanted = [*apart, *channels]
    if not channels or not any(head):
        raise DataError(f"{path} needs a first line of names, a different one for each column; it is {separator.join(head)!r}")
    if "" in wanted:
        raise DataError(
            f"{path}: column {head.index('') + 1} has no name, as where an index was written; name it, or say in 'use' which "
            "columns are channels"
        )
    if twice := [name for name in wanted if head.count(name) > 1]:
        raise DataError(f"{path} has two columns called {twice[0]!r}; rename one, or say in 'use' which others are channels")
    return head, channels


Moment = float | datetime


@dataclass(slots=True)
class _Times:
    """The times of one series, which grow."""

    form: str
    last: Moment | None = None
    text: str = ""
    steps: list[float] = field(default_factory=list)
    """From each line to the next: seconds, where they are dates."""
    places: list[str] = field(default_factory=list)
    """What to call each of these steps."""

    def add(self, text: str, line: str, where: str) -> None:
        """The time of the next line. Raises :class:`DataError` unless it is later."""
        now, before = _moment(text.strip(), self.form, where), self.last
        if before is not None:
            try:
                passed: float | timedelta = now - before  # pyright: ignore[reportOperatorIssue]
            except TypeError:
                raise DataError(f"{where} is {text!r} after {self.text!r}; write all times in one way") from None
            passed = passed.total_seconds() if isinstance(passed, timedelta) else passed
            if passed <= 0:
                fix = "keep one line for each time" if passed == 0 else "sort the lines of each series by time"
                raise DataError(f"{where} is {text!r} after {self.text!r}; {fix}")
            self.steps.append(passed)
            self.places.append(f"{line}: from {self.text} to {text}")
        self.last, self.text = now, text


def _moment(text: str, form: str, where: str) -> Moment:
    """A time as a number, or a date."""
    try:
        if form:
            return datetime.strptime(text, form)
        return float(text)
    except ValueError:
        if form:
            raise DataError(
                f"{where} is {text!r}, which is not written as step_format says, {form!r}; mend one of them"
            ) from None
    try:
        return datetime.fromisoformat(f"{text}-01" if re.fullmatch(r"\d{4}-\d{2}", text) else text)
    except ValueError:
        raise DataError(
            f"{where} is {text!r}, no number and no date such as 2024-12-31; set step_format to how times are written, "
            "'%d.%m.%Y' for 31.12.2024"
        ) from None


UNEQUAL = 1.5
"""How many times the usual step one may be; months differ by a tenth."""


def _warn_of_unequal_steps(times: Sequence[_Times]) -> None:
    """Series are taken to have a value at equal steps."""
    steps = np.array([step for one in times for step in one.steps])
    if not len(steps):
        return
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > UNEQUAL * usual)
    if len(wide):
        place = [place for one in times for place in one.places][wide[0]]
        warnings.warn(
            f"{place} is {steps[wide[0]] / usual:.3g} times the usual step, the first of {len(wide)} so wide; models take "
            "steps to be equal: put in lines without values for what is missing, or tell series apart (series)",
            RunWarning,
            stacklevel=3,
        )


def _check_values(read: Read, path: Path, names: Sequence[str]) -> None:
    """Raise unless every series and every channel has a value, and 32-bit numbers keep them apart."""
    if empty := [name for name, one in zip(names, read.series, strict=True) if np.isnan(one).all()]:
        raise DataError(f"{path}: {empty[0]} has no value at all; take it away")
    values = np.concatenate(read.series)
    for channel, column in zip(read.channels, values.T, strict=True):
        there = column[~np.isnan(column)]
        if not len(there):
            raise DataError(f"{path}: {channel!r} has no value at all; leave it out (in 'use', name the others)")
        if np.abs(there.astype(np.float32) - there).max() > 0.01 * there.std() > 0:
            raise DataError(
                f"{path}: the values of {channel!r} lie about {there.mean():.6g} and differ by {there.std():.3g}, which 32-bit "
                f"numbers do not tell apart; take {there.min():.10g} away from them"
            )


def read_ts(path: Path, encoding: str = "utf-8") -> Read:
    """Series of a ``.ts`` file, as the UEA and UCR archives have them: channels apart by ``:``, values by ``,``.

    A. Bagnall et al. 2018, "The UEA multivariate time series classification archive" (arXiv:1811.00075), appendix. Numbers that
    series are to be told by (``@targetLabel``) are left out.

    Raises:
        DataError: the message names file and line.
    """
    head, in_data, series, labels, lines = _TsHead(), False, [], [], []
    for line, text in _lines(path, encoding):
        where, text = f"{path}, line {line}", text.strip()
        if not text or text.startswith(("#", "%")):
            continue
        if not in_data:
            in_data = head.take(text, where)
            continue
        *parts, label = text.split(":") if head.has_labels or head.has_targets else (*text.split(":"), "")
        if not parts:
            raise DataError(f"{where} has no values before its class; a line is values, ':' and the class")
        if head.classes and label.strip() not in head.classes:
            raise DataError(
                f"{where} has the class {label.strip()!r}; @classLabel names {', '.join(head.classes)}: add it, or mend it"
            )
        labels.append(label.strip())
        lines.append(f"line {line}")
        series.append(_channels([part.split(",") for part in parts], where))
    if not series:
        raise DataError(f"{path} holds no series" + ("" if in_data else ": it has no line @data"))
    if len(counts := {one.shape[1] for one in series}) > 1:
        raise DataError(f"{path} has series of {' and of '.join(map(str, sorted(counts)))} channels")
    names = tuple(f"channel_{i}" for i in range(counts.pop()))
    read = Read(tuple(series), names, tuple(labels) if head.has_labels else None)
    _check_values(read, path, lines)
    return read


@dataclass(slots=True)
class _TsHead:
    """What the lines before the data say."""

    has_labels: bool = False
    has_targets: bool = False
    classes: tuple[str, ...] = ()

    def take(self, text: str, where: str) -> bool:
        """Take one line in; True where it is the last one."""
        tag, *values = text.split()
        tag, is_true = tag.lower(), [value.lower() for value in values[:1]] == ["true"]
        if tag == "@timestamps" and is_true:
            raise DataError(f"{where}: series with time stamps cannot be read; write the values at equal steps")
        if not tag.startswith("@"):
            raise DataError(f"{where} stands before @data and is no tag; is this a .ts file?")
        if tag == "@classlabel" and is_true:
            self.has_labels, self.classes = True, tuple(values[1:])
        self.has_targets |= tag == "@targetlabel" and is_true
        return tag == "@data"


def _channels(parts: list[list[str]], where: str) -> np.ndarray:
    """Channels side by side; one that ends earlier has gaps at its end."""
    made = np.full((max(map(len, parts)), len(parts)), np.nan)
    for i, values in enumerate(parts):
        made[: len(values), i] = [number(value, f"{where}, channel {i}", is_column=False) for value in values]
    return made
