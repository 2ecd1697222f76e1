r"""Bijections: invertible, differentiable maps that know how much they stretch space.

    y = f(x),   log |det df/dx|;      x = f^-1(y),   log |det df^-1/dy| = -log |det df/dx|

The direction that every model calls ``forward`` is from the data to the base distribution.

Shapes: ``B = batch, C = width of the condition, ... = one example``.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = ["Bijection", "Chain", "Inverse", "at_least_float32", "check_width", "sum_over_example"]

Condition = Float[Array, "B C"] | None
"""What a conditional bijection is given beside its input, one row for each example."""

Transformed = tuple[Float[Array, "B ..."], Float[Array, "B"]]
"""A batch, and of each example the log absolute determinant of the map's Jacobian, nats."""


class Bijection(nnx.Module):
    """An invertible map of each example of a batch. Subclasses define both directions."""

    def forward(self, x: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        """``f(x)`` and ``log |det df/dx|`` at ``x``."""
        raise NotImplementedError

    def inverse(self, y: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        """``f^-1(y)`` and ``log |det df^-1/dy|`` at ``y``."""
        raise NotImplementedError

    def initialize(self, x: Float[Array, "B ..."], condition: Condition = None) -> Float[Array, "B ..."]:
        """``f(x)``, after the parameters that start from data, if there are any, have been set from ``x``."""
        return self.forward(x, condition)[0]


class Chain(Bijection):
    """``f = f_n o ... o f_1``; log determinants add up.

    Args:
        bijections: ``f_1`` to ``f_n``, in the order in which they are applied to data.

    Example:
        >>> from artifex.flow.bijections import Permutation
        >>> turned = Chain([Permutation((1, 2, 0)), Permutation((1, 2, 0))])
        >>> turned.forward(jnp.array([[10.0, 20.0, 30.0]]))[0].tolist()
        [[30.0, 10.0, 20.0]]
    """

    def __init__(self, bijections: Sequence[Bijection]):
        self.bijections = nnx.List(bijections)

    def forward(self, x: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        total = jnp.zeros(x.shape[0], jnp.promote_types(x.dtype, jnp.float32))
        for bijection in self.bijections:
            x, log_det = bijection.forward(x, condition)
            total += log_det
        return x, total

    def inverse(self, y: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        total = jnp.zeros(y.shape[0], jnp.promote_types(y.dtype, jnp.float32))
        for bijection in reversed(self.bijections):
            y, log_det = bijection.inverse(y, condition)
            total += log_det
        return y, total

    def initialize(self, x: Float[Array, "B ..."], condition: Condition = None) -> Float[Array, "B ..."]:
        for bijection in self.bijections:
            x = bijection.initialize(x, condition)
        return x


class Inverse(Bijection):
    """``f^-1``: the same map the other way round.

    Args:
        bijection: ``f``.
    """

    def __init__(self, bijection: Bijection):
        self.bijection = bijection

    def forward(self, x: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        return self.bijection.inverse(x, condition)

    def inverse(self, y: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        return self.bijection.forward(y, condition)


def check_width(x: Float[Array, "... D"], width: int, what: str) -> None:
    """Refuse what has another number of elements than a bijection was made for.

    Raises:
        InvalidInputError: the last axis is not ``width`` long.
    """
    if x.shape[-1:] != (width,):
        raise InvalidInputError(f"{what} has shape {x.shape}, expected {width} elements along the last axis")


def at_least_float32(parameter: Float[Array, "..."]) -> Float[Array, "..."]:
    """A parameter that acts on elements itself, not through a network: densities are not worked out in less than float32."""
    return parameter.astype(jnp.promote_types(parameter.dtype, jnp.float32))


def sum_over_example(log_derivatives: Float[Array, "B ..."]) -> Float[Array, "B"]:
    """``log |det|`` of a map that treats every element by itself: the sum of the elements' log derivatives."""
    return jnp.sum(log_derivatives, axis=tuple(range(1, log_derivatives.ndim)))
