r"""The energy of a backbone's bonds, angles and van der Waals contacts, kJ/mol; differentiable.

    E_bond = sum k (b - b0)^2    E_angle = sum k (theta - theta0)^2    E_LJ = sum_(i<j) eps ((R/r)^12 - 2 (R/r)^6)

with the constants of Amber's ff94 and its successors for the heavy atoms of the backbone (Cornell et al. 1995,
doi:10.1021/ja00124a002): ``R`` adds up from the atoms' own, ``eps`` is their geometric mean. Pairs that are one or two bonds
apart do not count, those that are three apart count half. Hydrogens, side chains, charges and torsions are left out: this
compares backbones, it is no force field.

Shapes: ``L`` residues, N, CA, C, O of each first.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from artifex.core.geometry import bond_angle
from artifex.core.geometry.vectors import length

__all__ = ["angle_energy", "bond_energy", "lennard_jones_energy"]

KCAL = 4.184
BOND_CONSTANTS = {"N-CA": (337.0, 1.449), "CA-C": (317.0, 1.522), "C-O": (570.0, 1.229), "C-N": (490.0, 1.335)}
"""kcal / mol Å², Å."""
ANGLE_CONSTANTS = {
    "N-CA-C": (63.0, 110.1), "CA-C-O": (80.0, 120.4), "CA-C-N": (70.0, 116.6), "C-N-CA": (50.0, 121.9), "O-C-N": (80.0, 122.9),
}  # fmt: skip
"""kcal / mol rad², degrees."""
LENNARD_JONES = {"N": (1.8240, 0.1700), "CA": (1.9080, 0.1094), "C": (1.9080, 0.0860), "O": (1.6612, 0.2100)}
"""Half of R in Å, and eps in kcal / mol."""
# Bonds from each of N, CA, C, O to its residue's C, and to its residue's N.
_WITHIN = np.array([[0, 1, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]], np.int32)


def bond_energy(x: Float[Array, "L A 3"], mask: Bool[Array, "L"], linked: Bool[Array, "L"]) -> Float[Array, ""]:
    """Of N-CA, CA-C, C-O of each residue and C-N to the next.

    Args:
        x: positions, Å.
        mask: true where there is a residue.
        linked: true where the next residue is bound.
    """
    n, ca, c, o, n_after, _ = _atoms(x, mask)
    pairs = {"N-CA": (n, ca, mask), "CA-C": (ca, c, mask), "C-O": (c, o, mask), "C-N": (c, n_after, linked)}
    total = jnp.zeros((), x.dtype)
    for name, (one, other, there) in pairs.items():
        k, ideal = BOND_CONSTANTS[name]
        total += k * jnp.sum(jnp.where(there, jnp.square(length(other - one) - ideal), 0))
    return KCAL * total


def angle_energy(x: Float[Array, "L A 3"], mask: Bool[Array, "L"], linked: Bool[Array, "L"]) -> Float[Array, ""]:
    """Of N-CA-C and CA-C-O of each residue, CA-C-N, O-C-N and C-N-CA to the next; arguments as of :func:`bond_energy`."""
    n, ca, c, o, n_after, ca_after = _atoms(x, mask)
    angles = {
        "N-CA-C": (n, ca, c, mask),
        "CA-C-O": (ca, c, o, mask),
        "CA-C-N": (ca, c, n_after, linked),
        "O-C-N": (o, c, n_after, linked),
        "C-N-CA": (c, n_after, ca_after, linked),
    }
    total = jnp.zeros((), x.dtype)
    for name, (a, b, d, there) in angles.items():
        k, ideal = ANGLE_CONSTANTS[name]
        total += k * jnp.sum(jnp.where(there, jnp.square(bond_angle(a, b, d) - float(np.deg2rad(ideal))), 0))
    return KCAL * total


def lennard_jones_energy(x: Float[Array, "L A 3"], mask: Bool[Array, "L"], linked: Bool[Array, "L"]) -> Float[Array, ""]:
    """Of all pairs of backbone atoms; arguments as of :func:`bond_energy`."""
    n = x.shape[0]
    points = jnp.where(mask[:, None, None], x[:, :4], 0).reshape(4 * n, 3)
    there = jnp.repeat(mask, 4)
    radius, depth = (jnp.tile(jnp.asarray(values, x.dtype), n) for values in zip(*LENNARD_JONES.values(), strict=True))
    bonds = _bonds_between(linked)
    share = jnp.where(bonds <= 2, 0.0, jnp.where(bonds == 3, 0.5, 1.0)).astype(x.dtype)
    pairs = there[:, None] & there[None] & (jnp.arange(4 * n)[:, None] < jnp.arange(4 * n)[None]) & (share > 0)
    squared = jnp.sum(jnp.square(points[:, None] - points[None]), axis=-1)
    ratio = jnp.square(radius[:, None] + radius[None]) / jnp.where(pairs, squared, 1)
    sixth = ratio**3
    energy = jnp.sqrt(depth[:, None] * depth[None]) * share * (sixth**2 - 2 * sixth)
    return KCAL * jnp.sum(jnp.where(pairs, energy, 0))


def _bonds_between(linked: Bool[Array, "L"]) -> Array:
    """Bonds between each two atoms where they are few; 9 elsewhere. Two residues further on there are four at least."""
    n = linked.shape[0]
    blocks = jnp.full((n, n, 4, 4), 9)
    rows = jnp.arange(n)
    blocks = blocks.at[rows, rows].set(jnp.asarray(_WITHIN)[None])
    after = jnp.asarray(_WITHIN[:, 2, None] + 1 + _WITHIN[None, 0, :])  # to C, on to N, and from there
    behind = jnp.where(linked[:-1, None, None], after[None], 9)
    blocks = blocks.at[rows[:-1], rows[1:]].set(behind)
    # From C through a whole residue to the next N is already 1 + 2 + 1 = 4 bonds.
    return blocks.transpose(0, 2, 1, 3).reshape(4 * n, 4 * n)


def _atoms(x: Array, mask: Array) -> tuple[Array, ...]:
    """N, CA, C, O, the next N and CA."""
    x = jnp.where(mask[:, None, None], x[:, :4], 0)
    n, ca, c, o = (x[:, i] for i in range(4))
    return n, ca, c, o, jnp.roll(n, -1, axis=0), jnp.roll(ca, -1, axis=0)
