"""Backbones of proteins from a folder of PDB or mmCIF files, read with gemmi."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import SPLITS, require_split
from artifex.geometric.datasets.buckets import bucket_of

__all__ = ["RESIDUES", "Backbones", "BackbonesConfig"]

RESIDUES = (
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE",
    "LEU", "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL",
)  # fmt: skip
"""The types that ``residue_type`` numbers; a modified residue is of the type that it derives from, 20 is any other."""
LETTERS = "ARNDCQEGHILKMFPSTWYV"
"""Their codes of one letter."""
ATOMS = {"backbone": ("N", "CA", "C", "O"), "alpha": ("CA",)}
"""Atoms that a residue has to have."""
SUFFIXES = tuple(kind + zipped for kind in (".pdb", ".ent", ".cif", ".mmcif") for zipped in ("", ".gz"))
LONGEST_BOND = {"backbone": 2.0, "alpha": 4.5}
"""Å from C to the next residue's N, 1.33 where they are bound; or between alpha carbons, 2.9 or 3.8."""
MMCIF = re.compile(rb"(?:\s|#[^\n]*\n)*data_", re.IGNORECASE)
Count = Annotated[int, Field(ge=1)]
Atoms = Literal["backbone", "alpha"]


@config
class BackbonesConfig(Config):
    """Which chains."""

    folder: Path
    """Where the files lie, folders below it included."""
    atoms: Atoms = "backbone"
    """N, CA, C and O of each residue, `(M, L, 4, 3)`, or CA alone, `(M, L, 3)`, of files that have no others too."""
    max_residues: Count = 256
    """Longer chains are left out, or cut."""
    min_residues: Count = 20
    """Shorter chains are left out."""
    cut: bool = False
    """Cut chains wherever residues are missing, and what is longer into equal pieces of up to `max_residues`: fragments
    without gaps. All of a chain are in one split."""
    held_out: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    """Share of the chains in each of `test` and `validation`."""
    bucket_step: Count = 32
    """Batches hold chains whose lengths, rounded up, are the same multiple of this."""


class _Chain(NamedTuple):
    positions: np.ndarray
    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride]
    types: np.ndarray

    def part(self, start: int, end: int) -> _Chain:
        """Residues ``start`` to ``end``, counted from 0 again."""
        index = self.index[start:end]
        return _Chain(self.positions[start:end], index - index[:1], self.types[start:end])


class Backbones:
    """``x`` in Å from the alpha carbons' centre; ``mask``, ``residue_index`` and ``residue_type`` ``(M, L)``; ``bucket``.

    Each chain of a file's first model that has atoms is an example, or with ``cut`` each fragment of one; ligands and water are
    none of it. Residues that lack one of the atoms, or its coordinates, are left out; ``residue_index`` shows where: bound
    residues are one apart, others at least two, and as many as the file numbers. Of alternative residues at one place, and of
    alternative places of an atom, the first is taken.

    Raises:
        DataError: there is no such folder, gemmi is not installed, a file holds no atoms, or no chain is left.
    """

    def __init__(self, config: BackbonesConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS if self.config.held_out else SPLITS[:1]

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """One split.

        Raises:
            InvalidInputError: there is no such split.
            DataError: the files cannot be used.
        """
        require_split(split, self.splits, self.config.folder)
        config = self.config
        chains = _chains_in(config.folder.expanduser(), config.min_residues, config.max_residues, config.cut, config.atoms)
        order = np.random.default_rng(0).permutation(len(chains))
        held = round(config.held_out * len(chains))
        ends = {"test": order[:held], "validation": order[held : 2 * held], "train": order[2 * held :]}
        return self._packed([part for i in ends[split] for part in chains[i]])

    def _packed(self, chains: list[_Chain]) -> dict[str, np.ndarray]:
        names = ATOMS[self.config.atoms]
        shape, lengths = (len(chains), self.config.max_residues), np.array([len(c.index) for c in chains], np.int64)
        x, mask = np.zeros((*shape, len(names), 3), np.float32), np.arange(shape[1])[None] < lengths[:, None]
        index, types = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for row, chain in enumerate(chains):
            n = len(chain.index)
            x[row, :n] = chain.positions - chain.positions[:, names.index("CA")].mean(axis=0)
            index[row, :n], types[row, :n] = chain.index, chain.types
        edges = np.arange(0, self.config.max_residues + self.config.bucket_step, self.config.bucket_step)[1:]
        bucket = np.minimum(bucket_of(lengths, edges.tolist()), self.config.max_residues)
        if self.config.atoms == "alpha":
            return {"x": x[:, :, 0], "mask": mask, "bucket": bucket}
        return {"x": x, "mask": mask, "residue_index": index, "residue_type": types, "bucket": bucket}


@cache
def _chains_in(folder: Path, least: int, most: int, cut: bool, atoms: Atoms) -> tuple[tuple[_Chain, ...], ...]:
    """The chains of all files, in the order of their names, each as the parts that are used."""
    try:
        import gemmi  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise DataError(
            "structures are read with gemmi, which is not installed: pip install 'artifex-geometric[structures]'"
        ) from error
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; set data.dataset.folder to one with PDB or mmCIF files")
    files = sorted(path for path in folder.rglob("*") if path.name.lower().endswith(SUFFIXES))
    chains = [chain for file in files for chain in _read(gemmi, file, atoms)]
    parts = [[part for part in (_fragments(c, most) if cut else [c]) if least <= len(part.index) <= most] for c in chains]
    kept = tuple(tuple(each) for each in parts if each)
    if not kept:
        raise DataError(
            f"{folder} has {len(files)} files of structures with {len(chains)} chains, none of them {least} to {most} residues "
            "long; change min_residues and max_residues"
        )
    return kept


def _fragments(chain: _Chain, most: int) -> list[_Chain]:
    """Stretches of bound residues, each in equal pieces of up to ``most``."""
    gaps = np.flatnonzero(np.diff(chain.index) > 1) + 1
    ends = [0, *gaps.tolist(), len(chain.index)]
    found = []
    for start, end in pairwise(ends):
        pieces = -(-(end - start) // most)
        cuts = np.linspace(start, end, pieces + 1).round().astype(int).tolist()
        found += [chain.part(a, b) for a, b in pairwise(cuts)]
    return found


def _read(gemmi: Any, file: Path, atoms: Atoms) -> list[_Chain]:
    try:
        structure = _structure(gemmi, _content(file))
    except (RuntimeError, ValueError, OSError, IndexError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read: {error}; take it out of the folder") from error
    model = next((model for model in structure if any(len(chain) for chain in model)), None)
    if model is None:
        raise DataError(f"{file} holds no atoms, it is no PDB and no mmCIF file; take it out of the folder")
    structure.setup_entities()  # which tells chains from their ligands
    found = [_backbone(chain, gemmi, atoms) for chain in model]
    return [chain for chain in found if chain is not None]


def _content(file: Path) -> bytes:
    """What a file holds, unzipped, with line ends of one kind and no mark before the first."""
    data = file.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)  # which says where a file was cut; gemmi takes what there is
    return data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _structure(gemmi: Any, data: bytes) -> Any:
    """Told apart by what they hold, whatever they are called."""
    if MMCIF.match(data):
        return gemmi.make_structure_from_block(gemmi.cif.read_string(data)[0])
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.startswith((b"ATOM  ", b"HETATM")) and not _has_coordinates(line):
            shown, chain = (part.decode(errors="replace") for part in (line[30:54], line[21:22]))
            raise ValueError(f"line {number}, chain {chain}, has no three coordinates in columns 31 to 54: {shown!r}")
    # what old files have beyond column 72 is no element and no charge
    return gemmi.read_pdb_string(data, max_line_length=72)


def _has_coordinates(line: bytes) -> bool:
    """Whether a line of an atom has three numbers; gemmi would take others, such as asterisks, for 0."""
    try:
        return all(math.isfinite(float(line[start : start + 8])) for start in (30, 38, 46))
    except ValueError:
        return False


def _backbone(chain: Any, gemmi: Any, atoms: Atoms) -> _Chain | None:
    """Of the residues that have the atoms."""
    found = []
    for residue in chain.get_polymer().first_conformer():
        there = [residue.find_atom(name, "*", gemmi.Element(name[0])) for name in ATOMS[atoms]]  # a calcium is a CA too
        if all(there) and np.isfinite(places := [atom.pos.tolist() for atom in there]).all():
            letter = gemmi.find_tabulated_residue(residue.name).one_letter_code.upper()
            kind = LETTERS.find(letter) if letter.strip() else -1
            found.append((places, residue.seqid.num, kind if kind >= 0 else len(RESIDUES)))
    if not found:
        return None
    positions, numbers, types = (np.array(column) for column in zip(*found, strict=True))
    return _Chain(positions, _index(positions, numbers, LONGEST_BOND[atoms]), types)


def _index(positions: np.ndarray, numbers: np.ndarray, longest: float) -> np.ndarray:
    """Places along a chain: files skip numbers where nothing is missing, and use one twice with insertion codes."""
    ends = positions[:-1, -2] if positions.shape[1] > 1 else positions[:-1, 0]  # C, or CA
    bound = np.linalg.norm(positions[1:, 0] - ends, axis=-1) < longest
    steps = np.where(bound, 1, np.maximum(2, np.diff(numbers)))
    return np.concatenate([[0], np.cumsum(steps)])
