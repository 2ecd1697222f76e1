"""Checks of what methods of models and modalities are given: how many samples, which temperature, any samples at all."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer

from artifex.core.errors import InvalidInputError

__all__ = ["check_any_samples", "check_at_least", "check_number"]


def check_any_samples(samples: Any, stem: Any) -> None:
    """Raise where there is no sample to write.

    Raises:
        InvalidInputError: the first axis is empty; the message names the file, ``stem``.

    >>> check_any_samples(jnp.zeros((0, 8)), "samples/step-10")
    Traceback (most recent call last):
    artifex.core.errors.InvalidInputError: there are no samples to write to samples/step-10: got shape (0, 8), expected at least
    one; generate some, with n_samples of 1 or more
    """
    if (shape := jnp.shape(samples))[:1] == (0,):
        raise InvalidInputError(
            f"there are no samples to write to {stem}: got shape {shape}, expected at least one; generate some, with n_samples "
            "of 1 or more"
        )


def check_at_least(least: int, **given: Any) -> None:
    """Raise unless each of ``given`` is a whole number of at least ``least``.

    Raises:
        InvalidInputError: it is none.

    >>> check_at_least(1, n_samples=2.5)
    Traceback (most recent call last):
    artifex.core.errors.InvalidInputError: n_samples is 2.5; it has to be an integer of at least 1
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise InvalidInputError(f"{name} is {value!r}; it has to be an integer of at least {least}")


def check_number(name: str, value: Any, said: str, *, above: float = 0.0, most: float = float("inf")) -> None:
    """Raise unless a number lies above ``above`` and is at most ``most``; one that is traced is not known.

    Raises:
        InvalidInputError: it does not, or is no number; the message says ``said`` of what it has to be.

    >>> check_number("temperature", -1, "above 0")
    Traceback (most recent call last):
    artifex.core.errors.InvalidInputError: temperature is -1; it has to be above 0
    """
    if isinstance(value, Tracer):
        return
    number: Any = not isinstance(value, bool) and (
        isinstance(value, Real) or (hasattr(value, "dtype") and jnp.shape(value) == ())
    )
    if not number or not above < float(value) <= most:
        raise InvalidInputError(f"{name} is {value!r}; it has to be {said}")
