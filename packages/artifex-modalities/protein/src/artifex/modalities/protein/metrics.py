"""What is registered: how alike samples are to their references, how sound samples are, and of which letters.

All work on proteins, or texts of letters, as the field has them (space ``host``), and stream: a figure is a mean over examples,
a share of all bonds, or made of counts of all letters, and does not depend on batches. Where a sample is no structure
(``None``), it counts as the worst there is: 0 of everything that is better when higher; distances and energies have no worst,
and leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.protein import energies, similarity
from artifex.modalities.protein.composition import CompositionDifference
from artifex.modalities.protein.constraints import PADDED, measure
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.residues import BACKBONE
from artifex.modalities.protein.soundness import coarse_ramachandran_region, heavy_atom_clashes

__all__ = [
    "angle_energy",
    "bond_energy",
    "chirality_agreement",
    "clash_score",
    "coarse_ramachandran",
    "composition_difference",
    "dipeptide_difference",
    "gdt_ts",
    "lddt",
    "lennard_jones_energy",
    "rmsd",
    "sound_angles",
    "sound_bonds",
    "tm_score",
]

SIGMAS = 4.0
"""Standard deviations within which a bond or an angle is sound."""
GLY = 7


@dataclass(frozen=True)
class PairMetric:
    """The mean over pairs of a figure of two proteins with the same residues; follows ``StreamedMetric``."""

    figure: Callable[[Protein, Protein], float]
    worst: float
    """Of a sample that is no structure; NaN leaves it out."""

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B 2"]:
        """The figure and a weight of 1; zeros where there is no figure."""
        samples, references = list(batch["samples"]), list(batch["references"])
        if len(samples) != len(references):
            raise InvalidInputError(f"{len(samples)} samples and {len(references)} references make no pairs")
        rows = np.zeros((len(samples), 2))
        for row, (sample, reference) in enumerate(zip(samples, references, strict=True)):
            if reference is None:
                raise InvalidInputError(f"reference {row} of the batch is no structure; leave it out")
            value = self.worst if sample is None else self.figure(sample, reference)
            rows[row] = (value, 1) if np.isfinite(value) else (0, 0)
        return rows

    def finalize(self, total: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "..."]:
        """NaN where no pair has a figure."""
        return _ratio(total)


@dataclass(frozen=True)
class ShareMetric:
    """Of all samples together, a sum over a sum; follows ``StreamedMetric``.

    Of ``M`` samples, ``N`` of them structures: ``N / M sum_i a_i / sum_i b_i``. One that is no structure has nothing to count,
    and weighs as much as a mean structure of which nothing is sound.
    """

    counts: Callable[[Protein], tuple[float, float]]
    """What is counted of one sample, ``a``, and among how many, ``b``."""
    has_worst: bool
    """A sample that is no structure counts as the worst; otherwise it is left out."""

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B 4"]:
        """What is counted, among how many, whether this is a structure, and 1; zeros where it is left out."""
        missing = (0.0, 0.0, 0.0, float(self.has_worst))
        return np.array([missing if p is None else (*self.counts(p), 1.0, 1.0) for p in batch["samples"]], float).reshape(-1, 4)

    def finalize(self, total: Float[np.ndarray, "... 4"]) -> Float[np.ndarray, "..."]:
        """NaN where there is nothing to count, but 0 where no sample is a structure."""
        total = np.asarray(total, np.float64)
        none = (total[..., 2] == 0) & (total[..., 3] > 0)
        return np.where(none, 0.0, _ratio(total[..., :2]) * _ratio(total[..., 2:]))


def _ratio(total: Any) -> Any:
    total = np.asarray(total, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return total[..., 0] / total[..., 1]


def _alpha(sample: Protein, reference: Protein) -> tuple[np.ndarray, np.ndarray]:
    """Alpha carbons of the residues of which both have one."""
    _check_alike(sample, reference)
    both = sample.has("CA") & reference.has("CA")
    return sample.atom("CA")[both], reference.atom("CA")[both]


def _check_alike(sample: Protein, reference: Protein) -> None:
    if len(sample) != len(reference):
        raise InvalidInputError(
            f"a sample of {len(sample)} residues is compared with a reference of {len(reference)}, residue by residue; "
            "pair structures of equal length"
        )


def _lddt(sample: Protein, reference: Protein) -> float:
    """Of the reference's atoms: distances to one that the sample lacks are not kept. NaN where the reference has none."""
    _check_alike(sample, reference)
    rows, columns = np.nonzero(reference.atom_mask)
    if not len(rows):
        return float("nan")
    x, y = (protein.positions[rows, columns] for protein in (sample, reference))
    return similarity.lddt(x, y, residues=rows, there=sample.atom_mask[rows, columns])


def _share_of_reference(figure: Callable[[Any, Any, int], float]) -> Callable[[Protein, Protein], float]:
    """Of the reference's alpha carbons, so that what the sample lacks counts as far away. NaN where the reference has none."""

    def of_pair(sample: Protein, reference: Protein) -> float:
        x, y = _alpha(sample, reference)
        length = int(reference.has("CA").sum())
        if not length:
            return float("nan")
        return figure(x, y, length) if len(x) else 0.0

    return of_pair


def _of_alpha(figure: Callable[[Any, Any], float]) -> Callable[[Protein, Protein], float]:
    """Of the alpha carbons that both have."""

    def of_pair(sample: Protein, reference: Protein) -> float:
        x, y = _alpha(sample, reference)
        return figure(x, y) if len(x) else float("nan")

    return of_pair


rmsd = PairMetric(_of_alpha(similarity.rmsd), float("nan"))
tm_score = PairMetric(_share_of_reference(lambda x, y, length: similarity.tm_score(x, y, length=length)), 0.0)
gdt_ts = PairMetric(_share_of_reference(lambda x, y, length: similarity.gdt_ts(x, y) * len(x) / length), 0.0)
lddt = PairMetric(_lddt, 0.0)
chirality_agreement = PairMetric(_of_alpha(similarity.chirality_agreement), 0.0)


def _sound(kind: str) -> Callable[[Protein], tuple[float, float]]:
    def counts(protein: Protein) -> tuple[float, float]:
        found = getattr(measure(protein), kind)
        off = np.abs(found.value - found.ideal) / found.sigma
        return float(np.sum(found.there & (off <= SIGMAS))), float(np.sum(found.there))

    return counts


def _ramachandran(protein: Protein) -> tuple[float, float]:
    """Of residues with both angles; glycine may go anywhere."""
    phi, psi, _, has_previous, has_next = measure(protein).dihedrals
    counted = has_previous & has_next & (protein.residue_type != GLY)
    regions = coarse_ramachandran_region(np.asarray(phi[counted]), np.asarray(psi[counted]))
    return float(sum(region != "outlier" for region in regions)), float(len(regions))


def _clashes(protein: Protein) -> tuple[float, float]:
    return float(len(heavy_atom_clashes(protein))), protein.atom_mask.sum() / 1000


def _energy(energy: Callable[..., Any]) -> Callable[[Protein], tuple[float, float]]:
    compiled = jax.jit(energy)

    def total(protein: Protein) -> tuple[float, float]:
        n = len(protein)
        rows = -(-n // PADDED) * PADDED
        x, there, linked = np.zeros((rows, 4, 3), np.float32), np.zeros(rows, bool), np.zeros(rows, bool)
        there[:n] = protein.has(*BACKBONE)
        linked[:n] = protein.linked & there[:n] & np.roll(there[:n], -1)
        x[:n] = protein.positions[:, :4]
        return float(compiled(x, there, linked)), float(there.sum())

    return total


sound_bonds = ShareMetric(_sound("bonds"), has_worst=True)
sound_angles = ShareMetric(_sound("angles"), has_worst=True)
coarse_ramachandran = ShareMetric(_ramachandran, has_worst=True)
clash_score = ShareMetric(_clashes, has_worst=False)
bond_energy = ShareMetric(_energy(energies.bond_energy), has_worst=False)
angle_energy = ShareMetric(_energy(energies.angle_energy), has_worst=False)
lennard_jones_energy = ShareMetric(_energy(energies.lennard_jones_energy), has_worst=False)
composition_difference = CompositionDifference(1)
dipeptide_difference = CompositionDifference(2)
