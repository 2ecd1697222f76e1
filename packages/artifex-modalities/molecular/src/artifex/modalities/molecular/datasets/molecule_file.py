"""Molecules of a file: SDF, SMILES or CSV, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from artifex.core.config import config
from artifex.core.errors import DataError, RunWarning
from artifex.modalities.molecular.datasets.base import MoleculeDataset, MoleculeDatasetConfig
from artifex.modalities.molecular.smiles import parse_smiles

__all__ = ["MoleculeFile", "MoleculeFileConfig", "Skipped", "read_csv", "read_sdf", "read_smiles"]

SUFFIXES = (".sdf", ".smi", ".smiles", ".csv", ".tsv", ".txt")


@config
class MoleculeFileConfig(MoleculeDatasetConfig):
    """Which file."""

    file: Path
    """SDF (`.sdf`), a SMILES a line, perhaps with a name behind it (`.smi`, `.smiles`, `.txt`), or a table (`.csv`, `.tsv`)."""
    column: str | None = None
    """Column of a table that holds SMILES; by default the one that is called so, in any case."""
    damaged: Literal["refuse", "skip"] = "refuse"
    """What happens at a row that is no molecule or does not fit: an error names it, or it is left out with a warning."""


class Skipped(NamedTuple):
    """What was left out, and why."""

    where: str
    reason: str


class MoleculeFile(MoleculeDataset[MoleculeFileConfig]):
    """The molecules of one file, in its order; :attr:`skipped` has what was left out.

    >>> MoleculeFile(MoleculeFileConfig(file="nowhere.smi")).splits
    Traceback (most recent call last):
    artifex.core.errors.DataError: there is no file nowhere.smi; set 'file' to one of molecules
    """

    def __init__(self, config: MoleculeFileConfig) -> None:
        self.config = config
        self.skipped: list[Skipped] = []

    def read(self) -> list[tuple[str, Any]]:
        """The molecules of the file.

        Raises:
            DataError: there is no such file, it has none of the suffixes, or a row is no molecule.
        """
        path = self.config.file.expanduser()
        if not path.is_file():
            raise DataError(f"there is no file {path}; set 'file' to one of molecules")
        found = []
        for where, text, molecule in _rows(path, self.config.column):
            if molecule is None:
                self.refused(where, f"{text!r} is no molecule")
            else:
                found.append((where, molecule))
        if not found:
            raise DataError(f"{path} holds no molecule")
        return found

    def refused(self, where: str, reason: str) -> None:
        """An error, or a note in :attr:`skipped`.

        Raises:
            DataError: ``damaged`` is ``refuse``.
        """
        if self.config.damaged == "refuse":
            raise DataError(f"{where}: {reason}; mend it, or set damaged: skip")
        if not self.skipped:
            warnings.warn(f"{where} was left out, and perhaps more: {reason}", RunWarning, stacklevel=2)
        self.skipped.append(Skipped(where, reason))


def _rows(path: Path, column: str | None) -> Iterator[tuple[str, str, Any | None]]:
    """Where each row is, its text, and its molecule."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".sdf":
        yield from read_sdf(path)
    elif suffix in (".csv", ".tsv"):
        yield from read_csv(path, column)
    elif suffix in SUFFIXES:
        yield from read_smiles(path)
    else:
        raise DataError(f"{path} has none of the suffixes {', '.join(SUFFIXES)}, with or without .gz")


def _opened(path: Path, mode: str = "rt") -> Any:
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    if path.suffix == ".gz":
        return gzip.open(path, mode, encoding=encoding, newline=newline)
    return path.open(mode.replace("t", ""), encoding=encoding, newline=newline)


def read_smiles(path: Path) -> Iterator[tuple[str, str, Any | None]]:
    """One molecule a line: a SMILES, perhaps a name behind a blank; empty lines and those that begin with # are passed over."""
    with _opened(path) as file:
        try:
            for number, line in enumerate(file, 1):
                text = "" if line.startswith("#") else line.strip()
                if text:
                    smiles = text.split()[0]
                    yield f"{path}, line {number}", smiles, parse_smiles(smiles)
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is no text: {error}") from error


def read_csv(path: Path, column: str | None) -> Iterator[tuple[str, str, Any | None]]:
    """One molecule a row, in a column of SMILES."""
    with _opened(path) as file:
        rows = csv.DictReader(file, delimiter="\t" if ".tsv" in path.name.lower() else ",")
        names = list(rows.fieldnames or ())
        chosen = column if column is not None else next((name for name in names if name.strip().lower() == "smiles"), None)
        if chosen not in names:
            wanted = f"called {column!r}" if column else "of SMILES"
            raise DataError(f"{path} has no column {wanted}; its columns are {', '.join(names)}: set 'column' to one of them")
        for row in rows:
            text = (row[chosen] or "").strip()
            yield f"{path}, line {rows.line_num}", text, parse_smiles(text)


def read_sdf(path: Path) -> Iterator[tuple[str, str, Any | None]]:
    """The records of an SDF file, with their hydrogens and positions."""
    from rdkit import Chem, rdBase

    with _opened(path, "rb") as file, rdBase.BlockLogs():
        for number, molecule in enumerate(Chem.ForwardSDMolSupplier(file, removeHs=False), 1):
            name = molecule.GetProp("_Name") if molecule is not None and molecule.HasProp("_Name") else ""
            yield f"{path}, record {number}", name or f"record {number}", molecule
