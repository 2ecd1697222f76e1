"""What a structure violates, and where: pure functions of a protein that list each violation.

Bond lengths and angles beside :mod:`~artifex.modalities.protein.ideal`, the hand of each residue, and the plane of each peptide
bond. Nothing is said across breaks of the chain, nor of atoms that are missing.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from artifex.modalities.protein.ideal import ANGLES, BONDS, Measured, backbone_angles, backbone_bonds
from artifex.modalities.protein.internal import Dihedrals, backbone_dihedrals
from artifex.modalities.protein.protein import Protein

__all__ = [
    "Geometry",
    "Violation",
    "angle_violations",
    "bond_violations",
    "chirality_violations",
    "measure",
    "planarity_violations",
    "violations",
]

PADDED = 32
"""Proteins are padded to multiples of this, so that those of similar length share a compiled program."""


class Violation(NamedTuple):
    """One thing that is not as it should be."""

    kind: str
    """``bond``, ``angle``, ``chirality`` or ``planarity``."""
    what: str
    """Which atoms."""
    residue: int
    """Row of the residue in the protein."""
    value: float
    """Å, degrees, or Å³ for chirality."""
    expected: float
    """What it should be."""
    off: float
    """By how many standard deviations; for planarity by how many degrees."""


class Geometry(NamedTuple):
    """What is measured of a backbone, each of shape ``(L, ...)``; on the host."""

    bonds: Measured
    angles: Measured
    dihedrals: Dihedrals


def measure(protein: Protein) -> Geometry:
    """Bonds, angles and dihedrals of the backbone."""
    n = len(protein)
    rows = -(-max(n, 1) // PADDED) * PADDED
    x, there = np.zeros((rows, 4, 3), np.float32), np.zeros((rows, 4), bool)
    x[:n], there[:n] = protein.positions[:, :4], protein.atom_mask[:, :4]
    linked, types = np.zeros(rows, bool), np.full(rows, 20)
    linked[:n], types[:n] = protein.linked, protein.residue_type
    return Geometry(*jax.tree.map(lambda a: np.asarray(a)[:n], _measured(x, there, linked, types)))


@jax.jit
def _measured(x: jax.Array, there: jax.Array, linked: jax.Array, types: jax.Array) -> Geometry:
    whole = jnp.ones(x.shape[:1], bool)
    bonds, angles = (f(x, whole, linked, types) for f in (backbone_bonds, backbone_angles))
    n, ca, c, o = (there[:, i] for i in range(4))
    n_after, ca_after = linked & jnp.roll(n, -1), linked & jnp.roll(ca, -1)
    bonds = bonds._replace(there=jnp.stack([n & ca, ca & c, c & o, c & n_after], axis=-1))
    angles = angles._replace(there=jnp.stack([n & ca & c, ca & c & o, ca & c & n_after, c & n_after & ca_after], axis=-1))
    backbone = n & ca & c
    return Geometry(bonds, angles, backbone_dihedrals(x, linked & backbone & jnp.roll(backbone, -1)))


def bond_violations(protein: Protein, *, sigmas: float = 4.0) -> list[Violation]:
    """Bonds of the backbone that differ from their mean by more than ``sigmas`` standard deviations.

    >>> x = np.array([[[0.0, 1.6, 0.0], [0.0, 0.0, 0.0], [1.525, 0.0, 0.0], [2.14, 1.064, 0.0]]])
    >>> [(v.what, v.residue, round(v.value, 2), v.expected.__round__(3)) for v in bond_violations(Protein.from_positions(x))]
    [('N-CA', 0, 1.6, 1.459)]
    """
    return _outside("bond", BONDS, measure(protein).bonds, sigmas, 1.0)


def angle_violations(protein: Protein, *, sigmas: float = 4.0) -> list[Violation]:
    """Angles of the backbone that differ from their mean by more than ``sigmas`` standard deviations; in degrees."""
    return _outside("angle", ANGLES, measure(protein).angles, sigmas, 180 / np.pi)


def _outside(kind: str, names: tuple[str, ...], measured: Measured, sigmas: float, unit: float) -> list[Violation]:
    off = np.abs(measured.value - measured.ideal) / measured.sigma
    rows, columns = np.nonzero(measured.there & (off > sigmas))
    found = zip(rows, columns, measured.value[rows, columns], measured.ideal[rows, columns], off[rows, columns], strict=True)
    return [Violation(kind, names[c], int(r), float(v) * unit, float(i) * unit, float(s)) for r, c, v, i, s in found]


L_VOLUME, L_SIGMA = 2.51, 0.15
"""``(N - CA) . ((C - CA) x (CB - CA))`` of an L amino acid, Å³, from ideal lengths and angles, and how much it varies."""


def chirality_violations(protein: Protein) -> list[Violation]:
    """Residues whose CB is on the wrong side: D amino acids, and flat ones. Glycine and residues without CB have no hand."""
    n, ca, c, cb = (protein.atom(name) for name in ("N", "CA", "C", "CB"))
    volume = np.sum((n - ca) * np.cross(c - ca, cb - ca), axis=-1)
    wrong = np.flatnonzero(protein.has("N", "CA", "C", "CB") & (volume < L_VOLUME / 2))
    off = np.abs(volume - L_VOLUME) / L_SIGMA
    return [Violation("chirality", "N-C-CB about CA", int(i), float(volume[i]), L_VOLUME, float(off[i])) for i in wrong]


def planarity_violations(protein: Protein, *, degrees: float = 30.0) -> list[Violation]:
    """Peptide bonds whose omega is further than this from trans (180) and from cis (0)."""
    dihedrals = measure(protein).dihedrals
    omega = np.rad2deg(dihedrals.omega)
    expected = np.where(np.abs(omega) < 90, 0.0, 180.0)
    off = np.abs(np.abs(omega) - expected)
    rows = np.flatnonzero(dihedrals.has_next & (off > degrees))
    return [Violation("planarity", "CA-C-N-CA", int(i), float(omega[i]), float(expected[i]), float(off[i])) for i in rows]


def violations(protein: Protein) -> list[Violation]:
    """All of these, in the order of residues."""
    found = bond_violations(protein) + angle_violations(protein) + chirality_violations(protein) + planarity_violations(protein)
    return sorted(found, key=lambda v: v.residue)
