"""SMILES, tables and SDF files, gzipped or not: each row as a molecule, with its place, or with what is wrong with it."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from artifex.core.errors import DataError
from artifex.modalities.molecular.constraints import valence_violations
from artifex.modalities.molecular.smiles import parse_smiles

__all__ = ["SUFFIXES", "Row", "read_csv", "read_molecules", "read_sdf", "read_smiles"]

TABLES, RECORDS, LINES = (".csv", ".tsv"), (".sdf", ".sd", ".mol"), (".smi", ".smiles", ".txt")
SUFFIXES = RECORDS + LINES + TABLES


class Row(NamedTuple):
    """One row, line or record."""

    where: str
    """The file, and the line or record."""
    molecule: Any | None
    """``None`` where it is none."""
    reason: str
    """Why there is none."""


def read_molecules(path: Path, column: str | None = None) -> Iterator[Row]:
    """Every row of a file, which is known by its suffix.

    Raises:
        DataError: it has another suffix, cannot be read, or has no such column.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(RECORDS):
        yield from read_sdf(path)
    elif name.endswith(TABLES):
        yield from read_csv(path, column)
    elif name.endswith(LINES):
        yield from read_smiles(path)
    else:
        raise DataError(f"{path} has none of the suffixes {', '.join(SUFFIXES)}, with or without .gz")


@contextmanager
def _opened(path: Path, errors: str = "strict") -> Iterator[IO[str]]:
    """The text of a file, unzipped if it is zipped whatever it is called, without the mark that Excel puts first."""
    try:
        with path.open("rb") as file:
            opens: Any = gzip.open if file.read(2) == b"\x1f\x8b" else open
        with opens(path, "rt", encoding="utf-8-sig", errors=errors) as text:
            yield text
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error}; save it as such") from error
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_smiles(path: Path) -> Iterator[Row]:
    """One molecule a line: a SMILES, perhaps a name behind a blank.

    Empty lines and those that begin with # are passed over, and so is a first line that says ``smiles``.
    """
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            words = [] if line.startswith("#") else line.split()
            if words and not (number == 1 and "smiles" in words[0].lower()):
                yield _of_smiles(f"{path}, line {number}", words[0])


def read_csv(path: Path, column: str | None) -> Iterator[Row]:
    """One molecule a row; columns are kept apart by what the first line shows: commas, semicolons, tabs or bars.

    Args:
        path: the file.
        column: which holds SMILES; by default the one that is called so, or the only one with a name that says so.
    """
    with _opened(path) as file:
        head = file.readline()
        usual = "\t" if ".tsv" in path.name.lower() else ","
        delimiter = max((usual, *",;\t|"), key=head.count)
        names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
        place = _column(path, names, column)
        rows = csv.reader(file, delimiter=delimiter)
        for row in rows:
            if row:
                yield _of_smiles(f"{path}, line {1 + rows.line_num}", row[place].strip() if place < len(row) else "")


def _column(path: Path, names: list[str], column: str | None) -> int:
    if not any(names):
        raise DataError(f"{path} begins with an empty line; its first has to name the columns")
    small = [name.lower() for name in names]
    if column is not None:
        found = [i for i, name in enumerate(names) if name == column.strip()]
    else:
        found = [i for i, name in enumerate(small) if name == "smiles"] or [
            i for i, name in enumerate(small) if "smiles" in name
        ]
    if len(found) == 1:
        return found[0]
    wanted = f"called {column!r}" if column is not None else "of SMILES"
    many = f"{len(found)} columns {wanted}" if found else f"no column {wanted}"
    raise DataError(f"{path} has {many}; its columns are {', '.join(names)}: set 'column' to one of them")


def _of_smiles(where: str, text: str) -> Row:
    molecule = parse_smiles(text)
    if molecule is not None:
        return Row(where, molecule, "")
    from rdkit import Chem, rdBase

    reason = f"{text!r} is no molecule"
    with rdBase.BlockLogs():
        unchecked = Chem.MolFromSmiles(text, sanitize=False) if text.isascii() else None
    if unchecked is not None and (violations := valence_violations(unchecked)):
        reason += f" ({violations[0].what})"
    elif any(mark in text for mark in ",;"):
        reason += ", but columns of a table perhaps: call the file .csv"
    return Row(where, None, reason)


def read_sdf(path: Path) -> Iterator[Row]:
    """The records of an SDF file, or the one of a MOL file, with their hydrogens and positions.

    A record ends at a line ``$$$$``, whatever it holds, so that a broken one takes no other with it.
    """
    with _opened(path, errors="replace") as file:  # names and notes may be in any encoding
        for number, (line, record) in enumerate(_records(file), 1):
            where = f"{path}, record {number} (line {line})"
            ends = sum(text.startswith("M  END") for text in record)
            if ends != 1:
                fault = "has no line 'M  END'" if not ends else f"has {ends} lines 'M  END'; a line '$$$$' lacks between"
                yield Row(where, None, f"the record {fault}")
            else:
                yield _of_record(where, record)


def _records(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its first line; what is blank is none."""
    first, record = 1, []
    for number, line in enumerate(lines, 1):
        if line.startswith("$$$$"):
            yield first, record
            first, record = number + 1, []
        else:
            record.append(line.rstrip("\n"))
    if any(line.strip() for line in record):
        yield first, record


def _of_record(where: str, record: list[str]) -> Row:
    from rdkit import Chem, rdBase

    counts = next((i for i, line in enumerate(record) if line.rstrip().endswith(("V2000", "V3000"))), 3)
    block = "\n".join([*[""] * (3 - counts), *record[max(0, counts - 3) :]])  # three lines come before that of the counts
    with rdBase.BlockLogs():
        molecule = Chem.MolFromMolBlock(block, removeHs=False)
        unchecked = Chem.MolFromMolBlock(block, removeHs=False, sanitize=False) if molecule is None else None
    if molecule is not None and not molecule.GetNumAtoms():
        return Row(where, None, "the record has no atoms")
    if molecule is not None and _has_loose_aromatic_bond(Chem, molecule):
        return Row(where, None, "the record has an aromatic bond outside of rings")
    violations = valence_violations(unchecked) if unchecked is not None else []
    return Row(where, molecule, f"the record is no molecule{f' ({violations[0].what})' if violations else ''}")


def _has_loose_aromatic_bond(chemistry: Any, molecule: Any) -> bool:
    """RDKit lets such a bond pass where its atoms are not aromatic; the SMILES that it then writes is of no molecule."""
    return any(b.GetBondType() == chemistry.BondType.AROMATIC and not b.IsInRing() for b in molecule.GetBonds())
