"""Proteins as PDB and mmCIF files, gzipped or not; sequences as FASTA."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.residues import ATOMS, RESIDUES
from artifex.modalities.protein.tokens import Language

__all__ = ["write_letters", "write_proteins"]

FASTA_WIDTH = 60
CHAIN_NAMES = ascii_letters[26:] + ascii_letters[:26] + digits


def write_proteins(proteins: Sequence[Protein] | Protein, path: str | Path) -> Path:
    """Write one protein, or several as models 1, 2, ... of a file: mmCIF where its name ends in ``.cif`` or ``.mmcif``, or PDB.

    With ``.gz`` behind that it is gzipped. Capitals make no difference.

    Residues are numbered by their place along the chain from 1, so that a break shows as a gap; unknown ones are written as
    alanine, which viewers draw, if they have atoms of the backbone alone, else as UNK.

    Raises:
        InvalidInputError: there is no protein, one holds a coordinate that is not finite, or it has more chains than a PDB file
            can name.
    """
    import gemmi

    proteins = [proteins] if isinstance(proteins, Protein) else list(proteins)
    if not proteins:
        raise InvalidInputError("there is no protein to write")
    structure, path = gemmi.Structure(), Path(path)
    for number, protein in enumerate(proteins, 1):
        if not np.isfinite(protein.positions).all():
            raise InvalidInputError(f"protein {number} holds coordinates that are not finite; leave it out")
        structure.add_model(_model(gemmi, protein, number))
    name = path.name.lower().removesuffix(".gz")
    structure.name = path.name[: len(name)].rpartition(".")[0] or path.name
    is_mmcif = name.endswith((".cif", ".mmcif"))
    most = max(int(protein.chain.max(initial=0)) for protein in proteins)
    if not is_mmcif and most >= len(CHAIN_NAMES):
        raise InvalidInputError(
            f"chain {most + 1} has no name of one letter, and a PDB file takes no other; write mmCIF: {path.stem}.cif"
        )
    structure.setup_entities()
    path.parent.mkdir(parents=True, exist_ok=True)
    text = structure.make_mmcif_document().as_string() if is_mmcif else structure.make_minimal_pdb()
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if name != path.name.lower() else text.encode())
    return path


def write_letters(texts: Sequence[str | None], stem: Path, language: Language) -> Path:
    """Sequences as ``stem.fasta``, named by their number from 1; secondary structure as the lines of ``stem.txt``.

    ``None`` is left out of a FASTA file, and an empty line of the other.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    if language == "secondary":
        path = stem.with_name(f"{stem.name}.txt")
        path.write_text("".join(f"{text or ''}\n" for text in texts), encoding="utf-8")
        return path
    path = stem.with_name(f"{stem.name}.fasta")
    records = [f">sample_{i}\n{_wrapped(text)}" for i, text in enumerate(texts, 1) if text]
    path.write_text("".join(records) or f";none of {len(texts)} samples is a sequence\n", encoding="utf-8")
    return path


def _wrapped(text: str) -> str:
    return "".join(f"{text[i : i + FASTA_WIDTH]}\n" for i in range(0, len(text), FASTA_WIDTH))


def _model(gemmi: Any, protein: Protein, number: int) -> Any:
    model = gemmi.Model(number)
    for i in np.unique(protein.chain):
        chain = gemmi.Chain(_chain_name(int(i)))
        for row in np.flatnonzero(protein.chain == i):
            chain.add_residue(_residue(gemmi, protein, int(row)))
        model.add_chain(chain)
    return model


def _chain_name(i: int) -> str:
    """A to Z, a to z, 0 to 9, then two of them."""
    before, last = divmod(i, len(CHAIN_NAMES))
    return (CHAIN_NAMES[before - 1] if before else "") + CHAIN_NAMES[last]


def _residue(gemmi: Any, protein: Protein, row: int) -> Any:
    residue, kind, there = gemmi.Residue(), int(protein.residue_type[row]), protein.atom_mask[row]
    residue.name = RESIDUES[kind] if kind < len(RESIDUES) else "UNK" if there[4:].any() else "ALA"
    residue.seqid = gemmi.SeqId(int(protein.residue_index[row]) + 1, " ")
    residue.entity_type = gemmi.EntityType.Polymer
    for column in np.flatnonzero(there):
        atom = gemmi.Atom()
        atom.name, atom.element = ATOMS[column], gemmi.Element(ATOMS[column][0])
        atom.pos = gemmi.Position(*(float(v) for v in protein.positions[row, column]))
        residue.add_atom(atom)
    return residue
