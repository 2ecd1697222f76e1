r"""What a density for experiments can do.

    p(x) on the plane: draws of it, log p(x), and its entropy H = -E log p(x), which no model of its draws can beat:
    E[-log q(x)] = H + KL(p || q)

Shapes: ``B = batch, N = draws``.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Density", "entropy_on_grid", "log_normal"]


class Density(Protocol):
    """A known density on the plane."""

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        """Independent draws."""
        ...

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        """``log p(x)``, nats; ``-inf`` outside the support."""
        ...

    def entropy(self) -> float:
        """``-E log p(x)``, nats."""
        ...


def log_normal(squared_distance: Float[Array, "..."], noise: float) -> Float[Array, "..."]:
    """``log N(x; m, noise^2 I)`` on the plane, of ``|x - m|^2``."""
    return -0.5 * squared_distance / noise**2 - math.log(2 * math.pi * noise**2)


def entropy_on_grid(density: Density, *, extent: float, spacing: float) -> float:
    """``-sum p log p`` over a square grid.

    For a density smoothed by a normal distribution the error falls faster than any power of the spacing, and is below the
    rounding of float32 at half of that distribution's standard deviation.

    Args:
        density: of which there is nothing outside ``[-extent, extent]^2``.
        extent: half the side of the square.
        spacing: between points of the grid.
    """
    n = math.ceil(2 * extent / spacing)
    axis = (jnp.arange(n) + 0.5) * (2 * extent / n) - extent
    grid = jnp.stack(jnp.meshgrid(axis, axis), axis=-1)
    return float(_sum(density, grid)) * (2 * extent / n) ** 2


@partial(jax.jit, static_argnums=0)
def _sum(density: Density, grid: Float[Array, "B B 2"]) -> Float[Array, ""]:
    def row(x: Array) -> Array:
        log_prob = density.log_prob(x)
        return -jnp.sum(jnp.where(jnp.isneginf(log_prob), 0, jnp.exp(log_prob) * log_prob))

    return jnp.sum(jax.lax.map(row, grid))
