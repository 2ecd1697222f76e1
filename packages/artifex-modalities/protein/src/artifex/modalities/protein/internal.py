"""Dihedral angles and frames of a backbone, and the backbone of given dihedral angles or frames.

phi is the angle C N CA C, psi that of N CA C N, omega that of CA C N CA (IUPAC-IUB 1970, "Abbreviations and symbols for the
description of the conformation of polypeptide chains"). Atoms are placed one after the other from their bond length, angle and
dihedral (Parsons et al. 2005, "Practical conversion from torsion space to Cartesian space", doi:10.1002/jcc.20237).

Shapes: ``...`` leading axes, ``L`` residues, ``A`` atoms of a residue, of which N, CA, C, O come first.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from artifex.core.geometry import Frame, dihedral, frame_from_points
from artifex.core.geometry.vectors import direction

__all__ = ["Dihedrals", "backbone_dihedrals", "backbone_from_dihedrals", "backbone_from_frames", "residue_frames"]

N_CA, CA_C, C_N, C_O = 1.459, 1.525, 1.329, 1.229
N_CA_C, CA_C_N, C_N_CA, CA_C_O = (float(jnp.pi) * degrees / 180 for degrees in (111.0, 116.6, 121.4, 120.1))
"""Mean lengths in Å and angles of all residues but glycine and proline (Engh & Huber 2001)."""


class Dihedrals(NamedTuple):
    """Radians; 0 where an angle needs an atom of a residue that is not bound to this one."""

    phi: Float[Array, "... L"]
    psi: Float[Array, "... L"]
    omega: Float[Array, "... L"]
    """About the bond to the next residue."""
    has_previous: Bool[Array, "... L"]
    """Where there is a phi."""
    has_next: Bool[Array, "... L"]
    """Where there are a psi and an omega."""


def residue_frames(x: Float[Array, "... L A 3"]) -> Frame:
    """The frame of each residue: at CA, the first axis towards C, N in the plane of the first two.

    >>> frames = residue_frames(jnp.array([[[0.0, 1.4, 0.0], [0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [2.0, 1.0, 0.0]]]))
    >>> frames.rotation[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return frame_from_points(x[..., 0, :], x[..., 1, :], x[..., 2, :])


def backbone_dihedrals(x: Float[Array, "... L A 3"], linked: Bool[Array, "... L"]) -> Dihedrals:
    """phi, psi and omega of each residue.

    Args:
        x: N, CA, C first.
        linked: true where the next residue is bound to this one; false for the last.
    """
    n, ca, c = (x[..., i, :] for i in range(3))
    c_before = jnp.roll(c, 1, axis=-2)
    n_after, ca_after = jnp.roll(n, -1, axis=-2), jnp.roll(ca, -1, axis=-2)
    inner = jnp.arange(x.shape[-3]) < x.shape[-3] - 1
    has_next = linked & jnp.broadcast_to(inner, linked.shape)
    has_previous = jnp.roll(has_next, 1, axis=-1)
    return Dihedrals(
        jnp.where(has_previous, dihedral(c_before, n, ca, c), 0),
        jnp.where(has_next, dihedral(n, ca, c, n_after), 0),
        jnp.where(has_next, dihedral(ca, c, n_after, ca_after), 0),
        has_previous,
        has_next,
    )


@jax.jit
def backbone_from_dihedrals(
    phi: Float[Array, "... L"], psi: Float[Array, "... L"], omega: Float[Array, "... L"]
) -> Float[Array, "... L 4 3"]:
    """N, CA, C, O of a chain with ideal lengths and angles, Å; its first N at the origin.

    Undoes :func:`backbone_dihedrals`, but for the first phi and the last omega, which no atom shows.

    Args:
        phi: the first is not used.
        psi: the last places the last O.
        omega: the last is not used; pi is trans.
    """
    start = jnp.zeros((*phi.shape[:-1], 3), phi.dtype)
    ca = start.at[..., 0].set(N_CA)
    towards = jnp.array([-jnp.cos(N_CA_C), jnp.sin(N_CA_C), 0.0], phi.dtype)
    c = ca + CA_C * jnp.broadcast_to(towards, ca.shape)

    def step(atoms: tuple[Array, Array, Array], angles: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array, Array], Array]:
        n, ca, c = atoms
        psi, omega, phi_after = angles
        n_after = _placed(n, ca, c, C_N, CA_C_N, psi)
        o = _placed(n, ca, c, C_O, CA_C_O, psi + jnp.pi)  # in the plane of CA, C and the next N, on the other side
        ca_after = _placed(ca, c, n_after, N_CA, C_N_CA, omega)
        c_after = _placed(c, n_after, ca_after, CA_C, N_CA_C, phi_after)
        return (n_after, ca_after, c_after), jnp.stack([n, ca, c, o], axis=-2)

    phi_after = jnp.roll(phi, -1, axis=-1)
    angles = (jnp.moveaxis(psi, -1, 0), jnp.moveaxis(omega, -1, 0), jnp.moveaxis(phi_after, -1, 0))
    _, residues = jax.lax.scan(step, (start, ca, c), angles)
    return jnp.moveaxis(residues, 0, -3)


@jax.jit
def backbone_from_frames(frames: Frame, linked: Bool[Array, "... L"]) -> Float[Array, "... L 4 3"]:
    """N, CA, C, O of residues with ideal lengths and angles that lie in these frames, Å.

    Undoes :func:`residue_frames`: CA is where it was, C in its direction, N in its plane. A frame does not say where O is. It
    lies in the plane of CA, C and the next N, on the other side, where the next residue is bound to this one; and as it does
    with a psi of 180 degrees where none is.

    Args:
        frames: of each residue, in Å.
        linked: true where the next residue is bound to this one; false for the last.

    >>> one = Frame(jnp.eye(3)[None], jnp.zeros((1, 3)))
    >>> n, ca, c, o = backbone_from_frames(one, jnp.zeros(1, bool))[0]
    >>> ca.tolist(), c.round(1).tolist(), bool(n[1] > 0)
    ([0.0, 0.0, 0.0], [1.5, 0.0, 0.0], True)
    """
    dtype = frames.translation.dtype
    n = [N_CA * jnp.cos(N_CA_C), N_CA * jnp.sin(N_CA_C), 0.0]
    residue = frames.apply(jnp.array([n, [0.0, 0.0, 0.0], [CA_C, 0.0, 0.0]], dtype))
    n, ca, c = (residue[..., i, :] for i in range(3))
    psi = jnp.where(linked, dihedral(n, ca, c, jnp.roll(n, -1, axis=-2)), jnp.pi)
    o = _placed(n, ca, c, C_O, CA_C_O, psi + jnp.pi)
    return jnp.concatenate([residue, o[..., None, :]], axis=-2)


def _placed(a: Array, b: Array, c: Array, length: float, angle: float, torsion: Array) -> Array:
    """The atom bound to ``c`` with this bond length, the angle at ``c`` to ``b``, and the dihedral to ``a``."""
    axis = direction(c - b)
    normal = direction(jnp.cross(b - a, axis))
    side = jnp.cross(normal, axis)
    turned = jnp.cos(torsion)[..., None] * side + jnp.sin(torsion)[..., None] * normal
    return c + length * (-jnp.cos(angle) * axis + jnp.sin(angle) * turned)
