r"""Metrics of generated samples that tell of collapse: pure functions.

Shapes: ``N = samples, R = references, K = modes, D = dimensions, ... = one example``.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = ["high_quality_share", "modes_covered", "relative_spread"]

N_DEVIATIONS = 3.0
"""Within so many standard deviations of a mode a sample counts as good (Srivastava et al. 2017, arXiv:1705.07761)."""


def relative_spread(samples: Float[Array, "N ..."], references: Float[Array, "R ..."]) -> Float[Array, ""]:
    r""":math:`\sqrt{\sum_d Var(s_d) / \sum_d Var(r_d)}`: how far samples lie apart, beside references.

    Twice the variance is the mean squared distance of two draws. About 1 for samples as diverse as the references, 0 where all
    are equal.

    Raises:
        InvalidInputError: samples and references are examples of different shapes.

    >>> relative_spread(jnp.array([[0.0], [2.0]]), jnp.array([[0.0], [4.0]])).tolist()
    0.5
    """
    if samples.shape[1:] != references.shape[1:]:
        raise InvalidInputError(f"samples and references are examples of one shape, got {samples.shape} and {references.shape}")
    spreads = [jnp.sum(jnp.var(x.astype(jnp.float32), axis=0)) for x in (samples, references)]
    return jnp.sqrt(spreads[0] / jnp.maximum(spreads[1], jnp.finfo(jnp.float32).tiny))


def _nearest(samples: Float[Array, "N D"], means: Float[Array, "K D"]) -> tuple[Array, Array]:
    """The nearest mode of each sample, and how far it is."""
    if samples.ndim != 2 or means.ndim != 2 or samples.shape[1] != means.shape[1]:
        raise InvalidInputError(f"samples (N, D) and means (K, D) are needed, got {samples.shape} and {means.shape}")
    distances = jnp.sqrt(jnp.sum(jnp.square(samples[:, None] - means[None]), axis=-1))
    return jnp.argmin(distances, axis=1), jnp.min(distances, axis=1)


def high_quality_share(
    samples: Float[Array, "N D"], means: Float[Array, "K D"], deviation: float, *, n_deviations: float = N_DEVIATIONS
) -> Float[Array, ""]:
    """Share of the samples that lie within ``n_deviations`` standard deviations of the mode next to them.

    Srivastava et al. 2017, "VEEGAN" (arXiv:1705.07761), section 4.1. Of draws from two-dimensional Gaussians themselves it is
    ``1 - exp(-9 / 2)``, 98.9 %.

    Args:
        samples: ``(N, D)``.
        means: of the modes, ``(K, D)``.
        deviation: standard deviation of a mode along each axis.
        n_deviations: how many of them.

    >>> float(high_quality_share(jnp.array([[0.0], [9.0]]), jnp.array([[0.1], [5.0]]), 0.1))
    0.5
    """
    return jnp.mean((_nearest(samples, means)[1] <= n_deviations * deviation).astype(jnp.float32))


def modes_covered(
    samples: Float[Array, "N D"], means: Float[Array, "K D"], deviation: float, *, n_deviations: float = N_DEVIATIONS
) -> Array:
    """How many modes have a good sample next to them (ibid.).

    Args:
        samples: ``(N, D)``.
        means: of the modes, ``(K, D)``.
        deviation: standard deviation of a mode along each axis.
        n_deviations: within so many of which a sample is good.

    >>> int(modes_covered(jnp.array([[0.0], [9.0]]), jnp.array([[0.1], [5.0]]), 0.1))
    1
    """
    nearest, distance = _nearest(samples, means)
    good = distance <= n_deviations * deviation
    return jnp.sum(jnp.any((nearest[:, None] == jnp.arange(means.shape[0])[None]) & good[:, None], axis=0))
