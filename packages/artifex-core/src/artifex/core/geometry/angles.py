"""Angles between bonds and about them, radians, with gradients that are finite also where points lie on a line."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.geometry.vectors import direction, length

__all__ = ["bond_angle", "dihedral"]


def bond_angle(a: Float[Array, "... 3"], b: Float[Array, "... 3"], c: Float[Array, "... 3"]) -> Float[Array, "..."]:
    """The angle at ``b`` between ``a`` and ``c``, in ``[0, pi]``.

    ``atan2(|u x v|, u . v)``, which loses no digits near 0 and pi, as the arc cosine would. There the angle has a kink; the
    gradient given is zero across it.

    Example:
        >>> round(float(bond_angle(jnp.array([1.0, 0.0, 0.0]), jnp.zeros(3), jnp.array([0.0, 2.0, 0.0]))), 4)
        1.5708
    """
    u, v = a - b, c - b
    return _atan2(length(jnp.cross(u, v)), jnp.sum(u * v, axis=-1))


def dihedral(
    a: Float[Array, "... 3"], b: Float[Array, "... 3"], c: Float[Array, "... 3"], d: Float[Array, "... 3"]
) -> Float[Array, "..."]:
    """The angle about ``b c`` from the half plane of ``a`` to that of ``d``, in ``(-pi, pi]``.

    Zero when eclipsed (cis), positive when the far bond ``c d`` is turned clockwise from ``b a``, seen from ``b`` to ``c``
    (IUPAC-IUB 1970, "Abbreviations and symbols for the description of the conformation of polypeptide chains", rule 2). Where
    three successive points lie on a line it is 0, and so is its gradient.

    Example:
        >>> a, b, c = jnp.array([1.0, 0.0, 0.0]), jnp.zeros(3), jnp.array([0.0, 0.0, 1.0])
        >>> round(float(dihedral(a, b, c, jnp.array([0.0, 1.0, 1.0]))), 4)
        1.5708
    """
    axis = direction(c - b)
    first, second = jnp.cross(b - a, axis), jnp.cross(axis, d - c)
    return _atan2(jnp.sum(axis * jnp.cross(first, second), axis=-1), jnp.sum(first * second, axis=-1))


def _atan2(y: Float[Array, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``atan2``, with no gradient where both are zero."""
    nowhere = (x == 0) & (y == 0)
    return jnp.arctan2(jnp.where(nowhere, 0, y), jnp.where(nowhere, 1, x))
