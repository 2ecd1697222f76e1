"""QM9: 130 831 molecules of up to nine heavy atoms, as the package ``qm9pack`` ships them; nothing is downloaded.

Ramakrishnan, Dral, Rupp & von Lilienfeld 2014, "Quantum chemistry structures and properties of 134 kilo molecules"
(doi:10.1038/sdata.2014.22), without the 3 054 molecules whose geometry does not agree with their formula.
"""

from __future__ import annotations

import csv
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError, InvalidInputError
from artifex.core.splits import require_split
from artifex.geometric.datasets.buckets import bucket_of
from artifex.geometric.molecules import ATOMIC_NUMBERS, QM9_ELEMENTS

__all__ = ["QM9", "QM9Config"]

MOST_ATOMS = 29
COLUMNS = ("N_atoms", "Elements", "XYZ_Ang", "SMILES")
NO_BRACKETS = str.maketrans("", "", "[]")
FILES = ("qm9_part1.csv", "qm9_part2.csv", "qm9_part3.csv")
SHARES = {"train": (0, 100_000), "test": (117_748, None), "validation": (100_000, 117_748)}
"""Where each split begins and ends in the permuted order, as in arXiv:2203.17003 and before it Cormorant, arXiv:1906.04015."""
SPLIT_SEED = 0
"""Of NumPy's old generator, which made that order: figures for these splits can be set beside published ones."""
Count = Annotated[int, Field(ge=1)]


@config
class QM9Config(Config):
    """Which part of QM9."""

    folder: Path | None = None
    """Where the three CSV files lie; by default in the installed package `qm9pack` (`pip install artifex-geometric[qm9]`)."""
    charges: bool = False
    """Add a last column with the atomic number."""
    hydrogens: bool = True
    """Keep hydrogen atoms; without them a molecule has at most nine atoms."""
    bucket_sizes: tuple[Count, ...] = (14, 16, 17, 18, 19, 20, 22, 29)
    """Batches hold molecules of similar size, padded to one of these numbers of atoms; empty: all padded to the largest."""
    n_train: Count | None = None
    """Take only the first so many molecules of the training split."""
    n_held_out: Count | None = None
    """Take only the first so many molecules of each of the other splits."""


class QM9:
    """``x`` ``(M, N, 3 + 5)``: positions in Å from the molecule's centre, and H, C, N, O or F one hot; ``mask`` ``(M, N)``.

    Example:
        >>> QM9(QM9Config()).splits
        ('train', 'test', 'validation')
    """

    def __init__(self, config: QM9Config) -> None:
        self.config = config
        most = MOST_ATOMS if config.hydrogens else 9
        self.max_points = most
        if config.bucket_sizes and max(config.bucket_sizes) < most:
            raise InvalidInputError(f"bucket_sizes {config.bucket_sizes} hold no molecule of {most} atoms; add {most}")

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return tuple(SHARES)

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """One split; with ``bucket`` where there are bucket sizes.

        Raises:
            InvalidInputError: there is no such split.
            DataError: the files are missing or damaged.
        """
        require_split(split, self.splits, "QM9")
        sizes, elements, positions, _ = molecules_in(_folder(self.config.folder))
        chosen = np.random.RandomState(SPLIT_SEED).permutation(len(sizes))[slice(*SHARES[split])]
        chosen = chosen[: self.config.n_train if split == "train" else self.config.n_held_out]
        arrays = self._packed(chosen, sizes, elements, positions)
        if self.config.bucket_sizes:
            arrays["bucket"] = bucket_of(arrays["mask"].sum(axis=1), self.config.bucket_sizes)
        return arrays

    def _packed(
        self, chosen: np.ndarray, sizes: np.ndarray, elements: np.ndarray, positions: np.ndarray
    ) -> dict[str, np.ndarray]:
        starts = np.concatenate([[0], np.cumsum(sizes)])
        x = np.zeros((len(chosen), self.max_points, 3 + len(QM9_ELEMENTS) + self.config.charges), np.float32)
        mask = np.zeros(x.shape[:2], bool)
        for row, molecule in enumerate(chosen):
            atoms = np.arange(int(starts[molecule]), int(starts[molecule + 1]))
            if not self.config.hydrogens:
                atoms = atoms[elements[atoms] != QM9_ELEMENTS.index("H")]
            n = len(atoms)
            mask[row, :n] = True
            x[row, :n, :3] = positions[atoms] - positions[atoms].mean(axis=0)
            x[row, np.arange(n), 3 + elements[atoms]] = 1
            if self.config.charges:
                x[row, :n, -1] = ATOMIC_NUMBERS[elements[atoms]]
        return {"x": x, "mask": mask}


def _folder(given: Path | None) -> Path:
    if given is not None:
        return given.expanduser()
    found = importlib.util.find_spec("qm9pack")
    if found is None or not found.submodule_search_locations:
        raise DataError("QM9 comes with the package qm9pack, which is not installed: pip install 'artifex-geometric[qm9]'")
    return Path(found.submodule_search_locations[0]) / "data"


@cache
def molecules_in(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Of all molecules in order: sizes ``(M,)``; of all atoms their elements ``(A,)`` and positions ``(A, 3)``; and SMILES.

    Raises:
        DataError: a file is missing or is none of QM9's; it names the file, and the row counted from 0.
    """
    sizes, elements, positions, smiles = [], [], [], []
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise DataError(f"there is no file {path}; set data.dataset.folder to where qm9pack's CSV files lie")
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise DataError(f"{path} has the columns {rows.fieldnames}; QM9's have {', '.join(COLUMNS)}")
            for number, row in enumerate(rows):
                try:
                    kinds, places = _atoms_of(row)
                except ValueError as error:
                    raise DataError(f"{path}: row {number} {error}; set data.dataset.folder to qm9pack's own files") from error
                sizes.append(len(kinds))
                elements += kinds
                positions += places
                smiles.append(row["SMILES"])
    return np.array(sizes, np.int64), np.array(elements, np.int64), np.array(positions).reshape(-1, 3), tuple(smiles)


def _atoms_of(row: Mapping[str, str | None]) -> tuple[list[int], list[float]]:
    """The elements of a molecule's atoms, and their coordinates one after the other; a ValueError says what is wrong."""
    n, letters, xyz = (row[column] for column in ("N_atoms", "Elements", "XYZ_Ang"))
    if n is None or letters is None or xyz is None:
        raise ValueError(f"ends before its last column; it needs {', '.join(COLUMNS)}")
    named, numbers = re.findall(r"\w+", letters), xyz.translate(NO_BRACKETS).replace("*^", "e").split(",")
    if not n.isdecimal() or not int(n) * 3 == len(named) * 3 == len(numbers):
        raise ValueError(f"has N_atoms {n}, but {len(named)} elements and {len(numbers)} coordinates")
    for letter in named:
        if letter not in QM9_ELEMENTS:
            raise ValueError(f"has the element {letter}, but QM9's are {', '.join(QM9_ELEMENTS)}")
    return [QM9_ELEMENTS.index(letter) for letter in named], [_number(word) for word in numbers]


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"has the coordinate {word!r}, which is no number") from None
