"""Proteins as the arrays that a data set stores: padded along the chain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.protein.config import AtomSet
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.residues import BACKBONE

__all__ = ["complete", "has_frame", "packed"]

STRAIGHT = 1e-3
"""Sine of the angle N CA C below which the three lie on a line."""


def has_frame(x: Float[np.ndarray, "... A 3"]) -> Bool[np.ndarray, "..."]:
    """Where N, CA and C, which come first, neither lie on a line nor in one place.

    >>> has_frame(np.array([[[0, 1.4, 0], [0, 0, 0], [1.5, 0, 0]], [[-1.4, 0, 0], [0, 0, 0], [1.5, 0, 0]]])).tolist()
    [True, False]
    """
    u, v = x[..., 0, :] - x[..., 1, :], x[..., 2, :] - x[..., 1, :]
    area = np.linalg.norm(np.cross(u, v), axis=-1)
    return np.asarray(area > STRAIGHT * np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1))


def complete(protein: Protein, atoms: AtomSet) -> Protein:
    """The residues that can stand in an array: those with a CA, or with all four atoms of the backbone."""
    return protein.select(protein.has("CA") if atoms == "alpha" else protein.has(*BACKBONE))


def packed(proteins: Sequence[Protein], atoms: AtomSet, length: int) -> dict[str, np.ndarray]:
    """``x`` in Å, from the alpha carbons' mean; ``mask``, ``residue_index``, ``chain`` and ``residue_type``, ``(M, length)``.

    ``atom_mask`` ``(M, length, 37)`` besides, for all atoms.

    Raises:
        InvalidInputError: a residue lacks an atom that these arrays need.
    """
    width = {"alpha": 1, "backbone": 4, "all": 37}[atoms]
    x, mask = np.zeros((len(proteins), length, width, 3), np.float32), np.zeros((len(proteins), length), bool)
    index, chain, types = (np.zeros(mask.shape, np.int32) for _ in range(3))
    atom_mask = np.zeros((*mask.shape, 37), bool)
    for row, protein in enumerate(proteins):
        n = len(protein)
        needed = protein.has("CA") if atoms == "alpha" else protein.has(*BACKBONE)
        if not needed.all():
            lacking = int(np.flatnonzero(~needed)[0])
            raise InvalidInputError(f"residue {lacking} of protein {row} lacks atoms that atoms={atoms!r} needs; leave it out")
        centred = protein.positions - protein.atom("CA").mean(axis=0)
        columns = slice(1, 2) if atoms == "alpha" else slice(0, width)
        x[row, :n] = np.where(protein.atom_mask[:, columns, None], centred[:, columns], 0)
        mask[row, :n], atom_mask[row, :n] = True, protein.atom_mask
        index[row, :n] = protein.residue_index - protein.residue_index[0]
        chain[row, :n], types[row, :n] = protein.chain, protein.residue_type
    made = {"x": x[:, :, 0] if atoms == "alpha" else x, "mask": mask, "residue_index": index, "chain": chain}
    return {**made, "residue_type": types, **({"atom_mask": atom_mask} if atoms == "all" else {})}
