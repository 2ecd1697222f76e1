"""Gaps, differences and scales of series, inside the compiled step; pure functions.

Shapes: ``B`` series, ``L`` steps, ``C`` channels. A gap is NaN.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["difference", "fill_forward", "fill_linear", "undo_difference"]


def _last_known(x: Float[Array, "B L C"], steps: Array, *, reverse: bool = False) -> tuple[Array, Array]:
    """At each step, the last value that is known up to it and its step; NaN and -1 where there is none yet."""
    known = ~jnp.isnan(x)
    when = jnp.where(known, steps[None, :, None], -1)

    def later(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
        return jnp.where(other[1] >= 0, other[0], one[0]), jnp.where(other[1] >= 0, other[1], one[1])

    return jax.lax.associative_scan(later, (x, when), axis=1, reverse=reverse)


def fill_forward(x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
    """The last value before each gap; before the first value, that one. A channel without any value is 0.

    >>> fill_forward(jnp.array([[[jnp.nan], [2.0], [jnp.nan]]]))[0, :, 0].tolist()
    [2.0, 2.0, 2.0]
    """
    steps = jnp.arange(x.shape[1])
    before, _ = _last_known(x, steps)
    after, _ = _last_known(x, steps, reverse=True)
    return jnp.nan_to_num(jnp.where(jnp.isnan(before), after, before))


def fill_linear(x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
    """The line between the two ends of each gap; at either end of a series the nearest value. Without any value it is 0.

    >>> fill_linear(jnp.array([[[1.0], [jnp.nan], [3.0], [jnp.nan]]]))[0, :, 0].tolist()
    [1.0, 2.0, 3.0, 3.0]
    """
    steps = jnp.arange(x.shape[1])
    before, start = _last_known(x, steps)
    after, end = _last_known(x, steps, reverse=True)
    share = (steps[None, :, None] - start) / jnp.maximum(end - start, 1)
    between = before + share * (after - before)
    edge = jnp.where(jnp.isnan(before), after, before)
    return jnp.nan_to_num(jnp.where((start < 0) | (end < 0), edge, between))


def difference(x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
    """``x_0``, then ``x_t - x_{t-1}``.

    >>> difference(jnp.array([[[1.0], [3.0], [2.0]]]))[0, :, 0].tolist()
    [1.0, 2.0, -1.0]
    """
    return jnp.concatenate([x[:, :1], x[:, 1:] - x[:, :-1]], axis=1)


def undo_difference(changes: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
    """The running sum: undoes :func:`difference`."""
    return jnp.cumsum(changes, axis=1)


def within(mask: Bool[Array, "B L"] | None, x: Float[Array, "B L C"], otherwise: float) -> Float[Array, "B L C"]:
    """``x`` within each series, and ``otherwise`` after its end."""
    return x if mask is None else jnp.where(mask[:, :, None], x, otherwise)
