"""Lengths and directions whose gradients are finite at zero."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["direction", "length"]


def length(v: Float[Array, "... 3"], *, keepdims: bool = False) -> Float[Array, "..."]:
    """``|v|``, with the gradient zero where ``v`` is zero.

    Example:
        >>> float(length(jnp.array([3.0, 0.0, 4.0])))
        5.0
    """
    squared = jnp.sum(jnp.square(v), axis=-1, keepdims=keepdims)
    there = squared > 0
    return jnp.where(there, jnp.sqrt(jnp.where(there, squared, 1)), 0)


def direction(v: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """``v / |v|``, and zero, with no gradient, where ``v`` is zero."""
    norm = length(v, keepdims=True)
    there = norm > 0
    return jnp.where(there, v, 0) / jnp.where(there, norm, 1)
