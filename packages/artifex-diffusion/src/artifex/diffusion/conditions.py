r"""Conditions: the class, vector or sequence of vectors that examples are made to, checked, and dropped in training.

Ho & Salimans 2022, "Classifier-Free Diffusion Guidance" (arXiv:2207.12598), algorithm 1: each example loses its condition with
a probability ``p``, and so one network learns both denoisers.

Shapes: ``B = batch, C = width, S = length of a sequence``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.diffusion.networks import BackboneConfig

__all__ = ["Condition", "checked_condition", "drop", "taking_turns"]

Condition = Int[Array, "B"] | Float[Array, "B *C"] | np.ndarray | int
"""Class labels, one for each example or one for all; or vectors, or sequences of vectors."""


def taking_turns(backbone: BackboneConfig, n: int) -> np.ndarray | None:
    """Classes for samples that were asked of none in particular: 0, 1, 2, ...; None where there are none."""
    return np.arange(n) % backbone.num_classes if backbone.num_classes is not None else None


def checked_condition(condition: Condition | None, backbone: BackboneConfig, n: int) -> Array | np.ndarray | None:
    """One condition for each of ``n`` examples, if it fits the network.

    Raises:
        InvalidInputError: there is none and should be one, or the other way round, or it has another shape.
    """
    shape = backbone.condition_shape
    if shape is None:
        if condition is not None:
            raise InvalidInputError(
                f"a condition is given, but the model has none: its backbone {type(backbone).__name__} was made without "
                "num_classes or the width of a condition"
            )
        return None
    wanted = f"class labels below {backbone.num_classes}" if shape == () else "floating-point vectors"
    sizes = [str(n), *("1 or more" if size is None else str(size) for size in shape)]
    wanted = f"{wanted} of shape ({', '.join(sizes)}{',' * (len(sizes) == 1)})"
    if condition is None:
        raise InvalidInputError(f"no condition is given; pass condition=... with {wanted}, or one for all")
    c = condition if isinstance(condition, jax.Array) else np.asarray(condition)
    kind = jnp.integer if shape == () else jnp.floating
    own = c.shape[1:] if c.ndim else ()
    fits = len(own) == len(shape) and all(
        given > 0 if size is None else given == size for size, given in zip(shape, own, strict=True)
    )
    if not fits or (c.ndim == 0 and shape != ()) or not jnp.issubdtype(c.dtype, kind):
        raise InvalidInputError(f"condition is {c.dtype} of shape {c.shape}, expected {wanted}, or one for all")
    if c.ndim and c.shape[0] not in (1, n):
        raise InvalidInputError(f"condition has {c.shape[0]} rows for {n} examples; expected {wanted}, or one for all")
    c = _known_classes(c, backbone)
    whole = (n, *own)
    if c.shape == whole:
        return c
    return np.broadcast_to(np.asarray(c), whole) if not isinstance(c, Tracer) else jnp.broadcast_to(c, whole)


def _known_classes(c: Array | np.ndarray, backbone: BackboneConfig) -> Array | np.ndarray:
    """Classes that there are. Inside a compiled program the values are not known: there one that is none becomes -1.

    The network's embedding makes NaN of that, at which training stops; of ``num_classes`` it would make the dropped condition.
    """
    if backbone.num_classes is None:
        return c
    if isinstance(c, Tracer):
        return jnp.where((c >= 0) & (c < backbone.num_classes), c, -1)
    if c.size and (np.min(c) < 0 or np.max(c) >= backbone.num_classes):
        raise InvalidInputError(
            f"condition holds classes from {np.min(c)} to {np.max(c)}, expected 0 to {backbone.num_classes - 1}"
        )
    return c


def drop(condition: Array, which: Bool[Array, "B"], backbone: BackboneConfig) -> Array:
    """``condition`` with those of ``which`` gone: class ``num_classes``, or vectors of zeros.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> drop(jnp.array([0, 2]), jnp.array([True, False]), MLPBackboneConfig(num_classes=3)).tolist()
        [3, 2]
    """
    if backbone.num_classes is not None:
        return jnp.where(which, backbone.num_classes, condition)
    return jnp.where(which.reshape(which.shape[0], *(1,) * (condition.ndim - 1)), 0, condition)
