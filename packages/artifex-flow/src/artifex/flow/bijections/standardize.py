r"""Standardisation: a fixed affine map of each element, set from data.

    y = (x - m) / s,   log |det dy/dx| = -sum log s

``m`` and ``s`` are mean and standard deviation of data that are given once, explicitly (:meth:`Standardize.initialize`); they
are saved with a model and not learned. What is learned has :class:`artifex.flow.bijections.ActNorm`.

Shapes: ``B = batch, ... = one example``.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed

__all__ = ["Standardize", "spread"]

CONSTANT = 1e-6
"""What varies less than this, relative to its largest magnitude, is taken for a constant: moved, and not blown up. Eight units
of float32's rounding."""


def spread(x: Float[Array, "B ..."], axis: int | tuple[int, ...] = 0) -> Float[Array, "..."]:
    """Standard deviation along ``axis``, and 1 for constants, whose values are equal, or as good as equal to rounding.

    They are known by their range. Their deviation would not do: a mean of many equal numbers is off by more than a rounding.

    >>> spread(jnp.array([[1e-9, 0.1, 1.0], [3e-9, 0.1, 5.0]])).tolist() == [jnp.float32(1e-9), 1.0, 2.0]
    True
    """
    varies = jnp.ptp(x, axis=axis) > CONSTANT * jnp.max(jnp.abs(x), axis=axis)
    return jnp.where(varies, jnp.std(x, axis=axis), 1)


class Standardize(Bijection):
    """``y = (x - m) / s``, element by element; the identity until it is given data.

    Args:
        shape: of one example.

    Example:
        >>> layer = Standardize((2,))
        >>> layer.initialize(jnp.array([[1.0, 10.0], [3.0, 30.0]])).round(4).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    def __init__(self, shape: tuple[int, ...]):
        self.mean = nnx.Variable(jnp.zeros(shape))
        self.log_scale = nnx.Variable(jnp.zeros(shape))

    def initialize(self, x: Float[Array, "B ..."], condition: Condition = None) -> Float[Array, "B ..."]:
        """Take mean and standard deviation from ``x``; returns ``forward(x)``.

        Raises:
            InvalidInputError: there are fewer than two examples, or some of another shape, or some that are not finite.
        """
        shape = self.mean[...].shape
        if x.shape[1:] != shape or x.shape[0] < 2:
            raise InvalidInputError(f"x has shape {x.shape}, expected at least two examples of shape {shape}")
        mean, deviation = jnp.mean(x, axis=0), jnp.std(x, axis=0)
        if not isinstance(x, Tracer) and not jnp.all(jnp.isfinite(deviation)):  # a compiled program cannot raise
            raise InvalidInputError("x holds values that are not finite, or too large to square; drop those examples first")
        self.mean[...] = mean.astype(self.mean[...].dtype)
        self.log_scale[...] = jnp.log(spread(x)).astype(self.log_scale[...].dtype)
        return self.forward(x, condition)[0]

    def forward(self, x: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        del condition
        return (x - self.mean[...][None]) * jnp.exp(-self.log_scale[...][None]), -self._log_det(x)

    def inverse(self, y: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        del condition
        return y * jnp.exp(self.log_scale[...][None]) + self.mean[...][None], self._log_det(y)

    def _log_det(self, x: Float[Array, "B ..."]) -> Float[Array, "B"]:
        return jnp.full(x.shape[0], jnp.sum(self.log_scale[...]))
