r"""Rotation matrices from axis-angle vectors, and back.

A vector ``w`` stands for the rotation by ``t = |w|`` radians about ``w / t``, counterclockwise seen from its tip. With ``K``
the matrix of the cross product, ``K v = w x v`` (Rodrigues 1840; Murray, Li & Sastry 1994, proposition 2.9):

    exp(K) = I + sin(t)/t K + (1 - cos(t))/t^2 K^2
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.geometry.vectors import length

__all__ = ["HIGHEST", "so3_exp", "so3_log", "so3_product", "uniform_rotations"]

HIGHEST = jax.lax.Precision.HIGHEST
"""All digits of float32, where accelerators keep ten bits of a product's factors unless told: of 100 Å, a tenth of one."""


def so3_exp(w: Float[Array, "... 3"]) -> Float[Array, "... 3 3"]:
    """The rotation matrix of an axis-angle vector; every derivative of the first order is finite, at zero too.

    Example:
        >>> quarter = so3_exp(jnp.array([0.0, 0.0, jnp.pi / 2]))
        >>> abs(quarter @ jnp.array([1.0, 0.0, 0.0])).round(3).tolist()
        [0.0, 1.0, 0.0]
    """
    squared = jnp.sum(jnp.square(w), axis=-1)[..., None, None]
    small = squared < 1e-4  # where what the series leave out is below a rounding of float64
    t = jnp.sqrt(jnp.where(small, 1, squared))
    half = jnp.sin(t / 2) / (t / 2)
    sine = jnp.where(small, 1 - squared / 6 + squared**2 / 120 - squared**3 / 5040, jnp.sin(t) / t)
    cosine = jnp.where(small, 0.5 - squared / 24 + squared**2 / 720 - squared**3 / 40320, half**2 / 2)
    k = _cross_matrix(w)
    return jnp.eye(3, dtype=w.dtype).reshape((1,) * (k.ndim - 2) + (3, 3)) + sine * k + cosine * so3_product(k, k)


def so3_product(one: Float[Array, "... 3 3"], other: Float[Array, "... 3 3"]) -> Float[Array, "... 3 3"]:
    """``one`` after ``other``, with all digits on any device."""
    return jnp.matmul(one, other, precision=HIGHEST)


def so3_log(r: Float[Array, "... 3 3"]) -> Float[Array, "... 3"]:
    """The axis-angle vector, of a length in ``[0, pi]``, of a rotation matrix.

    By way of a unit quaternion, read off the largest of its four components squared, so that digits are lost at no angle. At
    ``pi`` the two vectors ``w`` and ``-w`` are the same rotation; one of them is given. The gradient is finite everywhere; at
    ``pi`` it is that of the branch chosen.

    Args:
        r: orthogonal, of determinant one.

    Example:
        >>> [round(v, 6) for v in so3_log(so3_exp(jnp.array([0.0, 0.0, 3.0]))).tolist()]
        [0.0, 0.0, 3.0]
    """
    q = _quaternion(r)
    w, v = q[..., :1], q[..., 1:]
    sine = length(v, keepdims=True)
    small = sine < 1e-3  # theta / sin(theta / 2), with sin(theta / 2) = s: 2 (1 + s^2 / 6 + 3 s^4 / 40 + ...)
    safe = jnp.where(small, 1, sine)
    ratio = 2 * jnp.arctan2(safe, jnp.where(small, 0, w)) / safe
    squared = jnp.sum(jnp.square(v), axis=-1, keepdims=True)
    series = 2 * (1 + squared / 6 + 3 * squared**2 / 40 + 5 * squared**3 / 112)
    return jnp.where(small, series, ratio) * v


def _cross_matrix(w: Float[Array, "... 3"]) -> Float[Array, "... 3 3"]:
    x, y, z = (w[..., i] for i in range(3))
    zero = jnp.zeros_like(x)
    rows = [jnp.stack(row, axis=-1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    return jnp.stack(rows, axis=-2)


def _quaternion(r: Float[Array, "... 3 3"]) -> Float[Array, "... 4"]:
    """``(w, x, y, z)`` with ``w >= 0``: the row of ``4 q q^T`` with the largest diagonal element, normalised.

    Shepperd 1978, "Quaternion from rotation matrix".
    """
    (a, b, c), (d, e, f), (g, h, i) = ([r[..., row, column] for column in range(3)] for row in range(3))
    products = [
        [1 + a + e + i, h - f, c - g, d - b],
        [h - f, 1 + a - e - i, b + d, c + g],
        [c - g, b + d, 1 - a + e - i, f + h],
        [d - b, c + g, f + h, 1 - a - e + i],
    ]
    table = jnp.stack([jnp.stack(row, axis=-1) for row in products], axis=-2)  # 4 q q^T
    which = jnp.argmax(jnp.diagonal(table, axis1=-2, axis2=-1), axis=-1)
    row = jnp.take_along_axis(table, which[..., None, None], axis=-2)[..., 0, :]
    q = row / jnp.sqrt(jnp.sum(jnp.square(row), axis=-1, keepdims=True))
    return jnp.where(q[..., :1] < 0, -q, q)


def uniform_rotations(key: Array, shape: tuple[int, ...] = ()) -> Float[Array, "... 3 3"]:
    """Rotations all alike probable: of unit quaternions whose components are normal (Shoemake 1992).

    Example:
        >>> uniform_rotations(jax.random.key(0), (4,)).shape
        (4, 3, 3)
    """
    q = jax.random.normal(key, (*shape, 4))
    w, v = q[..., :1], q[..., 1:]
    size = length(v, keepdims=True)
    return so3_exp(2 * jnp.arctan2(size, w) * v / jnp.maximum(size, 1e-12))
