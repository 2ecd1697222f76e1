"""Proteins from PDB and mmCIF files, gzipped or not: told apart by what they hold, whatever they are called.

What files hold and models do not expect is settled here, the same way for every file:

=====================  =============================================================================================
alternative places     of a residue the one with the largest total occupancy, the first of equals; likewise of two
                       residues that share a place (microheterogeneity)
insertion codes        residues of their own: 52, 52A
modified residues      counted as the amino acid they derive from, where that is known (MSE: methionine, SE as SD)
missing atoms          false in ``atom_mask``, as are those without finite coordinates; a residue without any is no residue
chain breaks           the place along the chain (``residue_index``) jumps by 2 or more wherever C and the next N lie further
                       apart than 2 Å, or residues are missing
several models         the first that has atoms
hydrogens, ligands     left out
hybrid-36 numbers      read as the numbers that they stand for
=====================  =============================================================================================
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from artifex.core.errors import DataError
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.residues import ATOMS, LETTERS, UNKNOWN

__all__ = ["SUFFIXES", "Naming", "content", "joined", "read_proteins"]

Naming = Literal["auth", "label"]
SUFFIXES = tuple(kind + zipped for kind in (".pdb", ".ent", ".cif", ".mmcif") for zipped in ("", ".gz"))
LONGEST_BOND = 2.0
"""C and the next residue's N further apart than this, in Å, are not bound."""
_MMCIF = re.compile(rb"(?:\s|#[^\n]*\n)*data_", re.IGNORECASE)
_COLUMN = {name: column for column, name in enumerate(ATOMS)}


def read_proteins(path: str | Path, *, naming: Naming = "auth") -> list[Protein]:
    """Every chain that has amino acids, of the first model that has atoms.

    Args:
        path: a PDB or mmCIF file.
        naming: whose names of chains and residues are kept: the authors' or, in an mmCIF file, the archive's (``label``).

    Raises:
        DataError: the file cannot be read, holds no model or no amino acids, or has no names of that kind. It names the file.
    """
    path = Path(path)
    structure = _structure(path)
    model = next((model for model in structure if any(len(chain) for chain in model)), None)
    if model is None:
        raise DataError(
            f"{path} holds no atoms; a PDB file has lines that begin with ATOM, an mmCIF file begins with data_ and has a loop "
            "of _atom_site"
        )
    if naming == "label" and structure.input_format.name == "Pdb":
        raise DataError(f"{path} is a PDB file, which has the authors' names alone; take naming='auth', or its mmCIF file")
    structure.setup_entities()
    chains = [made for chain in model if (made := _protein(chain, path, naming)) is not None]
    if not chains:
        found = sorted({residue.name for chain in model for residue in chain})
        raise DataError(f"{path} holds no amino acids; it has {', '.join(found[:8])}{' ...' if len(found) > 8 else ''}")
    return chains


def joined(chains: Iterable[Protein]) -> Protein:
    """Several chains as one protein, which keeps them apart by ``chain``."""
    chains = list(chains)
    arrays = (np.concatenate([getattr(c, name) for c in chains]) for name in ("positions", "atom_mask", "residue_type"))
    positions, mask, kinds = arrays
    index = np.concatenate([c.residue_index for c in chains])
    number = np.concatenate([np.full(len(c), i) for i, c in enumerate(chains)])
    numbers, names, chain_names = (sum((getattr(c, n) for c in chains), ()) for n in ("numbers", "names", "chain_names"))
    return Protein(positions, mask, kinds, index, number, numbers, names, chain_names, chains[0].source)


def _structure(path: Path) -> Any:
    import gemmi

    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        data = content(path)
        if _MMCIF.match(data):
            return gemmi.make_structure_from_block(gemmi.cif.read_string(data)[0])
        _check_coordinates(data)
        # Old files have the entry's name and the line's number from column 73 on, where others have elements.
        return gemmi.read_pdb_string(data, max_line_length=72)
    except (RuntimeError, ValueError, OSError, IndexError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def content(path: Path) -> bytes:
    """What a file holds, unzipped, with line ends of one kind and no mark before the first."""
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    return data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _check_coordinates(data: bytes) -> None:
    """Raise :class:`ValueError` for a line of an atom whose coordinates are no numbers; gemmi would read them as 0."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.startswith((b"ATOM  ", b"HETATM")):
            try:
                [float(line[start : start + 8]) for start in (30, 38, 46)]
            except ValueError as error:
                found = line[30:54].decode(errors="replace")
                raise ValueError(f"line {number} has no three coordinates in columns 31 to 54: {found!r}") from error


def _protein(chain: Any, path: Path, naming: Naming) -> Protein | None:
    """The amino acids of a chain; None where it has none."""
    found = [_most_occupied(list(group)) for _, group in groupby(chain.get_polymer(), key=lambda residue: str(residue.seqid))]
    residues = [residue for residue in found if _is_amino_acid(residue)]
    if not residues:
        return None
    positions, mask = np.zeros((len(residues), len(ATOMS), 3)), np.zeros((len(residues), len(ATOMS)), bool)
    for row, residue in enumerate(residues):
        for column, atom in _atoms(residue):
            positions[row, column], mask[row, column] = atom.pos.tolist(), True
    there = np.asarray(mask.any(axis=1))
    residues = [residue for residue, kept in zip(residues, there, strict=True) if kept]
    if not residues:
        return None
    positions, mask = positions[there], mask[there]
    return Protein(
        positions,
        mask,
        np.array([_type(residue.name) for residue in residues]),
        _places(residues, positions, mask),
        np.zeros(len(residues), np.int64),
        tuple(str(residue.label_seq) if naming == "label" else str(residue.seqid) for residue in residues),
        tuple(residue.name for residue in residues),
        (residues[0].subchain if naming == "label" else chain.name,),
        path,
    )


def _most_occupied(group: list[Any]) -> Any:
    """Of residues at one place the one with the largest occupancy of an atom; the first of equals."""
    return max(group, key=lambda residue: max((atom.occ for atom in residue), default=0.0))


def _is_amino_acid(residue: Any) -> bool:
    import gemmi

    known = gemmi.find_tabulated_residue(residue.name)
    if known.is_amino_acid():
        return True
    return known.kind.name == "UNKNOWN" and all(residue.find_atom(name, "*") for name in ("N", "CA", "C"))


def _type(name: str) -> int:
    import gemmi

    letter = gemmi.find_tabulated_residue(name).one_letter_code.upper()
    found = LETTERS.find(letter) if letter.strip() else -1
    return UNKNOWN if found < 0 else found


def _atoms(residue: Any) -> list[tuple[int, Any]]:
    """Heavy atoms with their columns, from the residue's most occupied conformation and from what all conformations share."""
    occupancy: dict[str, float] = {}
    for atom in residue:
        if atom.has_altloc():
            occupancy[atom.altloc] = occupancy.get(atom.altloc, 0.0) + atom.occ
    chosen = max(occupancy, key=lambda letter: occupancy[letter]) if occupancy else None
    columns: dict[int, Any] = {}
    for atom in residue:
        column = _COLUMN.get("SD" if (residue.name, atom.name) == ("MSE", "SE") else atom.name)
        if not np.isfinite(atom.pos.tolist()).all():
            continue
        if column is not None and (not atom.has_altloc() or atom.altloc == chosen):
            columns.setdefault(column, atom)
        elif column is not None and not any(other.name == atom.name and other.altloc == chosen for other in residue):
            columns.setdefault(column, atom)  # an atom that the chosen conformation lacks
    return list(columns.items())


def _places(residues: list[Any], positions: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Places along the chain: 1 further where C is bound to the next N, further where residues are missing or C and N apart."""
    carbon, nitrogen = ATOMS.index("C"), ATOMS.index("N")
    places = [0]
    for i, (one, other) in enumerate(pairwise(residues)):
        if one.label_seq is not None and other.label_seq is not None:
            step = other.label_seq - one.label_seq
        else:
            step = other.seqid.num - one.seqid.num
        known = mask[i, carbon] and mask[i + 1, nitrogen]
        apart = np.linalg.norm(positions[i, carbon] - positions[i + 1, nitrogen])
        bound = apart <= LONGEST_BOND if known else step <= 1
        places.append(places[-1] + (1 if bound else max(2, step)))
    return np.array(places)
