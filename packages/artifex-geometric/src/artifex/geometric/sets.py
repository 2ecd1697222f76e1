r"""Sets of points of different size, padded: masks, centres of mass, noise without one.

``x (B, N, 3 + F)`` packs coordinates and features of up to ``N`` points; ``mask (B, N)`` is true where there is one. What
stands in padded places, NaN included, changes nothing.

Densities that do not change under translation live on the subspace of sets whose centre of mass is 0, of ``3 (n - 1)``
dimensions for ``n`` points (Köhler, Klein & Noé 2020, arXiv:2006.02425; Hoogeboom et al. 2022, arXiv:2203.17003, section 2.2).

Shapes: ``B`` batch, ``N`` points, ``F`` features, ``C`` columns.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.core.geometry import masked_mean
from artifex.core.protocols import Batch

__all__ = ["as_numbers", "centred", "centred_noise", "checked_along", "checked_set", "mask_in", "sum_over_points"]


def as_numbers(x: Any, what: str) -> Array:
    """``x`` as an array.

    Raises:
        InvalidInputError: it is none of real numbers.
    """
    try:
        array = jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{what} is a {type(x).__name__} that makes no array of numbers: {error}") from error
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise InvalidInputError(f"{what} is {array.dtype}; give real numbers")
    return array


def checked_along(values: Any, mask: Bool[Array, "B N"], what: str) -> Int[Array, "B N"]:
    """Whole numbers along sets, one a row.

    Raises:
        InvalidInputError: they are not.
    """
    array = as_numbers(values, what)
    if array.shape != mask.shape or not jnp.issubdtype(array.dtype, jnp.integer):
        raise InvalidInputError(f"{what} is {array.dtype} of shape {array.shape}; give whole numbers of shape {mask.shape}")
    return array


def checked_set(
    x: Float[Array, "B N C"], mask: Bool[Array, "B N"] | None, columns: int, max_points: int | None = None
) -> tuple[Float[Array, "B N C"], Bool[Array, "B N"]]:
    """``x`` with zeros in padded places, and its mask; without one every row is a point.

    Args:
        x: the sets.
        mask: true where there is a point.
        columns: how many columns there have to be.
        max_points: how many rows there may be; any number by default.

    Raises:
        InvalidInputError: the shapes do not fit.
    """
    x = as_numbers(x, "x")
    if x.ndim != 3 or x.shape[-1] != columns or not x.shape[1] or (max_points is not None and x.shape[1] > max_points):
        most = "N" if max_points is None else f"N up to {max_points}"
        raise InvalidInputError(f"x has shape {x.shape}; sets of points are (B, {most}, {columns}), three coordinates first")
    if mask is None:
        return x, jnp.ones(x.shape[:2], bool)
    mask = as_numbers(mask, "the mask")
    if mask.shape != x.shape[:2]:
        raise InvalidInputError(
            f"the mask has shape {mask.shape} and x {x.shape}; a mask says of each of x's rows if it is one"
        )
    mask = mask.astype(bool)
    return jnp.where(mask[..., None], x, 0), mask


def centred(x: Float[Array, "B N C"], mask: Bool[Array, "B N"]) -> Float[Array, "B N C"]:
    """``x`` with its centre of mass at 0, and 0 in padded places.

    >>> x, mask = jnp.array([[[1.0], [3.0], [9.0]]]), jnp.array([[True, True, False]])
    >>> centred(x, mask).ravel().tolist()
    [-1.0, 1.0, 0.0]
    """
    kept = mask[..., None]
    return jnp.where(kept, x - masked_mean(x, kept, 1, keepdims=True), 0)


def centred_noise(
    key: Array, mask: Bool[Array, "B N"], features: int = 0, dtype: jnp.dtype | None = None
) -> Float[Array, "B N C"]:
    """Standard normal noise, of the coordinates without centre of mass; 0 in padded places.

    Args:
        key: of the draws.
        mask: true where there is a point.
        features: further columns, whose noise has every dimension.
        dtype: float32 by default.
    """
    noise = jax.random.normal(key, (*mask.shape, 3 + features), dtype or jnp.float32)
    noise = jnp.where(mask[..., None], noise, 0)
    return jnp.concatenate([centred(noise[..., :3], mask), noise[..., 3:]], axis=-1)


def mask_in(batch: Batch) -> Bool[Array, "B N"]:
    """The batch's ``mask``; true everywhere where it has none."""
    return jnp.ones(np.shape(batch["x"])[:2], bool) if "mask" not in batch else jnp.asarray(batch["mask"]).astype(bool)


def sum_over_points(values: Float[Array, "B N *C"], mask: Bool[Array, "B N"]) -> Float[Array, "B"]:
    """The sum of what belongs to an example, in float32 at least; padded places do not count."""
    kept = jnp.expand_dims(mask, tuple(range(2, values.ndim)))
    values = jnp.where(kept, values, 0).astype(jnp.promote_types(values.dtype, jnp.float32))
    return jnp.sum(values, axis=tuple(range(1, values.ndim)))
