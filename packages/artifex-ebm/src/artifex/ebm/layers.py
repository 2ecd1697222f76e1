"""The check of shapes that the family's models share."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from artifex.core.errors import InvalidInputError

__all__ = ["checked"]


def checked(x: Array, shape: tuple[int, ...], what: str = "x") -> Array:
    """``x`` if it is a batch of floating-point arrays of ``shape``.

    Raises:
        InvalidInputError: it is not.
    """
    x = jnp.asarray(x)
    if x.ndim != len(shape) + 1 or x.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        hint = f"; add a batch axis: {what}[None]" if x.shape == shape else ""
        if x.ndim > 1 and math.prod(x.shape[1:]) == math.prod(shape):
            hint = f"; reshape it: {what}.reshape(-1, {wanted})"
        raise InvalidInputError(f"{what} has shape {x.shape}, and the model is of shape (batch, {wanted}){hint}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(f"{what} is {x.dtype}, and an energy is of floating-point numbers; convert it")
    return x
