r"""Curves in the plane, blurred by Gaussian noise.

    p(x) = 1/A sum_a int_0^1 N(x; c_a(s), noise^2 I) w(s) ds,      w(s) = k s^(k - 1)

for curves ``c_1 ... c_A``. The integral is a Gauss-Legendre sum, whose error is below float32's rounding once its points lie
closer than the noise is wide. The curves, all but for how the noise is put, are those of scikit-learn and of FFJORD's toy data
(Grathwohl et al. 2018, arXiv:1810.01367).

Shapes: ``B = batch, N = draws, A = curves, Q = points on each, ... = any``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from artifex.core.densities.density import entropy_on_grid, log_normal

__all__ = ["SwissRoll", "TwoMoons", "TwoSpirals"]


@dataclass(frozen=True)
class _Curves:
    """Blurred curves; subclasses say which."""

    noise: float
    """Standard deviation of the noise."""

    exponent: ClassVar[int] = 1
    """``k``: with 1 a point's ``s`` is uniform, with 2 points get denser towards the end."""
    length: ClassVar[float]
    """An upper bound of ``max |dc/ds|``."""
    extent: ClassVar[float]
    """Curves stay within ``[-extent, extent]^2``."""

    def curves(self, s: Float[Array, "..."]) -> Float[Array, "... A 2"]:
        """``c_1(s) ... c_A(s)``."""
        raise NotImplementedError

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N 2"]:
        place_key, which_key, noise_key = jax.random.split(key, 3)
        curves = self.curves(jax.random.uniform(place_key, (n_samples,)) ** (1 / self.exponent))
        which = jax.random.randint(which_key, (n_samples,), 0, curves.shape[1])
        points = jnp.take_along_axis(curves, which[:, None, None], axis=1)[:, 0]
        return points + self.noise * jax.random.normal(noise_key, (n_samples, 2))

    def log_prob(self, x: Float[Array, "B 2"]) -> Float[Array, "B"]:
        nodes, weights = np.polynomial.legendre.leggauss(32 + math.ceil(1.6 * self.length / self.noise))
        s = (1 + nodes) / 2
        log_weights = np.log(weights / 2 * self.exponent * s ** (self.exponent - 1))
        points = self.curves(jnp.asarray(s, x.dtype))  # (Q, A, 2)
        squared = jnp.sum(jnp.square(x[:, None, None] - points[None]), axis=-1)  # (B, Q, A)
        terms = log_normal(squared, self.noise) + jnp.asarray(log_weights, x.dtype)[None, :, None]
        return jax.nn.logsumexp(terms, axis=(1, 2)) - math.log(points.shape[1])

    def entropy(self) -> float:
        return entropy_on_grid(self, extent=self.extent + 8 * self.noise, spacing=self.noise / 2)


@dataclass(frozen=True)
class TwoMoons(_Curves):
    """Two interleaving half circles of radius 2: scikit-learn's ``make_moons``, doubled and centred, and its noise with it.

    Example:
        >>> TwoMoons().log_prob(jnp.array([[0.0, -9.0]]))[0] < TwoMoons().log_prob(jnp.array([[-1.0, 1.8]]))[0]
        Array(True, dtype=bool)
    """

    noise: float = 0.2

    length: ClassVar[float] = 2 * math.pi
    extent: ClassVar[float] = 3.0

    def curves(self, s: Float[Array, "..."]) -> Float[Array, "... A 2"]:
        cos, sin = jnp.cos(math.pi * s), jnp.sin(math.pi * s)
        upper = jnp.stack([2 * cos - 1, 2 * sin - 0.5], axis=-1)
        return jnp.stack([upper, -upper], axis=-2)


@dataclass(frozen=True)
class TwoSpirals(_Curves):
    """Two spirals ``+-(-t cos t, t sin t) / 3`` of one and a half turns.

    Example:
        >>> TwoSpirals().sample(jax.random.key(0), 3).shape
        (3, 2)
    """

    noise: float = 0.12

    exponent: ClassVar[int] = 2
    length: ClassVar[float] = math.pi * math.hypot(1, 3 * math.pi)
    extent: ClassVar[float] = math.pi

    def curves(self, s: Float[Array, "..."]) -> Float[Array, "... A 2"]:
        t = 3 * math.pi * s
        arm = t[..., None] / 3 * jnp.stack([-jnp.cos(t), jnp.sin(t)], axis=-1)
        return jnp.stack([arm, -arm], axis=-2)


@dataclass(frozen=True)
class SwissRoll(_Curves):
    """A spiral ``t (cos t, sin t) / 5`` of one and a half turns, ``t`` uniform: scikit-learn's roll, seen from its end.

    Example:
        >>> SwissRoll().sample(jax.random.key(0), 3).shape
        (3, 2)
    """

    noise: float = 0.2

    length: ClassVar[float] = 3 * math.pi / 5 * math.hypot(1, 4.5 * math.pi)
    extent: ClassVar[float] = 0.9 * math.pi

    def curves(self, s: Float[Array, "..."]) -> Float[Array, "... A 2"]:
        t = 1.5 * math.pi * (1 + 2 * s)
        return (t[..., None] / 5 * jnp.stack([jnp.cos(t), jnp.sin(t)], axis=-1))[..., None, :]
