"""Made backbones of helices, strands and turns, with ideal bonds: no file is read.

Dihedrals of each residue are drawn about those of an alpha helix (-63, -42) or a strand (-120, 135); two to four such pieces
are joined by turns of three residues whose dihedrals are drawn about the same and a left-handed turn's (57, 47). Chains that
run into themselves are drawn anew.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.splits import require_split
from artifex.modalities.protein.arrays import packed
from artifex.modalities.protein.internal import backbone_from_dihedrals
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.tokens import letters_of, packed_tokens

__all__ = ["ProteinFolds", "ProteinFoldsConfig"]

HELIX, STRAND, TURN = (-63.0, -42.0), (-120.0, 135.0), ((-63.0, -42.0), (-120.0, 135.0), (57.0, 47.0))
SPREAD, OMEGA_SPREAD = 6.0, 4.0
"""Standard deviations, degrees."""
LINKER, CLOSEST = 3, 3.9
"""Residues of a turn; how near two alpha carbons that are no neighbours may come, Å."""
SPLITS = {"train": 0, "test": 1, "validation": 2}
Count = Annotated[int, Field(ge=1)]


@config
class ProteinFoldsConfig(Config):
    """How many, how long, and from which seed."""

    representation: Literal["coordinates", "frames", "dihedrals", "secondary"] = "coordinates"
    """As the modality has it; made folds have no sequence. For frames and dihedrals backbones are given, of which the modality
    makes them; secondary structure is given as tokens."""
    n_train: Count = 512
    """Chains of the training split."""
    n_held_out: Count = 64
    """Chains of each of `test` and `validation`."""
    min_seq_length: Annotated[int, Field(ge=8)] = 20
    """Residues of the shortest."""
    max_seq_length: Annotated[int, Field(ge=8)] = 40
    """Residues of the longest, to which all are padded."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of all that is drawn; other seeds, other chains."""

    def __post_init__(self) -> None:
        if self.min_seq_length > self.max_seq_length:
            raise ValueError(f"min_seq_length={self.min_seq_length} exceeds max_seq_length={self.max_seq_length}")


class ProteinFolds:
    """``x`` ``(M, L, 4, 3)`` in Å, ``mask``, ``residue_index`` and ``chain``; or secondary structure ``(M, L)`` and ``mask``.

    Example:
        >>> folds = ProteinFolds(ProteinFoldsConfig(n_train=4, n_held_out=2))
        >>> {name: array.shape for name, array in folds.arrays("train").items()}
        {'x': (4, 40, 4, 3), 'mask': (4, 40), 'residue_index': (4, 40), 'chain': (4, 40)}
    """

    def __init__(self, config: ProteinFoldsConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return tuple(SPLITS)

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """One split. Raises :class:`InvalidInputError` for a split that does not exist."""
        if self.config.representation == "secondary":
            letters = [letters_of(protein, "secondary") for protein in self.split(split)]
            return packed_tokens(letters, "secondary", self.config.max_seq_length)
        arrays = packed(self.split(split), "backbone", self.config.max_seq_length)
        return {key: value for key, value in arrays.items() if key != "residue_type"}  # they have no sequence

    def split(self, split: str) -> list[Protein]:
        """One split as proteins."""
        require_split(split, self.splits, "protein_folds")
        count = self.config.n_train if split == "train" else self.config.n_held_out
        rng = np.random.default_rng([self.config.seed, SPLITS[split]])
        found: list[Protein] = []
        while len(found) < count:
            found += self._drawn(rng, max(16, count - len(found)))
        return found[:count]

    def _drawn(self, rng: np.random.Generator, count: int) -> list[Protein]:
        """Those of ``count`` chains that do not run into themselves."""
        config = self.config
        lengths = rng.integers(config.min_seq_length, config.max_seq_length + 1, count)
        angles = np.stack([_dihedrals(rng, int(n), config.max_seq_length) for n in lengths])
        phi, psi, omega = np.deg2rad(angles).astype(np.float32).transpose(1, 0, 2)
        x = np.asarray(backbone_from_dihedrals(phi, psi, omega), np.float64)
        return [Protein.from_positions(c[:n]) for c, n in zip(x, lengths, strict=True) if _is_clear(c[:n, 1])]


def _dihedrals(rng: np.random.Generator, n: int, padded: int) -> np.ndarray:
    """phi, psi and omega, degrees, ``(3, padded)``."""
    pieces = int(rng.integers(2, max(3, min(5, n // 8 + 1))))
    bounds = np.sort(rng.choice(np.arange(4, n - 3), size=pieces - 1, replace=False)) if pieces > 1 else np.array([], int)
    means = np.empty((n, 2))
    for start, stop in zip([0, *bounds], [*bounds, n], strict=True):
        means[start:stop] = HELIX if rng.random() < 0.5 else STRAND
    for bound in bounds:
        turn = slice(max(0, bound - LINKER // 2), min(n, bound + LINKER - LINKER // 2))
        means[turn] = np.asarray(TURN)[rng.integers(len(TURN), size=turn.stop - turn.start)]
    made = np.full((3, padded), 180.0)
    made[:2, :n] = (means + SPREAD * rng.standard_normal((n, 2))).T
    made[2, :n] = 180.0 + OMEGA_SPREAD * rng.standard_normal(n)
    return made


def _is_clear(alpha: np.ndarray) -> bool:
    apart = np.linalg.norm(alpha[:, None] - alpha[None], axis=-1)
    return bool(np.all(apart[np.triu_indices(len(alpha), 3)] > CLOSEST))
