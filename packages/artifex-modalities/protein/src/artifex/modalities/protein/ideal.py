r"""Bond lengths and angles of the backbone beside those that small molecules have.

R. A. Engh & R. Huber 2001, "Structure quality and target parameters", International Tables for Crystallography F, 18.3. Lengths
in Å, angles in degrees here and in radians below; standard deviations in brackets:

    N-CA 1.459(20)   CA-C 1.525(26)   C-O 1.229(19)   C-N 1.329(14)     N-CA-C 111.0(2.7)   CA-C-O 120.1(2.1)
    Gly  1.456(15)        1.514(16)                                            113.1(2.5)   CA-C-N 116.6(2.0)
    Pro  1.468(17)        1.524(20)      before Pro   1.341(16)                112.1(2.6)   C-N-CA 121.4(2.3)

A bond or an angle that leads to the next residue is there only where the next is bound to this one.

Shapes: ``...`` leading axes, ``L`` residues, ``A`` atoms, of which N, CA, C, O come first.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from artifex.core.geometry import bond_angle
from artifex.core.geometry.vectors import length
from artifex.modalities.protein.residues import N_RESIDUE_TYPES, RESIDUES

__all__ = ["ANGLES", "BONDS", "Measured", "backbone_angles", "backbone_bonds", "linked_residues"]

BONDS = ("N-CA", "CA-C", "C-O", "C-N")
ANGLES = ("N-CA-C", "CA-C-O", "CA-C-N", "C-N-CA")
GLY, PRO = RESIDUES.index("GLY"), RESIDUES.index("PRO")


class Measured(NamedTuple):
    """Of each residue four bonds, or four angles."""

    value: Float[Array, "... L 4"]
    """Å, or radians."""
    ideal: Float[Array, "... L 4"]
    """The mean of the field's table."""
    sigma: Float[Array, "... L 4"]
    """Its standard deviation."""
    there: Bool[Array, "... L 4"]
    """False where an atom is missing, or the next residue is not bound."""


def _table(general: list[tuple[float, float]], gly: dict[int, tuple[float, float]], pro: dict[int, tuple[float, float]]):
    table = np.broadcast_to(np.array(general, np.float32), (N_RESIDUE_TYPES, 4, 2)).copy()
    for kind, changed in ((GLY, gly), (PRO, pro)):
        for column, pair in changed.items():
            table[kind, column] = pair
    return table


_LENGTHS = _table(
    [(1.459, 0.020), (1.525, 0.026), (1.229, 0.019), (1.329, 0.014)],
    {0: (1.456, 0.015), 1: (1.514, 0.016)},
    {0: (1.468, 0.017), 1: (1.524, 0.020)},
)
_BEFORE_PRO = (1.341, 0.016)
_ANGLES = np.deg2rad(
    _table([(111.0, 2.7), (120.1, 2.1), (116.6, 2.0), (121.4, 2.3)], {0: (113.1, 2.5)}, {0: (112.1, 2.6)})
).astype(np.float32)


def linked_residues(
    mask: Bool[Array, "... L"],
    residue_index: Int[Array, "... L"] | None = None,
    chain: Int[Array, "... L"] | None = None,
) -> Bool[Array, "... L"]:
    """True where the next residue is bound to this one.

    Args:
        mask: true where there is a residue.
        residue_index: place along the chain; a step of more than 1 is a break. One after the other by default.
        chain: number of the chain; all are one by default.

    >>> linked_residues(jnp.ones(4, bool), jnp.array([0, 1, 5, 6])).tolist()
    [True, False, True, False]
    """
    linked = mask & _next(mask)
    if residue_index is not None:
        linked &= _next(residue_index) - residue_index == 1
    if chain is not None:
        linked &= _next(chain) == chain
    return linked & (jnp.arange(mask.shape[-1]) < mask.shape[-1] - 1).reshape((1,) * (mask.ndim - 1) + (-1,))


def backbone_bonds(
    x: Float[Array, "... L A 3"],
    mask: Bool[Array, "... L"],
    linked: Bool[Array, "... L"],
    residue_type: Int[Array, "... L"] | None = None,
) -> Measured:
    """N-CA, CA-C, C-O, and C-N to the next residue.

    Args:
        x: positions, Å. What stands in masked places, NaN included, changes nothing.
        mask: true where there is a residue.
        linked: true where the next residue is bound, as :func:`linked_residues` tells.
        residue_type: glycine and proline have values of their own; without it all have the general ones.
    """
    n, ca, c, o, n_after, _ = _atoms(x, mask)
    values = jnp.stack([length(ca - n), length(c - ca), length(o - c), length(n_after - c)], axis=-1)
    ideal, sigma = _of_types(_LENGTHS, mask, residue_type, x.dtype)
    if residue_type is not None:
        before_pro = (_next(residue_type) == PRO) & linked
        ideal = ideal.at[..., 3].set(jnp.where(before_pro, _BEFORE_PRO[0], ideal[..., 3]))
        sigma = sigma.at[..., 3].set(jnp.where(before_pro, _BEFORE_PRO[1], sigma[..., 3]))
    there = jnp.stack([mask, mask, mask, linked], axis=-1)
    return Measured(jnp.where(there, values, ideal), ideal, sigma, there)


def backbone_angles(
    x: Float[Array, "... L A 3"],
    mask: Bool[Array, "... L"],
    linked: Bool[Array, "... L"],
    residue_type: Int[Array, "... L"] | None = None,
) -> Measured:
    """N-CA-C and CA-C-O of each residue, CA-C-N and C-N-CA to the next, radians; arguments as of :func:`backbone_bonds`."""
    n, ca, c, o, n_after, ca_after = _atoms(x, mask)
    angles = (bond_angle(n, ca, c), bond_angle(ca, c, o), bond_angle(ca, c, n_after), bond_angle(c, n_after, ca_after))
    ideal, sigma = _of_types(_ANGLES, mask, residue_type, x.dtype)
    there = jnp.stack([mask, mask, linked, linked], axis=-1)
    return Measured(jnp.where(there, jnp.stack(angles, axis=-1), ideal), ideal, sigma, there)


def _atoms(x: Array, mask: Array) -> tuple[Array, ...]:
    """N, CA, C, O, the next N and CA."""
    x = jnp.where(mask[..., None, None], x[..., :4, :], 0)
    n, ca, c, o = (x[..., i, :] for i in range(4))
    return n, ca, c, o, jnp.roll(n, -1, axis=-2), jnp.roll(ca, -1, axis=-2)


def _next(x: Array) -> Array:
    return jnp.roll(x, -1, axis=-1)


def _of_types(table: np.ndarray, mask: Array, residue_type: Array | None, dtype: np.dtype) -> tuple[Array, Array]:
    types = jnp.full(mask.shape, N_RESIDUE_TYPES - 1) if residue_type is None else residue_type
    found = jnp.asarray(table, dtype)[jnp.where(mask, types, N_RESIDUE_TYPES - 1)]
    return found[..., 0], found[..., 1]
