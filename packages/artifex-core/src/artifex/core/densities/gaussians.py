r"""Mixtures of equal round Gaussians.

    p(x) = 1/K sum_k N(x; m_k, s^2 I)

Shapes: ``B = batch, N = draws, K = components``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from artifex.core.densities.density import entropy_on_grid, log_normal

__all__ = ["EightGaussians", "GridOfGaussians"]


@dataclass(frozen=True)
class _Gaussians:
    """A mixture; subclasses say where the means are."""

    noise: float
    """Standard deviation ``s`` of each."""

    def means(self) -> np.ndarray:
        """``(K, 2)``."""
        raise NotImplementedError

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        which_key, noise_key = jax.random.split(key)
        means = jnp.asarray(self.means(), jnp.float32)
        which = jax.random.randint(which_key, (n_samples,), 0, len(means))
        return means[which] + self.noise * jax.random.normal(noise_key, (n_samples, 2))

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        means = jnp.asarray(self.means(), x.dtype)
        squared = jnp.sum(jnp.square(x[:, None] - means[None]), axis=-1)
        return jax.nn.logsumexp(log_normal(squared, self.noise), axis=1) - math.log(len(means))


@dataclass(frozen=True)
class EightGaussians(_Gaussians):
    """Eight Gaussians on a circle of radius ``2 sqrt 2``, as FFJORD has them (Grathwohl et al. 2018, arXiv:1810.01367).

    Example:
        >>> EightGaussians().sample(jax.random.key(0), 3).shape
        (3, 2)
    """

    noise: float = 0.5 / math.sqrt(2)

    def means(self) -> np.ndarray:
        angles = np.arange(8) * np.pi / 4
        return 2 * math.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=-1)

    def entropy(self) -> float:
        return entropy_on_grid(self, extent=2 * math.sqrt(2) + 8 * self.noise, spacing=self.noise / 4)


@dataclass(frozen=True)
class GridOfGaussians(_Gaussians):
    """Twenty-five narrow Gaussians on a grid from -4 to 4 (Dumoulin et al. 2016, arXiv:1606.00704).

    Example:
        >>> round(GridOfGaussians().entropy(), 4)
        0.0653
    """

    noise: float = 0.05

    def means(self) -> np.ndarray:
        axis = np.arange(-4.0, 5.0, 2.0)
        return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    def entropy(self) -> float:
        if self.noise <= 0.15:  # they do not touch: log K and the entropy of one
            return math.log(25) + math.log(2 * math.pi * math.e * self.noise**2)
        return entropy_on_grid(self, extent=4 + 8 * self.noise, spacing=self.noise / 4)
