"""What is registered: how many samples are molecules, how different and how likely ones.

All work on RDKit molecules (space ``host``), ``None`` where a sample is none. Those in space need not be sanitised: each counts
in the form of :func:`~artifex.modalities.molecular.valid.valid_form`, and as none where it has none, but for the figures of
stability. Shares and means stream; what compares sets is a pure function of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.modalities.molecular import properties, similarity
from artifex.modalities.molecular.elements import ELEMENTS, stable_atoms as stable
from artifex.modalities.molecular.valid import checked, valid_form

__all__ = [
    "internal_diversity",
    "nearest_similarity",
    "novelty",
    "qed",
    "scaffold_similarity",
    "stable_atoms",
    "stable_molecules",
    "synthetic_accessibility",
    "uniqueness",
    "validity",
]


@dataclass(frozen=True)
class MoleculeMean:
    """A sum over a sum, of all samples together; follows ``StreamedMetric``.

    Of ``M`` samples, ``N`` of them molecules: ``N / M sum_i a_i / sum_i b_i``. One that is none has nothing to count, and
    weighs as much as a mean molecule of which nothing is counted.
    """

    counts: Callable[[Any], tuple[float, float]]
    """What one molecule adds to either, ``a`` and ``b``."""
    has_worst: bool
    """A sample that is none counts as the worst; otherwise it is left out."""

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B 4"]:
        """What is counted, among how many, whether this is a molecule, and 1; zeros where it is left out.

        Raises:
            InvalidTypeError: a sample is neither a molecule of RDKit nor ``None``.
        """
        missing = (0.0, 0.0, 0.0, float(self.has_worst))
        rows = [missing if m is None else (*self.counts(checked(m)), 1.0, 1.0) for m in batch["samples"]]
        return np.array(rows, float).reshape(-1, 4)

    def finalize(self, total: Float[np.ndarray, "... 4"]) -> Float[np.ndarray, "..."]:
        """NaN where there is nothing to count, but 0 where no sample is a molecule."""
        total = np.asarray(total, np.float64)
        none = (total[..., 2] == 0) & (total[..., 3] > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = total[..., 0] / total[..., 1] * (total[..., 2] / total[..., 3])
        return np.where(none, 0.0, found)


def _elements(molecule: Any) -> np.ndarray | None:
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    return np.array([ELEMENTS.index(s) for s in symbols]) if set(symbols) <= set(ELEMENTS) else None


def _stable(molecule: Any) -> np.ndarray:
    """Of molecules in space; one without positions, or of other elements, has no stable atom."""
    elements = _elements(molecule)
    if elements is None or not molecule.GetNumConformers():
        return np.zeros(molecule.GetNumAtoms(), bool)
    return stable(molecule.GetConformer().GetPositions(), elements)


def _is_valid(molecule: Any) -> tuple[float, float]:
    return float(valid_form(molecule) is not None), 1.0


def _of_valid(figure: Callable[[Any], float]) -> Callable[[Any], tuple[float, float]]:
    def counts(molecule: Any) -> tuple[float, float]:
        form = valid_form(molecule)
        return (0.0, 0.0) if form is None else (figure(form), 1.0)

    return counts


def _stable_atoms(molecule: Any) -> tuple[float, float]:
    found = _stable(molecule)
    return float(found.sum()), float(len(found))


def _stable_molecule(molecule: Any) -> tuple[float, float]:
    return float(_stable(molecule).all()), 1.0


validity = MoleculeMean(_is_valid, has_worst=True)
qed = MoleculeMean(_of_valid(properties.qed), has_worst=False)
synthetic_accessibility = MoleculeMean(_of_valid(properties.synthetic_accessibility), has_worst=False)
stable_atoms = MoleculeMean(_stable_atoms, has_worst=True)
stable_molecules = MoleculeMean(_stable_molecule, has_worst=True)


def uniqueness(samples: Sequence[Any]) -> float:
    """Of all valid samples; see :func:`.similarity.uniqueness`."""
    return similarity.uniqueness(samples)


def internal_diversity(samples: Sequence[Any]) -> float:
    """See :func:`.similarity.internal_diversity`."""
    return similarity.internal_diversity(samples)


def nearest_similarity(samples: Sequence[Any], references: Sequence[Any]) -> float:
    """See :func:`.similarity.nearest_similarity`."""
    return similarity.nearest_similarity(samples, references)


def novelty(samples: Sequence[Any], training: Sequence[Any]) -> float:
    """See :func:`.similarity.novelty`."""
    return similarity.novelty(samples, training)


def scaffold_similarity(samples: Sequence[Any], references: Sequence[Any]) -> float:
    """See :func:`.similarity.scaffold_similarity`."""
    return similarity.scaffold_similarity(samples, references)
