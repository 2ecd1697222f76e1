r"""What training descends, and the means that it is made of.

A mean over a batch that is cut into parts is no mean of the parts' means where these weigh differently: tokens of sentences,
unmasked elements. Kept as its sum and its weight it is the same however the batch is cut,

.. math:: \bar\ell = \frac{\sum_p t_p}{\sum_p w_p}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import Batch

__all__ = ["Losses", "Objective", "WeightedMean", "is_below", "optimizer_names", "value_of", "weighed", "weighted_mean"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WeightedMean:
    """A mean ``total / weight``, or a sum of such means with weights of their own.

    Weights depend on the data and the draws alone: no gradient goes through them. Sums, differences and multiples of weighted
    means are weighted means.

    Example:
        >>> tokens = WeightedMean(jnp.array(6.0), jnp.array(3.0))
        >>> images = WeightedMean(jnp.array(20.0), jnp.array(2.0))
        >>> float((tokens + 0.1 * images).value)
        3.0
    """

    total: Any
    """Weighted sum of what is averaged, ``()``; or ``(K,)`` where this is a sum of K means."""
    weight: Any
    """Sum of the weights, zero or more, of the same shape."""

    __array_ufunc__ = None  # NumPy's scalars leave products to this class

    @property
    def value(self) -> jax.Array:
        """The mean, ``()``; exactly 0, as its gradient, where there is no weight."""
        return self.over(self.weight)

    def over(self, weight: Any) -> jax.Array:
        """This part's share, ``()``, in the mean over a whole of ``weight``; the shares of all parts add up to that mean."""
        weight = jax.lax.stop_gradient(weight)
        empty = weight == 0
        return jnp.sum(jnp.where(empty, 0.0, self.total / jnp.where(empty, 1.0, weight)))

    def __add__(self, other: Any) -> WeightedMean:
        if not isinstance(other, WeightedMean):
            raise InvalidTypeError(
                f"a {type(other).__name__} was added to a WeightedMean, and what it weighs is not known; "
                "give it its number of examples first: weighed(value, examples)"
            )
        pairs = ((self.total, other.total), (self.weight, other.weight))
        return WeightedMean(*(jnp.concatenate([jnp.atleast_1d(a), jnp.atleast_1d(b)]) for a, b in pairs))

    __radd__ = __add__  # only ever reached by what is no WeightedMean

    def __mul__(self, factor: Any) -> WeightedMean:
        if isinstance(factor, WeightedMean):
            raise InvalidTypeError("the product of two WeightedMeans is none; multiply by a number, or by the value of one")
        return WeightedMean(self.total * factor, self.weight)

    __rmul__ = __mul__

    def __neg__(self) -> WeightedMean:
        return -1 * self

    def __sub__(self, other: Any) -> WeightedMean:
        return self + -1 * other


Losses: TypeAlias = dict[str, jax.Array | WeightedMean]
"""Scalars by name, ``"loss"`` among them. A plain one is a mean over the batch's examples."""


def weighted_mean(values: jax.Array, mask: jax.Array) -> WeightedMean:
    """The mean of ``values`` where ``mask`` is set.

    What stands in masked places, NaN included, changes neither the mean nor its gradient with respect to ``values``. Where
    ``values`` were computed from such a NaN, the chain rule would still multiply it by that gradient of zero: put a number in
    its place before anything is computed from it, ``jnp.where(mask, x, 0)``.

    Args:
        values: ``(B, ...)``.
        mask: booleans, or weights of zero or more; its shape is that of the first axes of ``values``, or has ones in it.

    Raises:
        InvalidInputError: the shapes do not go together.

    Example:
        >>> mean = weighted_mean(jnp.array([[1.0, 3.0], [5.0, jnp.nan]]), jnp.array([[True, True], [True, False]]))
        >>> float(mean.value), float(mean.weight)
        (3.0, 3.0)
    """
    values, mask = jnp.asarray(values), jnp.asarray(mask)
    leading = values.shape[: mask.ndim]
    if mask.ndim > values.ndim or any(m not in (1, n) for m, n in zip(mask.shape, leading, strict=True)):
        raise InvalidInputError(
            f"values have shape {values.shape} and the mask {mask.shape}; "
            "a mask has the values' first axes, or ones in their place"
        )
    weights = jnp.broadcast_to(mask.reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim)), values.shape)
    weights = weights.astype(jnp.float32)
    return WeightedMean(jnp.sum(jnp.where(weights == 0, 0.0, values.astype(jnp.float32)) * weights), jnp.sum(weights))


def weighed(value: jax.Array | WeightedMean, examples: int) -> WeightedMean:
    """``value`` with its weight, in float32: a plain scalar is a mean over so many ``examples``."""
    if isinstance(value, WeightedMean):
        return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), value)
    return WeightedMean(jnp.asarray(value, jnp.float32) * examples, jnp.full((), examples, jnp.float32))


def value_of(scalar: jax.Array | WeightedMean) -> jax.Array:
    """The number itself, ``()``."""
    return scalar.value if isinstance(scalar, WeightedMean) else scalar


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss and the parameters that descend it.

    A training step goes through a model's objectives in order; later ones see the parameters that earlier ones have just moved.
    """

    loss: Callable[[Any, Batch, nnx.Rngs, jax.Array], Losses]
    """``loss(model, batch, rngs, step)``: pure, inside the compiled step; ``model`` is the one to use, whoever declares the
    objective. With a trainer's ``precision`` the model's parameters come cast, the batch as it is."""
    name: str = ""
    """Prefix of its figures in logs; empty for a model's only objective."""
    parameters: str | tuple[str, ...] = ""
    """Dotted name of the part of the model below which its parameters lie (``generator``, ``critic.head``), or several; empty
    for all of them."""
    every: int = 1
    """It descends at each ``every``-th step, the first among them."""
    optimizer: str = ""
    """Name of the optimiser that it descends with; by default an optimiser of its own, by its own name. Objectives that share
    one (a penalty that comes in at every 16th step only, say) have the same parameters and move them by the same moments."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InvalidInputError(
                f"objective {self.name!r} has every={self.every}; it descends at each n-th step, n 1 or more"
            )

    @property
    def optimizer_name(self) -> str:
        """Name of its optimiser."""
        return self.optimizer or self.name

    def owns(self, key: str) -> bool:
        """Whether the parameter with the dotted ``key`` is among this objective's."""
        return not self.parameters or is_below(key, self.parameters)


def is_below(key: str, parts: str | tuple[str, ...]) -> bool:
    """Whether a variable's dotted ``key`` is one of ``parts`` or lies below it.

    >>> is_below("critic.head.kernel", "critic"), is_below("critics.kernel", ("critic", "encoder"))
    (True, False)
    """
    names = (parts,) if isinstance(parts, str) else parts
    return any(key == name or key.startswith(f"{name}.") for name in names)


def optimizer_names(objectives: Iterable[Objective]) -> tuple[str, ...]:
    """Names of the objectives' optimisers, each once, in order."""
    return tuple(dict.fromkeys(objective.optimizer_name for objective in objectives))
