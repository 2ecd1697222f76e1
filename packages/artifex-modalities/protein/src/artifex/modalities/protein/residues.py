"""Amino acids and their heavy atoms, as numbers: what ``residue_type`` and the columns of all-atom coordinates stand for.

Names are those of the wwPDB's chemical component dictionary.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ATOMS", "BACKBONE", "LETTERS", "N_RESIDUE_TYPES", "RESIDUES", "RESIDUE_ATOMS", "UNKNOWN"]

RESIDUES: Final = (
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE",
    "LEU", "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL",
)  # fmt: skip
"""The types that ``residue_type`` numbers."""
LETTERS: Final = "ARNDCQEGHILKMFPSTWYVX"
"""One letter for each type; X is any other."""
UNKNOWN: Final = len(RESIDUES)
"""The number of any other residue."""
N_RESIDUE_TYPES: Final = len(LETTERS)
"""With the unknown one."""

BACKBONE: Final = ("N", "CA", "C", "O")
"""The four atoms that every residue has, in the order of their columns."""
ATOMS: Final = (
    *BACKBONE, "CB", "CG", "CG1", "CG2", "OG", "OG1", "SG", "CD", "CD1", "CD2", "ND1", "ND2", "OD1", "OD2", "SD", "CE", "CE1",
    "CE2", "CE3", "NE", "NE1", "NE2", "OE1", "OE2", "CH2", "NH1", "NH2", "OH", "CZ", "CZ2", "CZ3", "NZ", "OXT",
)  # fmt: skip
"""The 37 heavy atoms of the twenty amino acids, in the order of the columns of all-atom coordinates: the backbone first."""

_SIDE_CHAINS = {
    "ALA": "CB", "ARG": "CB CG CD NE CZ NH1 NH2", "ASN": "CB CG OD1 ND2", "ASP": "CB CG OD1 OD2", "CYS": "CB SG",
    "GLN": "CB CG CD OE1 NE2", "GLU": "CB CG CD OE1 OE2", "GLY": "", "HIS": "CB CG ND1 CD2 CE1 NE2", "ILE": "CB CG1 CG2 CD1",
    "LEU": "CB CG CD1 CD2", "LYS": "CB CG CD CE NZ", "MET": "CB CG SD CE", "PHE": "CB CG CD1 CD2 CE1 CE2 CZ",
    "PRO": "CB CG CD", "SER": "CB OG", "THR": "CB OG1 CG2", "TRP": "CB CG CD1 CD2 NE1 CE2 CE3 CZ2 CZ3 CH2",
    "TYR": "CB CG CD1 CD2 CE1 CE2 CZ OH", "VAL": "CB CG1 CG2",
}  # fmt: skip
RESIDUE_ATOMS: Final = {name: (*BACKBONE, *_SIDE_CHAINS[name].split()) for name in RESIDUES}
"""The heavy atoms of each amino acid within a chain."""
