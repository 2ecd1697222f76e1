"""Permutations of elements: they let every layer see another part of the input."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed, check_width

__all__ = ["Permutation"]


class Permutation(Bijection):
    """``y_i = x_{p(i)}`` along the last axis; ``log |det| = 0``.

    Args:
        order: ``p``, every number from 0 to ``D - 1`` once.

    Raises:
        InvalidInputError: ``order`` is no permutation.

    Example:
        >>> Permutation((2, 0, 1)).forward(jnp.array([[10.0, 20.0, 30.0]]))[0].tolist()
        [[30.0, 10.0, 20.0]]
    """

    def __init__(self, order: Sequence[int]):
        if sorted(order) != list(range(len(order))):
            raise InvalidInputError(f"order is {tuple(order)}; expected every number from 0 to {len(order) - 1} once")
        self.order = tuple(int(i) for i in order)

    def forward(self, x: Float[Array, "B ... D"], condition: Condition = None) -> Transformed:
        del condition
        check_width(x, len(self.order), "x")
        return x[..., np.array(self.order)], jnp.zeros(x.shape[0], x.dtype)

    def inverse(self, y: Float[Array, "B ... D"], condition: Condition = None) -> Transformed:
        del condition
        check_width(y, len(self.order), "y")
        return y[..., np.argsort(self.order)], jnp.zeros(y.shape[0], y.dtype)
