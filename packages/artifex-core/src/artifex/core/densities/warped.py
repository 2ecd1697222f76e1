r"""Gaussians bent by maps that keep areas, or stretch by a known factor, and squares: entropies in closed form.

    funnel         N(x_1; 0, s^2) N(x_2; 0, exp(x_1))                   H = log(2 pi e s)
    banana         N(x_1; 0, s^2) N(x_2; b (x_1^2 - s^2), 1)            H = log(2 pi e s)
    checkerboard   1 / 32 on every other of sixteen 2 x 2 squares       H = log 32

Shapes: ``B = batch, N = draws``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Banana", "Checkerboard", "Funnel"]


@dataclass(frozen=True)
class Funnel:
    """Neal's funnel (Neal 2003, "Slice sampling", Annals of Statistics 31, section 8), in two dimensions.

    Example:
        >>> round(float(Funnel().log_prob(jnp.zeros((1, 2)))[0]), 4)  # -log(2 pi 3)
        -2.9365
    """

    scale: float = 3.0
    """``s``."""

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        u = jax.random.normal(key, (n_samples, 2))
        return jnp.stack([self.scale * u[:, 0], jnp.exp(0.5 * self.scale * u[:, 0]) * u[:, 1]], axis=-1)

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        u = jnp.stack([x[:, 0] / self.scale, x[:, 1] * jnp.exp(jnp.minimum(-0.5 * x[:, 0], 80.0))], axis=-1)
        return -0.5 * jnp.sum(jnp.square(u), axis=-1) - math.log(2 * math.pi * self.scale) - 0.5 * x[:, 0]

    def entropy(self) -> float:
        return math.log(2 * math.pi * math.e * self.scale)


@dataclass(frozen=True)
class Banana:
    """A Gaussian bent along a parabola (Haario et al. 1999, Computational Statistics 14).

    Example:
        >>> Banana().sample(jax.random.key(0), 3).shape
        (3, 2)
    """

    scale: float = 2.0
    """``s``."""
    curvature: float = 0.25
    """``b``."""

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        u = jax.random.normal(key, (n_samples, 2)) * jnp.array([[self.scale, 1.0]])
        return jnp.stack([u[:, 0], u[:, 1] + self._bend(u[:, 0])], axis=-1)

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        u = jnp.stack([x[:, 0] / self.scale, x[:, 1] - self._bend(x[:, 0])], axis=-1)
        return -0.5 * jnp.sum(jnp.square(u), axis=-1) - math.log(2 * math.pi * self.scale)

    def entropy(self) -> float:
        return math.log(2 * math.pi * math.e * self.scale)

    def _bend(self, first: Array) -> Array:
        return self.curvature * (jnp.square(first) - self.scale**2)


@dataclass(frozen=True)
class Checkerboard:
    """Eight squares of a board that reaches from -4 to 4.

    Example:
        >>> Checkerboard().log_prob(jnp.array([[0.5, 0.5], [2.5, 0.5]])).tolist()  # -log 32; outside
        [-3.465735912322998, -inf]
    """

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        square_key, place_key = jax.random.split(key)
        square = jax.random.randint(square_key, (n_samples,), 0, 8)
        column = square // 2
        row = 2 * (square % 2) + column % 2
        place = jax.random.uniform(place_key, (n_samples, 2))
        return 2 * (jnp.stack([column, row], axis=-1) + place) - 4

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        inside = jnp.all(jnp.abs(x) < 4, axis=-1)
        squares = jnp.floor(jnp.where(inside[:, None], x, 0) / 2).astype(jnp.int32)
        return jnp.where(inside & (jnp.sum(squares, axis=-1) % 2 == 0), -math.log(32), -jnp.inf).astype(x.dtype)

    def entropy(self) -> float:
        return math.log(32)
