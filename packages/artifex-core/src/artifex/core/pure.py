"""A module as a pure function, for gradients with respect to its inputs inside a loss.

``jax.grad`` traces its function at a level of its own, from which variables that live outside cannot be changed: a layer that
draws noise counts its draws, and batch norm moves its averages, so that ``jax.grad(lambda x: critic(x).sum())(x)`` raises
Flax's ``TraceContextError``. A function that makes the module anew at each call changes nothing outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.errors import InvalidTypeError

__all__ = ["functional"]


def functional(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a module, or a method of one, computes with its variables as they are now.

    It is pure: what a call would change of the module (running averages) is dropped, and every call draws the same noise, so
    that it may be differentiated, mapped and called again. Gradients reach the module's parameters through it. Each
    ``functional(...)`` moves the module's own streams on by one draw, from which it takes its noise.

    Args:
        function: a module, or a bound method of one.

    Raises:
        InvalidTypeError: it is neither.

    Example:
        >>> critic = nnx.Sequential(nnx.Linear(3, 8, rngs=nnx.Rngs(0)), jnp.tanh, nnx.Dropout(0.1, rngs=nnx.Rngs(1)))
        >>> score = functional(critic)
        >>> jax.grad(lambda x: score(x).sum())(jnp.ones((2, 3))).shape
        (2, 3)
    """
    owner = getattr(function, "__self__", function)
    if not isinstance(owner, nnx.Module):
        raise InvalidTypeError(f"functional takes a module or a bound method of one, got {type(function).__name__}")
    method = getattr(function, "__func__", type(owner).__call__)
    streams = _drawn(owner)
    graph, _, others = nnx.split(owner, nnx.RngState, ...)

    def pure(*args: Any, **kwargs: Any) -> Any:
        return method(nnx.merge(graph, nnx.from_flat_state(streams), nnx.as_pure(others)), *args, **kwargs)

    return pure


def _drawn(module: nnx.Module) -> dict[tuple[Any, ...], Any]:
    """The states of fresh streams, a draw from each of the module's own, which are moved on."""
    state = dict(nnx.to_flat_state(nnx.as_pure(nnx.state(module, nnx.RngState))))
    counts = {path: leaf for path, leaf in state.items() if not _is_key(leaf)}
    keys = {path: leaf for path, leaf in state.items() if _is_key(leaf)}
    if counts:
        nnx.update(module, nnx.from_flat_state({path: count + 1 for path, count in counts.items()}))
    fold_in = jnp.vectorize(jax.random.fold_in)
    drawn = {path: fold_in(key, counts[(*path[:-1], "count")]) for path, key in keys.items()}
    return {**{path: jnp.zeros_like(count) for path, count in counts.items()}, **drawn}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
