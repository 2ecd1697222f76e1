"""What a conditional energy is given beside ``x``: classes or vectors, checked, and as vectors.

Shapes: ``n = examples, C = width of the condition``.
"""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from artifex.core.errors import InvalidInputError

__all__ = ["Condition", "checked_classes", "checked_vectors", "one_hot"]

Condition: TypeAlias = Int[Array, "n"] | Float[Array, "n C"] | np.ndarray | int
"""Class labels, one for each example or one for all; or vectors."""


def checked_classes(condition: Condition, n: int, n_classes: int, what: str = "condition") -> Int[Array, "n"]:
    """Class labels of ``n`` examples.

    Raises:
        InvalidInputError: they are none, or not as many as the examples.

    Example:
        >>> checked_classes(2, 3, 10).tolist()
        [2, 2, 2]
    """
    c = condition if isinstance(condition, jax.Array) else np.asarray(condition)
    if c.shape not in ((), (1,), (n,)) or not jnp.issubdtype(c.dtype, jnp.integer):
        raise InvalidInputError(
            f"{what} is {c.dtype} of shape {c.shape}, expected integer class labels below {n_classes} of shape ({n},), "
            "or one for all"
        )
    # inside a compiled program the values are not known yet: there, `one_hot` sees to them
    if not isinstance(c, Tracer) and c.size and not np.isin(c, np.arange(n_classes)).all():
        raise InvalidInputError(f"{what} holds classes from {np.min(c)} to {np.max(c)}, expected 0 to {n_classes - 1}")
    if isinstance(c, jax.Array):
        return jnp.broadcast_to(c.astype(jnp.int32), (n,))
    return jnp.asarray(np.broadcast_to(c, (n,)), jnp.int32)


def checked_vectors(condition: Condition, n: int, width: int) -> Float[Array, "n C"]:
    """Vectors of ``n`` examples.

    Raises:
        InvalidInputError: they are none, or not as many as the examples.
    """
    c = condition if isinstance(condition, jax.Array) else np.asarray(condition)
    if c.shape not in ((n, width), (1, width)) or not jnp.issubdtype(c.dtype, jnp.floating):
        raise InvalidInputError(
            f"condition is {c.dtype} of shape {c.shape}, expected floating-point vectors of shape ({n}, {width}), "
            "or one for all"
        )
    return jnp.broadcast_to(c, (n, width)) if isinstance(c, jax.Array) else jnp.asarray(np.broadcast_to(c, (n, width)))


def one_hot(classes: Int[Array, "n"], n_classes: int) -> Float[Array, "n C"]:
    """One-hot vectors; a class that is none is NaN, at which training stops, and not zeros, on which it would go on.

    Example:
        >>> one_hot(jnp.array([1, 7]), 2).tolist()
        [[0.0, 1.0], [nan, nan]]
    """
    known = (classes >= 0) & (classes < n_classes)
    return jnp.where(known[:, None], jax.nn.one_hot(classes, n_classes), jnp.nan)
