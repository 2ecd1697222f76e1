"""A protein as its field has it: residues with names and atoms, some of which may be missing.

Shapes: ``L`` residues, 37 atoms (:data:`~artifex.modalities.protein.residues.ATOMS`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.modalities.protein.residues import ATOMS, LETTERS, RESIDUES, UNKNOWN

__all__ = ["Protein", "sequence_types"]

ALPHA = ATOMS.index("CA")


@dataclass(frozen=True, eq=False)
class Protein:
    """One chain or several, residue by residue; on the host, in float64.

    >>> x = np.zeros((2, 4, 3)); x[1] += 3.8
    >>> protein = Protein.from_positions(x, residue_type=sequence_types("AG"))
    >>> len(protein), protein.sequence, protein.has("CA").tolist(), protein.has("CB").tolist()
    (2, 'AG', [True, True], [False, False])
    """

    positions: Float[np.ndarray, "L 37 3"]
    """In Å; 0 where an atom is missing."""
    atom_mask: Bool[np.ndarray, "L 37"]
    """True where there is an atom."""
    residue_type: Int[np.ndarray, "L"]
    """Number of the amino acid; 20 where it is none of the twenty."""
    residue_index: Int[np.ndarray, "L"]
    """Place along the chain from 0. Neighbours that are bound differ by 1; by more where residues are missing between."""
    chain: Int[np.ndarray, "L"]
    """Number of the chain."""
    numbers: tuple[str, ...] = ()
    """What the file calls each residue, its insertion code behind the number: ``52``, ``52A``. Empty for what is generated."""
    names: tuple[str, ...] = ()
    """What the file calls each residue's kind, ``MSE`` say. Empty for what is generated."""
    chain_names: tuple[str, ...] = ()
    """What the file calls each chain."""
    source: Path | None = field(default=None)
    """The file."""

    def __len__(self) -> int:
        return len(self.residue_type)

    @classmethod
    def from_positions(
        cls,
        x: Float[np.ndarray, "L A 3"] | Float[np.ndarray, "L 3"],
        *,
        residue_type: Int[np.ndarray, "L"] | None = None,
        residue_index: Int[np.ndarray, "L"] | None = None,
        chain: Int[np.ndarray, "L"] | None = None,
        atom_mask: Bool[np.ndarray, "L A"] | None = None,
    ) -> Protein:
        """From coordinates of alpha carbons ``(L, 3)``, of N, CA, C, O ``(L, 4, 3)``, or of all 37 atoms ``(L, 37, 3)``.

        Residues whose type is not given are unknown; where no index is given, they follow each other.

        Raises:
            InvalidInputError: the shape is none of these.
        """
        x = np.asarray(x, np.float64)
        if x.ndim not in (2, 3) or x.shape[-1] != 3 or (x.ndim == 3 and x.shape[1] not in (4, len(ATOMS))):
            raise InvalidInputError(
                f"coordinates of {x.shape} make no protein; give (L, 3) alpha carbons, (L, 4, 3) N, CA, C, O, or (L, 37, 3)"
            )
        n = len(x)
        columns = np.array([ALPHA]) if x.ndim == 2 else np.arange(x.shape[1])
        there = np.ones((n, len(columns)), bool) if atom_mask is None else np.asarray(atom_mask, bool)
        positions, mask = np.zeros((n, len(ATOMS), 3)), np.zeros((n, len(ATOMS)), bool)
        mask[:, columns] = there
        positions[:, columns] = np.where(there[..., None], x.reshape(n, len(columns), 3), 0)
        return cls(
            positions,
            mask,
            np.full(n, UNKNOWN) if residue_type is None else np.asarray(residue_type),
            np.arange(n) if residue_index is None else np.asarray(residue_index),
            np.zeros(n, np.int64) if chain is None else np.asarray(chain),
        )

    @property
    def sequence(self) -> str:
        """One letter a residue."""
        return "".join(LETTERS[t] for t in self.residue_type)

    def has(self, *atoms: str) -> Bool[np.ndarray, "L"]:
        """Which residues have all of these atoms."""
        return np.asarray(self.atom_mask[:, [ATOMS.index(atom) for atom in atoms]].all(axis=1))

    def atom(self, name: str) -> Float[np.ndarray, "L 3"]:
        """Positions of an atom in each residue, Å; 0 where it is missing."""
        return self.positions[:, ATOMS.index(name)]

    @cached_property
    def linked(self) -> Bool[np.ndarray, "L"]:
        """Whether the next residue is bound to each; never across a break or to another chain."""
        bound = (np.diff(self.residue_index) == 1) & (np.diff(self.chain) == 0)
        return np.append(bound, False)

    def select(self, residues: Sequence[int] | np.ndarray) -> Protein:
        """The residues of these places, or those where a mask is true."""
        places = np.arange(len(self))[np.asarray(residues)]
        return Protein(
            self.positions[places],
            self.atom_mask[places],
            self.residue_type[places],
            self.residue_index[places],
            self.chain[places],
            tuple(self.numbers[i] for i in places) if self.numbers else (),
            tuple(self.names[i] for i in places) if self.names else (),
            self.chain_names,
            self.source,
        )

    def __repr__(self) -> str:
        whence = f", from {self.source.name}" if self.source else ""
        return f"Protein({len(self)} residues, {self.atom_mask.sum()} atoms{whence})"


def sequence_types(sequence: str) -> Int[np.ndarray, "L"]:
    """Numbers of one-letter codes; 20 for any other letter.

    >>> sequence_types("AVB").tolist()
    [0, 19, 20]
    """
    return np.array([min(found, UNKNOWN) if (found := LETTERS.find(letter)) >= 0 else UNKNOWN for letter in sequence], int)


assert len(RESIDUES) == UNKNOWN
