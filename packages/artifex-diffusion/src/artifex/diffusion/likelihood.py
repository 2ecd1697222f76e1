r"""Likelihood through the probability flow.

Song et al. 2020, "Score-Based Generative Modeling through Stochastic Differential Equations" (arXiv:2011.13456), section 4.3
and appendix D.2, in the coordinates ``u = x / alpha`` and ``l = log(sigma / alpha)``:

    du/dl = u - D(alpha u),   log p(u_clean) = log p(u_noisy) + int (d - alpha tr dD/dx) dl          d: number of elements

with ``p(u_noisy) = N(0, (1 + r^2) I)``, ``r`` the largest ``sigma / alpha``: right for data of mean zero and variance one, and
for any others as far as they are small beside ``r``. The trace is exact, at the cost of as many derivatives as
there are elements, or Hutchinson's estimate ``v^T (dD/dx) v`` with one random sign ``v`` an element, the same at every level:
right on average over ``v``.

Shapes: ``B = batch, ... = one example, N = steps``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.diffusion.processes import Levels
from artifex.diffusion.samplers import Denoiser, runge_kutta

__all__ = ["probability_flow_log_prob"]

AT_ONCE = 64
"""Derivatives of an exact trace that are computed together."""


def probability_flow_log_prob(
    denoise: Denoiser, x: Float[Array, "B ..."], levels: Levels, *, key: Array | None = None
) -> Float[Array, "B"]:
    """``log p(x)``, nats, of what the probability flow makes of noise.

    Args:
        denoise: the denoiser; what it does with one example must not depend on the others.
        x: data ``(B, ...)``, clean.
        levels: ``2 N + 1`` of them in equal steps of ``log(sigma / alpha)``, from noisy to clean.
        key: of the signs of an estimated trace; the exact trace without.

    Returns:
        ``(B,)``.

    Example:
        >>> from artifex.diffusion.processes import VarianceExploding, VarianceExplodingConfig
        >>> levels = VarianceExploding(VarianceExplodingConfig()).levels(81, "log_ratio")
        >>> standard_normal = probability_flow_log_prob(lambda x, t: x / (1 + t**2), jnp.ones((1, 1)), levels)
        >>> round(float(standard_normal[0]), 3)  # -1 / 2 - log(2 pi) / 2
        -1.419
    """
    example = x.shape[1:]
    size = math.prod(example)
    signs = None if key is None else jax.random.rademacher(key, x.shape, x.dtype)[None]
    probes = jnp.eye(size, dtype=x.dtype).reshape(size, 1, *example) if signs is None else signs
    upwards = Levels(*(column[::-1] for column in levels))

    def velocity(state: tuple[Array, Array], level: tuple[Array, Array]) -> tuple[Array, Array]:
        (u, _), (t, alpha) = state, level
        denoised, derivative = jax.linearize(lambda u: denoise(alpha * u, t), u)

        def along(probe: Array) -> Array:
            return _sum(probe * derivative(jnp.broadcast_to(probe, u.shape)))

        few = probes.shape[0] <= AT_ONCE
        traces = jax.vmap(along)(probes) if few else jax.lax.map(along, probes, batch_size=AT_ONCE)
        trace = jnp.sum(traces, axis=0)
        return u - denoised, size - trace

    u, gained = runge_kutta(velocity, (x, jnp.zeros(x.shape[0], x.dtype)), upwards)
    scale = math.sqrt(1 + float(levels.ratio[0]) ** 2)
    log_normal = -0.5 * _sum(jnp.square(u / scale)) - size * (math.log(scale) + 0.5 * math.log(2 * math.pi))
    return log_normal + gained


def _sum(x: Float[Array, "B ..."]) -> Float[Array, "B"]:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
