"""Means over what is there, where examples of different size are padded."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["masked_mean"]


def masked_mean(
    x: Float[Array, "..."],
    mask: Bool[Array, "..."],
    axis: int | Sequence[int] | None = None,
    *,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """``sum m x / sum m`` over ``axis``, and 0 where nothing is left.

    What stands in masked places, NaN included, changes neither the value nor a gradient.

    Args:
        x: numbers.
        mask: true (or not zero) where a number counts, of a shape that broadcasts against that of ``x``, of equal rank.
        axis: what to average over; everything by default.
        keepdims: keep those axes, one long.

    Example:
        >>> x, mask = jnp.array([[1.0, 3.0, jnp.nan], [jnp.nan] * 3]), jnp.array([[True, True, False], [False] * 3])
        >>> masked_mean(x, mask, axis=1).tolist()
        [2.0, 0.0]
    """
    kept = jnp.broadcast_to(mask.astype(bool), x.shape)
    total = jnp.sum(jnp.where(kept, x, 0), axis, keepdims=keepdims)
    count = jnp.sum(kept, axis, dtype=x.dtype, keepdims=keepdims)
    return total / jnp.maximum(count, 1)
