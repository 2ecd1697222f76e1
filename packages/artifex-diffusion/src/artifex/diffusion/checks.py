"""Checks of what the family's models are given: shapes, numbers, times, configs.

Shapes: ``B n = examples, ... = one example``.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.diffusion.sampling import SamplerConfig

__all__ = ["check_config", "checked", "checked_sampler", "checked_scale", "checked_times"]


def checked(x: Array, shape: tuple[int, ...]) -> Array:
    """A batch of examples of a ``shape``, at least in float32.

    Raises:
        InvalidInputError: it is none.
    """
    x = jnp.asarray(x)
    if x.shape[1:] != shape or x.ndim != len(shape) + 1:
        hint = "; add a batch axis: x[None]" if x.shape == shape else ""
        raise InvalidInputError(f"x has shape {x.shape}, expected (batch, {', '.join(map(str, shape))}){hint}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(f"x is {x.dtype}, expected floating point: images in [-1, 1], say")
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def check_config(model: Any, given: Any, wanted: type) -> None:
    """Refuse another model's config.

    Raises:
        InvalidTypeError: it is one.
    """
    if not isinstance(given, wanted):
        raise InvalidTypeError(f"{type(model).__name__} takes a {wanted.__name__}, got {type(given).__name__}: {given!r}")


def checked_times(t: Any, n: int) -> Float[Array, "n"]:
    """A time for each of ``n`` examples, float32.

    Raises:
        InvalidInputError: there are more or fewer.
    """
    t = jnp.asarray(t, jnp.float32)
    if t.shape not in ((), (1,), (n,)):
        raise InvalidInputError(f"t has shape {t.shape}, expected ({n},), a time for each example, or one for all")
    return jnp.broadcast_to(t, (n,))


def checked_sampler(model: Any, sampler: Any) -> SamplerConfig:
    """The sampler that is asked for, by default that of the model's config, if it goes with the model's process.

    Raises:
        InvalidTypeError: it is no sampler's config.
        InvalidInputError: the process does not have its levels.
    """
    if sampler is None:
        return model.config.sampler
    if not isinstance(sampler, SamplerConfig):
        raise InvalidTypeError(f"sampler takes a sampler's config, DDIMSamplerConfig(steps=50) say, got {sampler!r}")
    sampler.check(model.process)
    return sampler


def checked_scale(scale: Any) -> Any:
    """``g``, None where samples are not guided.

    Raises:
        InvalidInputError: it is no number, or below zero.
    """
    if scale is None or isinstance(scale, Tracer):
        return scale
    number = isinstance(scale, Real) or (hasattr(scale, "dtype") and jnp.shape(scale) == ())
    if isinstance(scale, bool) or not number or not 0 <= float(scale) < np.inf:
        raise InvalidInputError(f"guidance_scale is {scale!r}; it has to be a number of at least 0: 1 for no guidance, 2 say")
    return None if scale == 1 else scale
