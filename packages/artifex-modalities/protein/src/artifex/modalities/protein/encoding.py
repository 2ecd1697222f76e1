r"""Frames and dihedrals of a backbone as the numbers that a model is given, and back: pure functions inside compiled steps.

A frame is 9 numbers: its origin CA, and the first two columns of its rotation, which Gram and Schmidt's procedure completes
(Zhou et al. 2019, "On the continuity of rotation representations in neural networks", arXiv:1812.07035, section 3). Dihedrals
are 6: the sine and the cosine of phi, psi and omega. FoldingDiff has the angles themselves (Wu et al. 2022, "Protein structure
generation via folding diffusion", arXiv:2209.15611); a sine and a cosine are not cut at 180 degrees.

Both say what is there: a column of a rotation, and the sine and cosine of an angle, have the length 1, and 0 where there is no
residue or no angle. What a model drew is taken to be there where it is longer than 1/2.

Shapes: ``...`` leading axes, ``L`` residues, ``A`` atoms, of which N, CA, C come first.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from artifex.core.geometry import Frame, frame_from_points
from artifex.core.geometry.vectors import length
from artifex.modalities.protein.internal import Dihedrals, backbone_dihedrals, residue_frames

__all__ = ["LEAST", "decoded_dihedrals", "decoded_frames", "encoded_dihedrals", "encoded_frames"]

LEAST = 0.5
"""Half way from nothing to a direction."""


def encoded_frames(x: Float[Array, "... L A 3"]) -> Float[Array, "... L 9"]:
    """CA, the direction from CA to C, and that towards N at a right angle to it.

    >>> encoded_frames(jnp.array([[[0.0, 3.4, 0.0], [0.0, 2.0, 0.0], [1.5, 2.0, 0.0]]]))[0].tolist()
    [0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
    rotation, origin = residue_frames(x)
    return jnp.concatenate([origin, rotation[..., 0], rotation[..., 1]], axis=-1)


def decoded_frames(x: Float[Array, "... L 9"]) -> Frame:
    """The frames; the second column loses its part along the first. Of two on a line there is no rotation: columns are zero."""
    origin, first, second = (x[..., i : i + 3] for i in (0, 3, 6))
    return Frame(frame_from_points(second, jnp.zeros_like(origin), first).rotation, origin)


def encoded_dihedrals(x: Float[Array, "... L A 3"], linked: Bool[Array, "... L"]) -> Float[Array, "... L 6"]:
    """``sin phi, cos phi, sin psi, cos psi, sin omega, cos omega``; 0, both, where there is no such angle.

    Args:
        x: N, CA, C first.
        linked: true where the next residue is bound to this one.
    """
    phi, psi, omega, has_previous, has_next = backbone_dihedrals(x, linked)
    angles, there = jnp.stack([phi, psi, omega], axis=-1), jnp.stack([has_previous, has_next, has_next], axis=-1)
    pairs = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return jnp.where(there[..., None], pairs, 0).reshape(*x.shape[:-2], 6)


def decoded_dihedrals(x: Float[Array, "... L 6"]) -> Dihedrals:
    """``phi = atan2(sin, cos)``, and so on; pi where there is no such angle."""
    pairs = x.reshape(*x.shape[:-1], 3, 2)
    there = length(pairs) > LEAST
    angles = jnp.arctan2(jnp.where(there, pairs[..., 0], 0), jnp.where(there, pairs[..., 1], -1))
    phi, psi, omega = (angles[..., i] for i in range(3))
    return Dihedrals(phi, psi, omega, there[..., 0], there[..., 1] | there[..., 2])
