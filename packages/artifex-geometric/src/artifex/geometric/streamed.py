"""The metrics of :mod:`artifex.geometric.molecules` as sums over molecules, which is how they are registered.

Shapes: ``B = molecules, S = statistics``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.geometric.molecules import stability

__all__ = ["StableAtoms", "StableMolecules", "stable_atoms", "stable_molecules"]


class StableAtoms:
    """The share of atoms that have as many bonds as they should."""

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B S"]:
        """Stable atoms and atoms."""
        return np.stack([part.sum(axis=1) for part in stability(batch["samples"])], axis=1).astype(np.float64)

    def finalize(self, total: Any) -> Any:
        return total[..., 0] / np.maximum(total[..., 1], 1)


class StableMolecules:
    """The share of molecules all of whose atoms are stable."""

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B S"]:
        """Whether a molecule is stable, and 1."""
        stable, there = stability(batch["samples"])
        whole = np.all(stable | ~there, axis=-1) & np.any(there, axis=-1)  # no atom is no molecule
        return np.stack([whole, np.ones(len(whole))], axis=1).astype(np.float64)

    def finalize(self, total: Any) -> Any:
        return total[..., 0] / total[..., 1]


stable_atoms, stable_molecules = StableAtoms(), StableMolecules()
