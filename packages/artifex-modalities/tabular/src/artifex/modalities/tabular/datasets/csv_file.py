"""Tables out of CSV files as people have them: what cannot be read for sure is refused, and the message says what to set."""

# pandas annotates most results as unions that cannot be narrowed
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from artifex.core.encodings import undecodable
from artifex.core.errors import DataError

__all__ = ["as_dates", "looks_like_dates", "read_csv", "refuse_numbers_and_dates_as_text"]

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}([.' \u00a0]\d{3})+),\d+|[+-]?\d{1,3}([.' \u00a0]\d{3})+")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
GROUPED = re.compile(r"[+-]?\d{1,3}([' \u00a0]\d{3})+\.\d+")
WITH_UNIT = re.compile(r"[+-]?[$\u20ac\u00a3\u00a5]\s?\d[\d.,]*|[+-]?\d[\d.,]*\s?[%$\u20ac\u00a3\u00a5]")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
LEADING_ZERO = re.compile(r"[+-]?0\d+")
WHOLE = re.compile(r"-?(0|[1-9]\d{0,14})")
OTHER_DATE = re.compile(r"\d{1,2}([./-])\d{1,2}[./-](\d{4}|\d{2})( .*)?|\d{4}([./])\d{1,2}[./]\d{1,2}( .*)?")


def read_csv(
    path: Path,
    *,
    separator: str = ",",
    encoding: str = "utf-8",
    decimal: str = ".",
    thousands: str | None = None,
    missing_markers: Sequence[str] = (),
    use: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    texts: Collection[str] = (),
) -> pd.DataFrame:
    """The columns of a CSV file with a line of names; spaces around names and after separators are no part of them.

    A column of digits in which one begins with a zero, ``01234``, is one of codes and stays text, unless it is said to be
    numerical. So does a column that is said to have levels where numbers would be written otherwise: ``1.10``.

    Args:
        path: the file.
        separator: what stands between values.
        encoding: what it is in, by Python's name.
        decimal: what stands before the decimal places.
        thousands: what stands between groups of three digits.
        missing_markers: texts that stand for a gap, beside pandas' own.
        use: the columns to read; empty for all.
        kinds: what is said of columns.
        texts: columns that are texts, whatever they look like.

    Raises:
        DataError: it cannot be read so; the message names the file, where it can the row and column, and what to do.
    """
    if decimal == separator:
        raise DataError(f"{path}: {decimal!r} cannot stand both before decimal places and between values; set separator")
    names: list[str] = []
    shared: dict[str, Any] = {"sep": separator, "encoding": encoding, "skipinitialspace": True, "index_col": False}
    try:
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **shared)
        names = [name.strip() for name in head.iloc[0]]
        _check_separator(names, separator, path)
        markers = list(missing_markers)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of lines that are cut
            as_texts = {} if decimal == "." and thousands is None else {"dtype": str}
            frame = pd.read_csv(path, na_values=markers, low_memory=False, **as_texts, **shared)
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"{path} has {len(names)} names in its first line, but more values in lines below; give every column a name"
        ) from error
    except UnicodeError as error:
        raise DataError(f"{path}{undecodable(path, encoding)}") from error
    except LookupError as error:
        raise DataError(f"there is no encoding {encoding!r}; Python's names for them are utf-8, latin-1, cp1252 ...") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OSError, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path} cannot be read as CSV with {separator!r} between values: {reason}") from error
    frame, kinds = _named(frame, names, path, use), kinds or {}
    if as_texts:
        made = {name: _as_numbers(frame[name], decimal, thousands) for name in frame.columns}
        written, frame = frame, pd.DataFrame(made, columns=frame.columns)
    elif doubtful := [name for name in frame.columns if _may_be_codes(frame[name], kinds.get(name), name in texts)]:
        written = pd.read_csv(path, na_values=markers, dtype=str, usecols=[names.index(name) for name in doubtful], **shared)
        written = written.set_axis(sorted(doubtful, key=names.index), axis="columns")
    else:
        return frame
    kept = [
        name
        for name in written.columns
        if name in texts or _are_codes(_plain(written[name], decimal, thousands), frame[name], kinds.get(name))
    ]
    return frame.assign(**{name: written[name] for name in kept})


def _check_separator(names: Sequence[str], separator: str, path: Path) -> None:
    """Raise where the first line is none of names, or of a single one that holds another separator."""
    if names[0].casefold().startswith("sep="):
        raise DataError(
            f"{path} begins with {names[0]!r}, which Excel reads as no row; take that line away, and set separator to what it "
            "says"
        )
    if len(names) == 1 and (better := [other for other in ";\t|," if other in names[0] and other != separator]):
        raise DataError(
            f"{path} has a single column, {names[0]!r}; set separator to {better[0]!r} if that is what stands there"
        )


def _may_be_codes(values: pd.Series, kind: str | None, is_text: bool) -> bool:
    """Whether what was read as numbers has to be looked at as it is written."""
    if is_text or not types.is_numeric_dtype(values.dtype):
        return is_text
    if kind == "numerical" or types.is_bool_dtype(values.dtype):
        return False
    there = values.dropna()
    return kind is not None or bool((np.floor(there) == there).all())  # measurements are no codes


def _are_codes(written: pd.Series, values: pd.Series, kind: str | None) -> bool:
    """Whether numbers would lose something of what is written."""
    if kind == "numerical" or not types.is_numeric_dtype(values.dtype) or types.is_bool_dtype(values.dtype):
        return False
    there = written.dropna().str.strip().drop_duplicates()
    if kind in (None, "date"):
        return bool(there.str.fullmatch(LEADING_ZERO).any())
    if types.is_integer_dtype(values.dtype):
        return any(str(int(text)) != text for text in there)
    return not all(WHOLE.fullmatch(text) or repr(float(text)) == text for text in there)


def _as_numbers(values: pd.Series, decimal: str, thousands: str | None) -> pd.Series:
    """A column of texts that all are numbers in this form, as numbers; any other as it is, dates ``31.12.2024`` among them."""
    whole = rf"\d{{1,3}}({re.escape(thousands)}\d{{3}})+|\d+" if thousands else r"\d+"
    there = values.dropna()
    if not there.str.fullmatch(rf"[+-]?({whole})?({re.escape(decimal)}\d*)?([eE][+-]?\d+)?").all():
        return values
    return pd.Series(pd.to_numeric(_plain(values, decimal, thousands)), values.index)


def _plain(values: pd.Series, decimal: str, thousands: str | None) -> pd.Series:
    """Numbers in this form as Python writes them."""
    plain = values.str.replace(thousands, "", regex=False) if thousands else values
    return plain if decimal == "." else plain.str.replace(decimal, ".", regex=False)


def _named(frame: pd.DataFrame, names: list[str], path: Path, use: Sequence[str]) -> pd.DataFrame:
    """The columns in use under their names."""
    if absent := [name for name in use if name not in names]:
        raise DataError(f"{path} has no column {absent[0]!r}, which 'use' names; it has {', '.join(names)}")
    wanted = list(use) or names
    if "" in wanted:
        raise DataError(
            f"{path}: column {names.index('') + 1} has no name, as where an index was written; name it, or say in 'use' which "
            "columns to take"
        )
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise DataError(f"{path} has two columns called {twice[0]!r}; rename one, or say in 'use' which others to take")
    chosen = frame.iloc[:, [names.index(name) for name in wanted]].set_axis(wanted, axis="columns")
    for name in wanted:
        there = _texts(chosen[name])
        if (bad := there.str.contains("\0", regex=False)).any() or "\0" in name:
            where = f"row {there.index[bad.to_numpy().argmax()] + 1}" if len(there) else "its name"
            raise DataError(f"{path}: column {name!r} holds a NUL byte in {where}, which no text has; mend the file")
    return chosen


def _texts(values: pd.Series) -> pd.Series:
    """What is there of a column of texts; nothing of another."""
    there = values.dropna()
    if not len(there) or types.is_numeric_dtype(there.dtype) or pd.api.types.infer_dtype(there, skipna=True) != "string":
        return pd.Series(dtype="str")
    return there


def refuse_numbers_and_dates_as_text(frame: pd.DataFrame, path: Path, said: Collection[str]) -> None:
    """Raise for columns of texts that all look like numbers or dates in a form that has to be said.

    Args:
        frame: a table.
        path: its file, for messages.
        said: columns of which it is said what they are.

    Raises:
        DataError: the message names the column and what to set.
    """
    for name in frame.columns:
        there = pd.Series(dtype="str") if name in said else _texts(frame[name])
        if not len(there):
            continue
        here, otherwise = f"{path}: column {name!r} holds", f"or say in kinds that {name!r} is categorical"
        odd = there[~there.str.fullmatch(PLAIN)]
        if not len(odd):
            continue
        example = f"{odd.iloc[0]!r} in row {odd.index[0] + 1}"
        if odd.str.fullmatch(DECIMAL_COMMA).all():
            grouped = odd.str.extract(r"\d([.' \u00a0])\d{3}(?!\d)")[0].dropna()
            also = f" and thousands to {grouped.iloc[0]!r}" if len(grouped) else ""
            either = "thousands to ',' or decimal to ','" if odd.str.fullmatch(THOUSANDS).all() else f"decimal to ','{also}"
            raise DataError(f"{here} numbers with commas, {example}: set {either}, {otherwise}")
        if odd.str.fullmatch(THOUSANDS).all():
            raise DataError(f"{here} numbers with commas, {example}: set thousands to ',', {otherwise}")
        if odd.str.fullmatch(GROUPED).all():
            sign = odd.str.extract(r"\d([' \u00a0])\d")[0].iloc[0]
            raise DataError(f"{here} numbers in groups of three digits, {example}: set thousands to {sign!r}, {otherwise}")
        if odd.str.fullmatch(WITH_UNIT).all():
            raise DataError(f"{here} numbers with a sign for their unit, {example}: take the sign away, {otherwise}")
        if there.str.fullmatch(OTHER_DATE).all():
            raise DataError(
                f"{here} what looks like dates, {example}: say how they are written, date_formats: {{{name}: "
                f"{_format_of(there)!r}}}, {otherwise}"
            )


def _format_of(dates: pd.Series) -> str:
    """How dates may be written."""
    sign = re.split(r"\d+", dates.iloc[0])[1]
    parts = dates.str.split(r"\D+", regex=True, expand=True).iloc[:, :3].astype(int)
    if dates.str.match(r"\d{4}").all():
        order = "Ymd"
    else:
        month_first = parts[1].max() > 12 or (sign == "/" and parts[0].max() <= 12)
        order = ("md" if month_first else "dm") + ("Y" if dates.str.match(r"\d+\D\d+\D\d{4}").all() else "y")
    return sign.join(f"%{part}" for part in order)


def looks_like_dates(values: pd.Series) -> bool:
    """Whether a column of texts holds nothing but dates in ISO's form."""
    there = _texts(values)
    return bool(len(there)) and bool(there.str.fullmatch(ISO_DATE).all())


def as_dates(values: pd.Series, path: Path, form: str | None = None) -> pd.Series:
    """A column of texts as points in time; those with different offsets from UTC are in UTC.

    Args:
        values: the column.
        path: its file, for messages.
        form: how they are written, as ``strptime`` has it; by default as ISO 8601 says, ``2024-12-31``.

    Raises:
        DataError: a value is no such date; the message names the row.
    """
    if types.is_datetime64_any_dtype(values.dtype):
        return values
    if types.is_numeric_dtype(values.dtype):
        if form is None:
            number = values.dropna().iloc[0].item() if values.notna().any() else "nothing"
            raise DataError(
                f"{path}: column {values.name!r} holds {number}, a number; write dates as 2024-12-31, or say how they are "
                f"written, date_formats: {{{values.name}: '%Y%m%d'}}"
            )
        values = values.astype("Int64").astype("str").where(values.notna())
    try:
        moments = pd.to_datetime(values, errors="coerce", format=form or "ISO8601")
    except ValueError:  # of different offsets
        moments = pd.to_datetime(values, errors="coerce", format=form or "ISO8601", utc=True)
    if (bad := (moments.isna() & values.notna()).to_numpy()).any():
        row = int(np.argmax(bad))
        odd = _texts(values)
        guess = _format_of(odd) if form is None and len(odd) and odd.str.fullmatch(OTHER_DATE).all() else "%d.%m.%Y"
        fix = (
            f"write 2024-12-31, or set date_formats: {{{values.name}: {guess!r}}}"
            if form is None
            else f"the format is {form!r}"
        )
        raise DataError(f"{path}: column {values.name!r} holds {values.iloc[row]!r} in row {row + 1}, which is no date; {fix}")
    return moments
