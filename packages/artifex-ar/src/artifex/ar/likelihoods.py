r"""Mixtures of logistics on evenly spaced levels of [-1, 1].

Salimans et al. 2017, "PixelCNN++" (arXiv:1701.05517), section 2.1:

    P(x) = sum_k w_k [F((x + d - m_k) / s_k) - F((x - d - m_k) / s_k)],   F = sigmoid,   d = 1 / (levels - 1)

half a level on each side; the lowest level also has everything below it, the highest everything above, so that the levels'
probabilities add up to one. With ``a`` and ``b`` the edges in units of the scale, ``F(a) - F(b) = F(a) F(-b) (1 - e^(b - a))``:
its logarithm is finite however far out a level lies, and nothing is approximated.

Shapes: ``K = components, ... = any leading axes``. Parameters are logits of the weights, means, log scales: ``(..., 3 K)``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["draw_logistics", "level_masses", "mixture_of_logistics_log_prob"]

LEAST_LOG_SCALE = -7.0
"""Of PixelCNN++, for up to 256 levels: a ninth of the distance between two of those. It shrinks with the distance of more."""


def _scale(log_scale: Float[Array, "..."], levels: int) -> Float[Array, "..."]:
    """``s``, not so narrow that its gradients would be nothing but noise."""
    return jnp.exp(jnp.maximum(log_scale, LEAST_LOG_SCALE - math.log(max(1, (levels - 1) / 255))))


def level_masses(
    x: Float[Array, "..."], mean: Float[Array, "... K"], log_scale: Float[Array, "... K"], levels: int
) -> Float[Array, "... K"]:
    """``log`` of each logistic's mass on the level of ``x``, nats, in float32.

    Args:
        x: on the ``levels`` evenly spaced values of [-1, 1].
        mean: ``m_k``.
        log_scale: ``log s_k``, raised to -7 where it is less; of more than 256 levels, to ``-7 - log((levels - 1) / 255)``.
        levels: how many values there are.

    Example:
        >>> round(float(jnp.exp(level_masses(jnp.array(1.0), jnp.zeros(1), jnp.zeros(1), 2))[0]), 4)  # all above 0
        0.5
    """
    kind = jnp.promote_types(mean.dtype, jnp.float32)
    x, mean, log_scale = (a.astype(kind) for a in (x[..., None], mean, log_scale))
    half, scale = 1 / (levels - 1), _scale(log_scale, levels)
    upper, lower = (x - mean + half) / scale, (x - mean - half) / scale
    below_upper, above_lower = -jax.nn.softplus(-upper), -jax.nn.softplus(lower)
    inside = below_upper + above_lower + jnp.log(-jnp.expm1(-2 * half / scale))
    return jnp.where(x < half - 1, below_upper, jnp.where(x > 1 - half, above_lower, inside))


def mixture_of_logistics_log_prob(
    x: Float[Array, "..."], parameters: Float[Array, "... 3*K"], levels: int
) -> Float[Array, "..."]:
    """``log P(x)`` of the mixture at the level of ``x``, nats, in float32.

    Args:
        x: on the ``levels`` evenly spaced values of [-1, 1].
        parameters: logits of the weights, means and log scales of the components.
        levels: how many values there are.

    Example:
        >>> parameters = jnp.array([0.0, 1.0, -0.3, 0.4, -1.0, 0.0])
        >>> x = jnp.linspace(-1, 1, 5)
        >>> log_probs = mixture_of_logistics_log_prob(x, jnp.tile(parameters, (5, 1)), 5)
        >>> round(float(jnp.exp(log_probs).sum()), 5)
        1.0
    """
    logits, mean, log_scale = jnp.split(parameters, 3, axis=-1)
    weights = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
    return jax.nn.logsumexp(weights + level_masses(x, mean, log_scale, levels), axis=-1)


def draw_logistics(
    parameters: Float[Array, "... 3*K"], levels: int, key: Array, temperature: float | Array = 1.0
) -> Float[Array, "..."]:
    """A draw of the mixture, on a level of [-1, 1].

    Args:
        parameters: as in :func:`mixture_of_logistics_log_prob`.
        levels: how many values there are.
        key: of the draw.
        temperature: divides the weights' logits, and multiplies the scales.

    Example:
        >>> float(draw_logistics(jnp.array([0.0, 0.4, -9.0]), 5, jax.random.key(0)))  # a narrow component near the fourth level
        0.5
    """
    of_component, of_value = jax.random.split(key)
    logits, mean, log_scale = jnp.split(parameters.astype(jnp.promote_types(parameters.dtype, jnp.float32)), 3, axis=-1)
    chosen = jax.random.categorical(of_component, logits / temperature)[..., None]
    mean, log_scale = (jnp.take_along_axis(a, chosen, axis=-1)[..., 0] for a in (mean, log_scale))
    scale = _scale(log_scale, levels) * temperature
    x = mean + scale * jax.random.logistic(of_value, mean.shape, mean.dtype)
    steps = levels - 1
    return 2 * jnp.clip(jnp.round((x + 1) / 2 * steps), 0, steps) / steps - 1
