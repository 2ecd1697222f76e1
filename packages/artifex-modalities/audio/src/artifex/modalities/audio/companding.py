r"""Mu-law: the levels of samples evenly spaced in the logarithm of loudness.

.. math:: f(x) = \mathrm{sign}(x) \frac{\log(1 + \mu |x|)}{\log(1 + \mu)}, \qquad \mu = \text{levels} - 1

ITU-T Recommendation G.711 (1988), as van den Oord et al. 2016, "WaveNet" (arXiv:1609.03499), section 2.2, have it.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

__all__ = ["mu_law_decode", "mu_law_encode"]


def mu_law_encode(x: Float[Array, "..."], levels: int = 256) -> Int[Array, "..."]:
    """The level, from 0, whose companded value is nearest to that of each sample in [-1, 1]; others are clipped.

    >>> mu_law_encode(jnp.array([-1.0, 0.1, 1.0])).tolist()
    [0, 203, 255]
    """
    mu = levels - 1
    x = jnp.clip(x, -1, 1)
    companded = jnp.sign(x) * jnp.log1p(mu * jnp.abs(x)) / math.log1p(mu)
    return jnp.round((companded + 1) / 2 * mu).astype(jnp.int32)


def mu_law_decode(level: Int[Array, "..."], levels: int = 256) -> Float[Array, "..."]:
    """The sample in [-1, 1] that each level stands for."""
    mu = levels - 1
    companded = 2 * level.astype(jnp.float32) / mu - 1
    samples = jnp.sign(companded) * jnp.expm1(jnp.abs(companded) * math.log1p(mu)) / mu
    return jnp.clip(samples, -1, 1)  # the ends are rounded outwards
