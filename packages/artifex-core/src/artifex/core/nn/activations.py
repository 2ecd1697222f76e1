"""Activation functions by name, so that a config can hold one. Importing this module imports no jax."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

from artifex.core.errors import InvalidInputError

if TYPE_CHECKING:
    import jax

__all__ = ["ACTIVATIONS", "activation"]

_IN_JAX_NN = {
    "celu": "celu",
    "elu": "elu",
    "gelu": "gelu",
    "hard_sigmoid": "hard_sigmoid",
    "hard_tanh": "hard_tanh",
    "identity": "identity",
    "leaky_relu": "leaky_relu",
    "log_sigmoid": "log_sigmoid",
    "mish": "mish",
    "relu": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "softplus": "softplus",
    "softsign": "soft_sign",
    "swish": "silu",
    "tanh": "tanh",
}

ACTIVATIONS: tuple[str, ...] = tuple(_IN_JAX_NN)
"""The names that :func:`activation` knows. A config checks its ``activation`` field against them."""


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """The elementwise function called ``name``: ``relu``, ``gelu`` (tanh form), ``silu``, ``tanh``, ``elu``, ...

    Args:
        name: one of :data:`ACTIVATIONS`.

    Raises:
        InvalidInputError: no activation has that name; the message gives the close ones.

    >>> float(activation("relu")(-3.0))
    0.0
    """
    if name not in _IN_JAX_NN:
        close = difflib.get_close_matches(str(name), ACTIVATIONS)
        hint = f"Did you mean {' or '.join(repr(match) for match in close)}?" if close else f"Known: {', '.join(ACTIVATIONS)}."
        raise InvalidInputError(f"No activation is called {name!r}. {hint}")
    import jax

    return getattr(jax.nn, _IN_JAX_NN[name])
