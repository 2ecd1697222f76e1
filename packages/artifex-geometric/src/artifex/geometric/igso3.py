r"""The isotropic normal distribution on rotations: where a Brownian motion on SO(3) is after a while.

Nikolayev & Savyolov 1997, "Normal distribution on the rotation group SO(3)"; Leach et al. 2022, "Denoising diffusion
probabilistic models on SO(3)". Of the angle ``w`` of a rotation, against the uniform distribution on rotations,

    f(w) = sum_l (2 l + 1) exp(-l (l + 1) s^2 / 2) sin((l + 1/2) w) / sin(w / 2)                       quick for large s
         = exp(s^2 / 8) sqrt(2 pi) / s^3 sum_k (-1)^k (w - 2 pi k) exp(-(w - 2 pi k)^2 / 2 s^2) / sin(w / 2)

the second by Poisson's summation: its terms all but have one sign, so that float32 keeps its digits also where ``f`` is tiny.
The angle itself has the density ``f(w) (1 - cos w) / pi``.
"""

from __future__ import annotations

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from artifex.core.geometry import so3_exp
from artifex.core.geometry.vectors import length

__all__ = ["igso3_log_density", "igso3_score", "sample_igso3"]

WIDE = 1.4
"""Standard deviation from which on the series over ``l`` serves."""
TERMS = 8
IMAGES = 2
LEAST_ANGLE = 1e-2
"""Below it ``f`` is a parabola to float32's digits."""


def igso3_log_density(w: Float[Array, "..."], sigma: Float[Array, "..."] | float) -> Float[Array, "..."]:
    """``log f(w)``, nats, against the uniform distribution on rotations, whose own is 0.

    Args:
        w: angles, 0 to pi.
        sigma: standard deviations, ``s``.

    Example:
        >>> abs(float(igso3_log_density(jnp.array(1.0), 5.0))) < 1e-4
        True
    """
    w, sigma = jnp.asarray(w), jnp.asarray(sigma, jnp.result_type(w))
    least = jnp.maximum(w, 1e-4)
    narrow = jnp.minimum(sigma, WIDE)
    near = (
        narrow**2 / 8
        + 0.5 * math.log(2 * math.pi)
        - 3 * jnp.log(narrow)
        - jnp.square(w) / (2 * narrow**2)
        + jnp.log(least / jnp.sin(least / 2))
        + jnp.log1p(_images(least, narrow))
    )
    return jnp.where(sigma < WIDE, near, jnp.log(_characters(w, jnp.maximum(sigma, WIDE))))


def igso3_score(rotation_vector: Float[Array, "... 3"], sigma: Float[Array, "..."] | float) -> Float[Array, "... 3"]:
    """The gradient of ``log f`` at the rotation of an axis-angle vector, in that rotation's tangent space: along the axis.

    Args:
        rotation_vector: of a length up to pi.
        sigma: standard deviations, ``s``, one a vector or one for all.
    """
    w = length(rotation_vector)
    sigma = jnp.broadcast_to(jnp.asarray(sigma, w.dtype), w.shape)
    at = jnp.maximum(w, LEAST_ANGLE)
    return (_slope(at, sigma) / at)[..., None] * rotation_vector


def sample_igso3(key: Array, sigma: float, shape: tuple[int, ...] = ()) -> Float[Array, "... 3 3"]:
    """Rotations from the distribution about the identity.

    Args:
        key: of the draws.
        sigma: standard deviation.
        shape: how many.

    Example:
        >>> sample_igso3(jax.random.key(0), 0.5, (4,)).shape
        (4, 3, 3)
    """
    angles, cumulative = _angle_table(float(sigma))
    uniform, axis = jax.random.split(key)
    drawn = jnp.interp(
        jax.random.uniform(uniform, shape), jnp.asarray(cumulative, jnp.float32), jnp.asarray(angles, jnp.float32)
    )
    direction = jax.random.normal(axis, (*shape, 3))
    return so3_exp(drawn[..., None] * direction / length(direction, keepdims=True))


def _slope(w: Array, sigma: Array) -> Array:
    """``d log f / dw``."""
    narrow, wide = jnp.minimum(sigma, WIDE), jnp.maximum(sigma, WIDE)

    def total(function: object) -> Array:
        return jax.grad(lambda w: jnp.sum(function(w)))(w)  # type: ignore[operator]

    near = -w / jnp.square(narrow) + _half_cotangent(w) + total(lambda w: jnp.log1p(_images(w, narrow)))
    return jnp.where(sigma < WIDE, near, total(lambda w: jnp.log(_characters(w, wide))))


def _half_cotangent(w: Array) -> Array:
    """``1/w - cot(w/2) / 2``."""
    small = w < 1
    safe = jnp.where(small, 1, w)
    series = w / 12 + w**3 / 720 + w**5 / 30240 + w**7 / 1209600
    return jnp.where(small, series, 1 / safe - 0.5 / jnp.tan(safe / 2))


def _images(w: Array, sigma: Array) -> Array:
    """The terms of ``k`` other than 0 of the second series, over that of 0.

    Those of ``k`` and ``-k`` are ``2 (cosh a - t sinh(a) / w) exp(-t^2 / 2 s^2)``, ``t = 2 pi k`` and ``a = t w / s^2``, which
    for a small angle are large numbers that all but cancel: there from the series of ``sinh(a) / a``.
    """
    total = jnp.zeros_like(w)
    for k in range(1, IMAGES + 1):
        turn = 2 * math.pi * k
        a, faded = turn * w / jnp.square(sigma), -(turn**2) / (2 * jnp.square(sigma))
        small = jnp.minimum(a, 1)
        ratio = 1 + small**2 / 6 + small**4 / 120 + small**6 / 5040 + small**8 / 362880
        near = 2 * (jnp.cosh(small) - jnp.square(turn / sigma) * ratio) * jnp.exp(faded)
        far = (1 - turn / w) * jnp.exp(faded + a) + (1 + turn / w) * jnp.exp(faded - a)
        total += (-1) ** k * jnp.where(a < 1, near, far)
    return total


def _characters(w: Array, sigma: Array) -> Array:
    """The first series, ``sin((l + 1/2) w) / sin(w / 2) = 1 + 2 sum_m cos(m w)``."""
    total, character = jnp.ones_like(w), jnp.ones_like(w)
    for l in range(1, TERMS):
        character = character + 2 * jnp.cos(l * w)
        total = total + (2 * l + 1) * jnp.exp(-l * (l + 1) * jnp.square(sigma) / 2) * character
    return total


@cache
def _angle_table(sigma: float, points: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Angles, and the probability of a smaller one, float64."""
    angles = np.linspace(0, min(np.pi, 12 * sigma), points)  # beyond, there is nothing in float64
    density = _density_in_float64(angles, sigma) * (1 - np.cos(angles)) / np.pi
    steps = np.diff(angles) * (density[1:] + density[:-1]) / 2
    cumulative = np.concatenate([[0], np.cumsum(steps)])
    return angles, cumulative / cumulative[-1]


def _density_in_float64(w: np.ndarray, sigma: float) -> np.ndarray:
    """``f`` by the second series for a narrow distribution, by the first for a wide one."""
    w = np.maximum(w, 1e-6)
    if sigma < WIDE:
        turns = 2 * np.pi * np.arange(-IMAGES, IMAGES + 1)[:, None]
        signs = np.where(np.arange(-IMAGES, IMAGES + 1) % 2, -1, 1)[:, None]
        terms = signs * (w - turns) * np.exp(-((w - turns) ** 2) / (2 * sigma**2))
        return np.exp(sigma**2 / 8) * np.sqrt(2 * np.pi) / sigma**3 * terms.sum(axis=0) / np.sin(w / 2)
    l = np.arange(40)[:, None]
    return np.sum((2 * l + 1) * np.exp(-l * (l + 1) * sigma**2 / 2) * np.sin((l + 0.5) * w) / np.sin(w / 2), axis=0)
