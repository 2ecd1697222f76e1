"""Classes that examples are given: read from what a batch or a caller has, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Int

from artifex.core.errors import InvalidInputError
from artifex.core.value_ranges import ValueRange

__all__ = ["Classes", "Given", "class_ranges", "class_rows", "class_table", "classes_of", "turns"]

Classes = Int[Array, "B"] | np.ndarray | int
"""One class for each example, or one for all."""
Given = Array | np.ndarray | None
"""Classes of all examples, ``(B,)``, checked; None for a model that is given none."""


def classes_of(
    num_classes: int | None, condition: Classes | None, label: Classes | None, n: int, *, what: str = "condition"
) -> Given:
    """The classes of ``n`` examples, ``(n,)``; None for a model that is given none.

    Args:
        num_classes: of the model; None for one without.
        condition: what is conditioned on.
        label: what data sets call the classes: it serves a model with classes that is given no condition. A model without
            classes is trained on labelled data as on any other.
        n: number of examples.
        what: the argument that messages ask for.

    Raises:
        InvalidInputError: a condition for a model without classes, none for one with classes, or classes that do not fit.
    """
    if num_classes is None:
        if condition is not None:
            raise InvalidInputError("a condition is given, but the model has none: set num_classes in its config")
        return None
    given = label if condition is None else condition
    wanted = f"classes below {num_classes}, integers of shape ({n},)"
    if given is None:
        raise InvalidInputError(f"no {what} is given; pass {what}=... with {wanted}")
    c = given if isinstance(given, jax.Array) else np.asarray(given)
    if c.shape not in ((), (1,), (n,)) or not jnp.issubdtype(c.dtype, jnp.integer):
        raise InvalidInputError(f"{what} is {c.dtype} of shape {c.shape}, expected {wanted}, or one for all")
    values = np.zeros(0) if isinstance(c, Tracer) else np.asarray(c)  # inside a program they are not known: see class_rows
    if values.size and (values.min() < 0 or values.max() >= num_classes):
        raise InvalidInputError(f"{what} holds classes from {values.min()} to {values.max()}, expected 0 to {num_classes - 1}")
    return c if c.shape == (n,) else jnp.broadcast_to(c, (n,)) if isinstance(c, jax.Array) else np.broadcast_to(c, (n,))


def turns(num_classes: int | None, n: int) -> np.ndarray | None:
    """Classes for samples that were asked of none in particular: 0, 1, 2, ...; None where there are none."""
    return None if num_classes is None else np.arange(n) % num_classes


def class_ranges(num_classes: int | None, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
    """The classes that there are, in the array of a batch that they are read from."""
    return {} if num_classes is None else {"condition" if "condition" in batch else "label": range(num_classes)}


def class_table(num_classes: int | None, features: int, param_dtype: Any, rngs: nnx.Rngs) -> nnx.Param | None:
    """A vector for each class, ``(num_classes, features)``; None where there are no classes."""
    if num_classes is None:
        return None
    table = 0.1 * jax.random.normal(rngs.params(), (num_classes, features), param_dtype)
    return nnx.Param(table, logical_axes=(None, "conv_out"))


def class_rows(table: Array, classes: Array) -> Array:
    """Rows ``(B, ...)`` of ``table`` by class; NaN, at which training stops, for a class that is none."""
    known = (classes >= 0) & (classes < table.shape[0])
    rows = table[jnp.where(known, classes, 0)]
    return jnp.where(known.reshape(-1, *(1,) * (rows.ndim - 1)), rows, jnp.nan)
