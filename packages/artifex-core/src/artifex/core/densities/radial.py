r"""Densities with a centre: rings around it, arms that turn about it.

    rings      1/K sum_k  exp(-(r - R_k)^2 / 2 s^2) I0e(r R_k / s^2) / 2 pi s^2,   r = |x|,  I0e(u) = exp(-u) I0(u)
    pinwheel   1/K sum_k  N(T_k^-1(x / 2); (1, 0), diag(0.3^2, 0.1^2)) / 4,        T_k turns u by 2 pi k / K + rate exp(|u|)

A ring is a circle blurred by noise, which gives the Bessel function. A turn that depends on the radius alone keeps areas, so
the density of the pinwheel is that of its straight arms.

Shapes: ``B = batch, N = draws, K = rings or arms``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.densities.density import entropy_on_grid, log_normal

__all__ = ["Pinwheel", "Rings"]


@dataclass(frozen=True)
class Rings:
    """Concentric rings, as likely each (FFJORD's toy data, Grathwohl et al. 2018, arXiv:1810.01367).

    Example:
        >>> Rings().sample(jax.random.key(0), 3).shape
        (3, 2)
    """

    radii: tuple[float, ...] = (0.75, 1.5, 2.25, 3.0)
    """``R_k``."""
    noise: float = 0.24
    """``s``."""

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        which_key, angle_key, noise_key = jax.random.split(key, 3)
        radius = jnp.asarray(self.radii)[jax.random.randint(which_key, (n_samples,), 0, len(self.radii))]
        angle = jax.random.uniform(angle_key, (n_samples,), maxval=2 * math.pi)
        points = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
        return points + self.noise * jax.random.normal(noise_key, (n_samples, 2))

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        r = jnp.hypot(x[:, 0], x[:, 1])[:, None]
        radii = jnp.asarray(self.radii, x.dtype)[None]
        bessel = jnp.log(jax.scipy.special.i0e(r * radii / self.noise**2))
        return jax.nn.logsumexp(log_normal(jnp.square(r - radii), self.noise) + bessel, axis=1) - math.log(len(self.radii))

    def entropy(self) -> float:
        return entropy_on_grid(self, extent=max(self.radii) + 8 * self.noise, spacing=self.noise / 4)


@dataclass(frozen=True)
class Pinwheel:
    """Arms of a pinwheel (Johnson et al. 2016, arXiv:1603.06277), turned by the radius.

    Example:
        >>> Pinwheel().sample(jax.random.key(0), 3).shape
        (3, 2)
    """

    arms: int = 5
    """``K``."""
    rate: float = 0.25
    """How much arms turn."""

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        which_key, noise_key = jax.random.split(key)
        arm = jax.random.randint(which_key, (n_samples,), 0, self.arms)
        u = jnp.array([[0.3, 0.1]]) * jax.random.normal(noise_key, (n_samples, 2)) + jnp.array([[1.0, 0.0]])
        return 2 * _turned(u, self._angle(arm, jnp.hypot(u[:, 0], u[:, 1])))

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        half = x[:, None] / 2  # (B, 1, 2)
        angle = self._angle(jnp.arange(self.arms)[None], jnp.hypot(half[..., 0], half[..., 1]))
        u = _turned(half, -angle)
        squared = jnp.square((u[..., 0] - 1) / 0.3) + jnp.square(u[..., 1] / 0.1)
        normaliser = math.log(2 * math.pi * 0.3 * 0.1) + math.log(4) + math.log(self.arms)
        return jax.nn.logsumexp(-0.5 * squared, axis=1) - normaliser

    def entropy(self) -> float:
        return entropy_on_grid(self, extent=2 * (1 + 8 * 0.3), spacing=0.04)

    def _angle(self, arm: Array, radius: Array) -> Array:
        # far out it would overflow; there is nothing there
        return 2 * math.pi / self.arms * arm + self.rate * jnp.exp(jnp.minimum(radius, 8))


def _turned(u: Float[Array, "... 2"], angle: Float[Array, "..."]) -> Float[Array, "... 2"]:
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([cos * u[..., 0] - sin * u[..., 1], sin * u[..., 0] + cos * u[..., 1]], axis=-1)
