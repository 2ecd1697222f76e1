"""The diagonal normal posterior that the family's autoencoders share."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.geometric.sets import as_numbers

__all__ = ["DiagonalNormal", "checked_latents", "posterior_of"]


class DiagonalNormal(NamedTuple):
    """``N(mean, diag exp(log_variance))``, ``(B, L)`` each."""

    mean: Float[Array, "B L"]
    log_variance: Float[Array, "B L"]

    def sample(self, key: Array) -> Float[Array, "B L"]:
        """``z = m + sqrt(v) e``."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * jax.random.normal(key, self.mean.shape, self.mean.dtype)


def posterior_of(parameters: Float[Array, "B 2L"]) -> DiagonalNormal:
    """From what an encoder gives: means, then log variances, kept between -20 and 20."""
    mean, log_variance = jnp.split(parameters, 2, axis=-1)
    return DiagonalNormal(mean, jnp.clip(log_variance, -20, 20))


def checked_latents(z: Float[Array, "B L"], latent_dim: int) -> Float[Array, "B L"]:
    """``z`` as an array.

    Raises:
        InvalidInputError: it is not ``(B, L)``.
    """
    z = as_numbers(z, "z")
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise InvalidInputError(f"z has shape {z.shape}; latents are (B, {latent_dim})")
    return z
