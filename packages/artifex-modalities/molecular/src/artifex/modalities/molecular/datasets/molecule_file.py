"""Molecules of a file: SDF, SMILES or CSV, gzipped or not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal, NamedTuple

from artifex.core.config import config
from artifex.core.errors import DataError, RunWarning
from artifex.modalities.molecular.datasets.base import MoleculeDataset, MoleculeDatasetConfig
from artifex.modalities.molecular.datasets.reading import read_molecules

__all__ = ["MoleculeFile", "MoleculeFileConfig", "Skipped"]


@config
class MoleculeFileConfig(MoleculeDatasetConfig):
    """Which file."""

    file: Path
    """SDF (`.sdf`, `.mol`), a SMILES a line, perhaps with a name behind it (`.smi`, `.txt`), or a table (`.csv`, `.tsv`)."""
    column: str | None = None
    """Column of a table that holds SMILES; by default the one called `smiles`, or the only one with a name that says so."""
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
        for row in read_molecules(path, self.config.column):
            if row.molecule is None:
                self.refused(row.where, row.reason)
            else:
                found.append((row.where, row.molecule))
        if not found:
            first = f"; the first row: {self.skipped[0].reason}" if self.skipped else ""
            raise DataError(f"{path} holds no molecule{first}")
        return found

    def refused(self, where: str, reason: str) -> None:
        """An error, or a note in :attr:`skipped`.

        Raises:
            DataError: ``damaged`` is ``refuse``.
        """
        if self.config.damaged == "refuse":
            raise DataError(f"{where}: {reason}; if it cannot be mended, set damaged: skip to leave it out")
        if not self.skipped:
            warnings.warn(f"{where} was left out, and perhaps more: {reason}", RunWarning, stacklevel=2)
        self.skipped.append(Skipped(where, reason))
