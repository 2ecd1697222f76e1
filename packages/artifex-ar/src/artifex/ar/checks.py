"""Checks of the numbers that samples are asked for with."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer

from artifex.core.errors import InvalidInputError

__all__ = ["check_at_least", "check_number"]


def check_at_least(least: int, **given: Any) -> None:
    """Raise unless each of ``given`` is a whole number of at least ``least``.

    Raises:
        InvalidInputError: it is none.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise InvalidInputError(f"{name} is {value!r}; it has to be an integer of at least {least}")


def check_number(name: str, value: Any, said: str, *, above: float = 0.0, most: float = float("inf")) -> None:
    """Raise unless a number lies above ``above`` and is at most ``most``; one that is traced is not known.

    Raises:
        InvalidInputError: it does not, or is no number; the message says ``said`` of what it has to be.
    """
    if isinstance(value, Tracer):
        return
    number = not isinstance(value, bool) and (isinstance(value, Real) or (hasattr(value, "dtype") and jnp.shape(value) == ()))
    if not number or not above < value <= most:
        raise InvalidInputError(f"{name} is {value!r}; it has to be {said}")
