r"""Mu-law: what is quiet takes up as many levels as what is loud.

van den Oord et al. 2016, "WaveNet" (arXiv:1609.03499), section 2.2, after ITU-T G.711:

    f(x) = sign(x) log(1 + mu |x|) / log(1 + mu)
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["mu_law", "mu_law_inverse"]


def mu_law(x: Float[Array, "..."], mu: float) -> Float[Array, "..."]:
    """``sign(x) log(1 + mu |x|) / log(1 + mu)``: quiet samples spread out, as ears hear them (arXiv:1609.03499, section 2.2).

    >>> mu_law(jnp.array([-1.0, 0.0, 1.0]), 255).tolist()
    [-1.0, 0.0, 1.0]
    """
    return jnp.sign(x) * jnp.log1p(mu * jnp.abs(x)) / math.log1p(mu)


def mu_law_inverse(y: Float[Array, "..."], mu: float) -> Float[Array, "..."]:
    """``sign(y) ((1 + mu)^|y| - 1) / mu``.

    Example:
        >>> [round(float(x), 4) for x in mu_law_inverse(mu_law(jnp.array([-0.3, 0.01]), 255), 255)]
        [-0.3, 0.01]
    """
    return jnp.sign(y) * jnp.expm1(jnp.abs(y) * math.log1p(mu)) / mu
