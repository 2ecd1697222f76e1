"""The rigid motion that lays one set of points on another.

Kabsch 1976, "A solution for the best rotation to relate two sets of vectors"; the sign that keeps it a proper rotation: Umeyama
1991, equation 40.
"""

from __future__ import annotations

from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from artifex.core.geometry.frames import Frame
from artifex.core.geometry.masking import masked_mean
from artifex.core.geometry.rotations import HIGHEST, so3_product

__all__ = ["kabsch"]


def kabsch(moving: Float[Array, "... N 3"], fixed: Float[Array, "... N 3"], mask: Bool[Array, "... N"] | None = None) -> Frame:
    """The frame with the least ``sum_n m_n |R moving_n + t - fixed_n|^2``, ``R`` a proper rotation: never a reflection.

    What stands in masked places, NaN included, changes nothing. On a line, in a point or without any point the rotation is not
    unique: some best one is given. Its gradient is finite always; what the points do not determine has none.

    Args:
        moving: what is laid.
        fixed: where.
        mask: true where a pair of points counts; all by default.

    Example:
        >>> fixed = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
        >>> turned = fixed @ jnp.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + 5.0
        >>> bool(jnp.allclose(kabsch(turned, fixed).apply(turned), fixed, atol=1e-5))
        True
    """
    kept = (jnp.ones(moving.shape[:-1], bool) if mask is None else mask.astype(bool))[..., None]
    moving, fixed = jnp.where(kept, moving, 0), jnp.where(kept, fixed, 0)
    centre, target = (masked_mean(x, kept, -2, keepdims=True) for x in (moving, fixed))
    centred, aimed = jnp.where(kept, moving - centre, 0), jnp.where(kept, fixed - target, 0)
    covariance = jnp.einsum("...ni,...nj->...ij", aimed, centred, precision=HIGHEST)
    rotation = _nearest_rotation(covariance)
    return Frame(rotation, (target - jnp.einsum("...ij,...nj->...ni", rotation, centre, precision=HIGHEST))[..., 0, :])


@jax.custom_jvp
def _nearest_rotation(h: Float[Array, "... 3 3"]) -> Float[Array, "... 3 3"]:
    """The proper rotation ``R`` with the largest ``tr(R^T H)``."""
    return _polar(h)[0]


def _polar(h: Float[Array, "... 3 3"]) -> tuple[Array, Array, Array]:
    """``R``, and ``V`` and ``p`` of the symmetric ``R^T H = V diag(p) V^T``."""
    u, s, vt = jnp.linalg.svd(h, full_matrices=False)
    sign = jnp.linalg.det(u) * jnp.linalg.det(vt)  # 1 or -1, up to rounding
    signs = jnp.stack([jnp.ones_like(sign), jnp.ones_like(sign), jnp.sign(sign)], axis=-1)
    return so3_product(u * signs[..., None, :], vt), jnp.swapaxes(vt, -1, -2), s * signs


@_nearest_rotation.defjvp
def _nearest_rotation_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """``dR = R W``, where ``W P + P W = R^T dH - dH^T R`` with ``P = R^T H``, because ``P`` stays symmetric.

    In the basis of ``V`` the elements of ``W`` are those of the right side over ``p_i + p_j``. Through the singular vectors it
    would be over ``p_i^2 - p_j^2``, which vanishes for every symmetric set of points.
    """
    (h,), (dh,) = primals, tangents
    r, v, p = _polar(h)
    right = so3_product(jnp.swapaxes(r, -1, -2), dh)
    right = reduce(so3_product, (jnp.swapaxes(v, -1, -2), right - jnp.swapaxes(right, -1, -2), v))
    sums = p[..., :, None] + p[..., None, :]
    rounding = 8 * jnp.finfo(h.dtype).eps * p[..., :1, None]
    determined = sums > rounding
    w = jnp.where(determined, right, 0) / jnp.where(determined, sums, 1)
    return r, reduce(so3_product, (r, v, w, jnp.swapaxes(v, -1, -2)))
