r"""Fixed maps of each element: between the line and bounded or positive supports.

    sigmoid    y = 1 / (1 + e^-x)          log dy/dx = -softplus(x) - softplus(-x)              (-inf, inf) -> (0, 1)
    tanh       y = tanh(x)                 log dy/dx = 2 (log 2 - x - softplus(-2 x))           (-inf, inf) -> (-1, 1)
    exp        y = e^x                     log dy/dx = x                                         (-inf, inf) -> (0, inf)
    softplus   y = log(1 + e^x)            log dy/dx = -softplus(-x)                             (-inf, inf) -> (0, inf)
    rescale    y = (x - shift) / scale     log dy/dx = -log |scale|

The other directions are :class:`artifex.flow.bijections.Inverse` of these: the logit is ``Inverse(Sigmoid())``. Outside the
support of an inverse the log determinant is ``-inf`` and the value a finite stand-in: the density there is zero.

Shapes: ``B = batch, ... = one example``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed, sum_over_example

__all__ = ["Exp", "Rescale", "Sigmoid", "Softplus", "Tanh"]


class _Scalar(Bijection):
    """A fixed monotone map of each element onto an open interval."""

    low, high = -math.inf, math.inf

    def _forward(self, x: Array) -> tuple[Array, Array]:
        """The map, and its log derivative."""
        raise NotImplementedError

    def _inverse(self, y: Array) -> Array:
        """The inverse on the open interval."""
        raise NotImplementedError

    @property
    def _middle(self) -> float:
        """A point of the interval."""
        return 1.0 if math.isinf(self.high) else 0.5 * (self.low + self.high)

    def forward(self, x: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        del condition
        y, log_derivative = self._forward(x)
        return y, sum_over_example(log_derivative)

    def inverse(self, y: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        del condition
        inside = (y > self.low) & (y < self.high)
        x = self._inverse(jnp.where(inside, y, self._middle))
        log_derivative = jnp.where(inside, -self._forward(x)[1], -jnp.inf)
        return x, sum_over_example(log_derivative)


class Sigmoid(_Scalar):
    """``y = 1 / (1 + e^-x)``, onto ``(0, 1)``.

    Example:
        >>> y, log_det = Sigmoid().forward(jnp.zeros((1, 1)))
        >>> float(y[0, 0]), round(float(log_det[0]), 4)
        (0.5, -1.3863)
    """

    low, high = 0.0, 1.0

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return jax.nn.sigmoid(x), -jax.nn.softplus(x) - jax.nn.softplus(-x)

    def _inverse(self, y: Array) -> Array:
        return jnp.log(y) - jnp.log1p(-y)


class Tanh(_Scalar):
    """``y = tanh(x)``, onto ``(-1, 1)``."""

    low, high = -1.0, 1.0

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return jnp.tanh(x), 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))

    def _inverse(self, y: Array) -> Array:
        return jnp.arctanh(y)


class Exp(_Scalar):
    """``y = e^x``, onto the positive numbers."""

    low = 0.0

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return jnp.exp(x), x

    def _inverse(self, y: Array) -> Array:
        return jnp.log(y)


class Softplus(_Scalar):
    """``y = log(1 + e^x)``, onto the positive numbers."""

    low = 0.0

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return jax.nn.softplus(x), -jax.nn.softplus(-x)

    def _inverse(self, y: Array) -> Array:
        return y + jnp.log(-jnp.expm1(-y))


class Rescale(Bijection):
    """``y = (x - shift) / scale``, the same of every element; with a shift and scale of the data, it standardises.

    Args:
        shift: subtracted.
        scale: divided by; positive.

    Raises:
        InvalidInputError: ``scale`` is not positive.
    """

    def __init__(self, shift: float = 0.0, scale: float = 1.0):
        if not scale > 0:
            raise InvalidInputError(f"scale is {scale}; it has to be positive")
        self.shift, self.scale = shift, scale

    def forward(self, x: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        del condition
        return (x - self.shift) / self.scale, self._log_det(x)

    def inverse(self, y: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        del condition
        return y * self.scale + self.shift, -self._log_det(y)

    def _log_det(self, x: Array) -> Array:
        return jnp.full(x.shape[0], -math.prod(x.shape[1:]) * math.log(self.scale), x.dtype)
