"""Several sequences in one row: where each begins, from a mask and the segments that tokens are of.

Shapes: ``B = batch, L = length``.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array

from artifex.core.errors import InvalidInputError

__all__ = ["runs"]


def runs(x: Array, mask: Array | None, segment: Array | None) -> tuple[Array, Array | None]:
    """Where a sequence begins, and the number of the run that each place is of; None where there is only one in each row.

    Args:
        x: tokens ``(B, L)``.
        mask: true where there is one; what is masked is a run of its own.
        segment: any number for each token, another one from where another sequence begins.

    Raises:
        InvalidInputError: there is not one of them for each token.

    Example:
        >>> first, run = runs(jnp.zeros((1, 4), int), None, jnp.array([[5, 5, 2, 2]]))
        >>> first.tolist(), run.tolist()
        ([[True, False, True, False]], [[1, 1, 2, 2]])
    """
    for name, given in (("mask", mask), ("segment", segment)):
        if given is not None and given.shape != x.shape:
            raise InvalidInputError(f"{name} has shape {given.shape}, x has {x.shape}; there is one for each token")
    places = jnp.broadcast_to(jnp.arange(x.shape[1])[None], x.shape)
    begins = places == 0
    if mask is None and segment is None:
        return begins, None
    for kind in (mask, segment):
        if kind is not None:
            kind = jnp.asarray(kind)
            begins = begins | (kind != jnp.roll(kind, 1, axis=1))
    return begins, jnp.cumsum(begins, axis=1)
