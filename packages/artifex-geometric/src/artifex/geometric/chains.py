r"""Chains of points: frames along them, and the atoms of a protein's backbone.

Frenet and Serret's frame of point ``i`` has the tangent ``t_i`` to its successor, the binormal ``b_i`` along ``t_{i-1} x t_i``
and the normal ``n_i = b_i x t_i`` (Lin & AlQuraishi 2023, arXiv:2301.12485, equations 6-9). A reflection turns every binormal
round: such a frame tells a chain from its mirror image.

Shapes: ``B`` batch, ``L`` residues.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from artifex.core.geometry import Frame, frame_from_points
from artifex.core.geometry.vectors import direction

__all__ = ["BACKBONE_ATOMS", "backbone_atoms", "backbone_frames", "frenet_rotations", "relative_positions"]

BACKBONE_ATOMS = ("N", "CA", "C", "O")
"""The atoms of a residue, in the order of their rows."""
N_CA, CA_C, C_O, N_CA_C, CA_C_O = 1.459, 1.525, 1.229, np.deg2rad(111.0), np.deg2rad(120.1)
"""Lengths in Å and angles (Engh & Huber 1999)."""
C_AT = (CA_C, 0.0, 0.0)
N_AT = (N_CA * float(np.cos(N_CA_C)), N_CA * float(np.sin(N_CA_C)), 0.0)
"""N and C in the residue's frame: its first axis points from CA to C, N lies in the plane of the first two."""


def frenet_rotations(x: Float[Array, "B L 3"], mask: Bool[Array, "B L"]) -> Float[Array, "B L 3 3"]:
    """The frame of each point as a rotation, its columns ``t``, ``n``, ``b``; at the ends of a chain that of the neighbour.

    Where three points lie on a line, some frame with the tangent. Padded places, and points of chains shorter than three, have
    the identity. A place without a point within a chain ends it: what follows is another.
    """
    ahead = direction(jnp.roll(x, -1, axis=1) - x)
    behind = jnp.roll(ahead, 1, axis=1)
    none = jnp.zeros_like(mask[:, :1])
    has_next = mask & jnp.concatenate([mask[:, 1:], none], axis=1)
    has_last = jnp.concatenate([none, has_next[:, :-1]], axis=1)
    inner = has_next & has_last & (jnp.sum(jnp.square(ahead), axis=-1) > 0.5)
    binormal = _perpendicular(jnp.cross(behind, ahead), ahead)
    rotation = jnp.stack([ahead, jnp.cross(binormal, ahead), binormal], axis=-1)
    after, before = (has_next & jnp.roll(inner, -1, axis=1), has_last & jnp.roll(inner, 1, axis=1))
    place = jnp.arange(x.shape[1])[None]
    at = jnp.where(inner, place, jnp.where(after, place + 1, jnp.where(before, place - 1, place)))
    known = inner | after | before
    taken = jnp.take_along_axis(rotation, at[..., None, None], axis=1)
    return jnp.where(known[..., None, None], taken, jnp.eye(3, dtype=x.dtype)[None, None])


def _perpendicular(wanted: Array, axis: Array) -> Array:
    """``wanted``, normalised; where it vanishes, some direction at right angles to ``axis``."""
    squared = jnp.sum(jnp.square(wanted), axis=-1, keepdims=True)
    fallback = jnp.where(
        jnp.abs(axis[..., :1]) < 0.9, jnp.array([[[1.0, 0, 0]]], axis.dtype), jnp.array([[[0, 1.0, 0]]], axis.dtype)
    )
    return direction(jnp.where(squared > 1e-12, wanted, jnp.cross(axis, fallback)))


def relative_positions(
    mask: Bool[Array, "B L"],
    most: int,
    residue_index: Int[Array, "B L"] | None = None,
    chain: Int[Array, "B L"] | None = None,
) -> Int[Array, "B L L"]:
    """``j - i`` along the chain, cut at ``most``, from 0 to ``2 most``; ``2 most + 1`` between chains.

    >>> relative_positions(jnp.ones((1, 3), bool), 1)[0].tolist()
    [[1, 2, 2], [0, 1, 2], [0, 0, 1]]
    """
    index = jnp.broadcast_to(jnp.arange(mask.shape[1])[None], mask.shape) if residue_index is None else residue_index
    steps = jnp.clip(index[:, None] - index[:, :, None], -most, most) + most
    return steps if chain is None else jnp.where(chain[:, None] == chain[:, :, None], steps, 2 * most + 1)


def backbone_frames(x: Float[Array, "B L 4 3"]) -> Frame:
    """The frame of each residue: at CA, its first axis towards C, N in the plane of the first two."""
    return frame_from_points(x[..., 0, :], x[..., 1, :], x[..., 2, :])


def backbone_atoms(frames: Frame, mask: Bool[Array, "B L"]) -> Float[Array, "B L 4 3"]:
    """N, CA, C and O of residues with ideal lengths and angles, Å; 0 in padded places.

    O lies in the plane of CA, C and the next residue's N, opposite to it; at the end of a chain, in that of N, CA and C.
    """
    dtype = frames.translation.dtype
    local = jnp.asarray(np.array([N_AT, (0.0, 0.0, 0.0), C_AT]), dtype)
    atoms = frames.apply(jnp.broadcast_to(local, (*mask.shape, 3, 3)))
    n, ca, c = (atoms[..., i, :] for i in range(3))
    has_next = jnp.concatenate([mask[:, 1:], jnp.zeros_like(mask[:, :1])], axis=1)[..., None]
    towards = jnp.where(has_next, jnp.roll(n, -1, axis=1), n) - c
    axis = direction(c - ca)
    side = -direction(towards - jnp.sum(towards * axis, axis=-1, keepdims=True) * axis)
    o = c + C_O * (float(-np.cos(CA_C_O)) * axis + float(np.sin(CA_C_O)) * side)
    made = jnp.concatenate([atoms, o[..., None, :]], axis=-2)
    return jnp.where(mask[..., None, None], made, 0)
