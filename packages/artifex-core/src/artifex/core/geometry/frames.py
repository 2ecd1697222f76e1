"""Rigid frames: a rotation and a translation, from local to global coordinates.

``x_global = R x_local + t``. Three points make one by Gram and Schmidt's procedure (Jumper et al. 2021, "Highly accurate
protein structure prediction with AlphaFold", supplement, algorithm 21).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.geometry.rotations import HIGHEST, so3_product
from artifex.core.geometry.vectors import direction

__all__ = ["Frame", "frame_from_points"]


class Frame(NamedTuple):
    """``x -> R x + t``.

    Example:
        >>> turn = jnp.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        >>> frame = Frame(turn, jnp.array([1.0, 2.0, 3.0]))
        >>> frame.apply(jnp.array([[1.0, 0.0, 0.0]])).tolist()
        [[1.0, 3.0, 3.0]]
        >>> frame.compose(frame.invert()).translation.tolist()
        [0.0, 0.0, 0.0]
    """

    rotation: Float[Array, "... 3 3"]
    """``R``, orthogonal, of determinant one."""
    translation: Float[Array, "... 3"]
    """``t``, the frame's origin."""

    def apply(self, x: Float[Array, "... N 3"]) -> Float[Array, "... N 3"]:
        """``R x + t`` for ``N`` points of each frame."""
        return jnp.einsum("...ij,...nj->...ni", self.rotation, x, precision=HIGHEST) + self.translation[..., None, :]

    def apply_inverse(self, x: Float[Array, "... N 3"]) -> Float[Array, "... N 3"]:
        """``R^T (x - t)``: global coordinates to the frame's own."""
        return jnp.einsum("...ji,...nj->...ni", self.rotation, x - self.translation[..., None, :], precision=HIGHEST)

    def compose(self, other: Frame) -> Frame:
        """``self`` after ``other``: ``x -> R (R' x + t') + t``."""
        turned = jnp.einsum("...ij,...j->...i", self.rotation, other.translation, precision=HIGHEST)
        return Frame(so3_product(self.rotation, other.rotation), turned + self.translation)

    def invert(self) -> Frame:
        """``x -> R^T x - R^T t``."""
        back = jnp.einsum("...ji,...j->...i", self.rotation, self.translation, precision=HIGHEST)
        return Frame(jnp.swapaxes(self.rotation, -1, -2), -back)


def frame_from_points(behind: Float[Array, "... 3"], origin: Float[Array, "... 3"], ahead: Float[Array, "... 3"]) -> Frame:
    """The frame at ``origin`` whose first axis points ``ahead`` and whose first two span the points; of a residue: N, CA, C.

    The second axis leans towards ``behind``. Where the three lie on a line, the axes that they do not determine are zero, and
    the gradient is finite: that is no rotation, and such a place has to be masked.

    Example:
        >>> n, ca, c = jnp.array([0.0, 2.0, 0.0]), jnp.zeros(3), jnp.array([1.5, 0.0, 0.0])
        >>> frame_from_points(n, ca, c).rotation.tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    first = direction(ahead - origin)
    leaning = behind - origin
    second = direction(leaning - jnp.sum(first * leaning, axis=-1, keepdims=True) * first)
    third = jnp.cross(first, second)
    return Frame(jnp.stack([first, second, third], axis=-1), origin)
