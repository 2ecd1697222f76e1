r"""Whether chains have mixed, and how far a model is from its data.

Vehtari et al. 2021 (arXiv:1903.08008) for R-hat and the effective sample size; Geyer 1992 for where the sum of autocorrelations
ends.

Shapes: ``C = chains, T = states of each, N M = examples, ... = one state``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = [
    "acceptance_rate",
    "autocovariance",
    "effective_sample_size",
    "energy_gap",
    "grid_divergence",
    "rank_normalized_r_hat",
    "split_r_hat",
    "standard_error",
]


def acceptance_rate(trace: Float[Array, "C T ..."]) -> Float[Array, "C"]:
    """Part of the steps at which a chain moved.

    Example:
        >>> acceptance_rate(jnp.array([[[0.0], [1.0], [1.0]]])).tolist()
        [0.5]
    """
    _check(trace, 2)
    moved = jnp.any((jnp.diff(trace, axis=1) != 0).reshape(*trace.shape[:1], trace.shape[1] - 1, -1), axis=-1)
    return jnp.mean(moved, axis=1)


def split_r_hat(trace: Float[Array, "C T ..."]) -> Float[Array, "..."]:
    r"""``sqrt(((T - 1) / T W + B / T) / W)`` of chains cut in two: 1 where they all have come to the same place.

    ``W`` is the mean variance within half chains and ``B / T`` the variance of their means. Above 1.01, go on for longer.

    Args:
        trace: one chain or more, at least 4 states each.

    Raises:
        InvalidInputError: there are fewer states, or the trace has another shape.

    Example:
        >>> still = jnp.tile(jnp.array([0.0, 1.0]), (2, 4))  # halves of four states, all alike
        >>> round(float(split_r_hat(still)), 4), round(float(split_r_hat(still.at[1].add(3.0))), 1)
        (0.866, 3.1)
    """
    return _r_hat(_halved(trace))


def rank_normalized_r_hat(trace: Float[Array, "C T ..."]) -> Float[Array, "..."]:
    r"""The larger of :func:`split_r_hat` of normal scores, and of those of distances from the median.

    ``z = Phi^-1((r - 3/8) / (S + 1/4))`` for the rank ``r`` among all ``S`` states (arXiv:1903.08008, equation 14). Ranks have
    a variance where heavy tails have none, and distances from the median tell chains that differ in their scale alone.

    Args:
        trace: one chain or more, at least 4 states each.

    Raises:
        InvalidInputError: there are fewer states, or the trace has another shape.

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (4, 1000))
        >>> wider = x.at[0].multiply(3.0)  # one chain of four, about the same place
        >>> bool(split_r_hat(wider) < 1.01), bool(rank_normalized_r_hat(wider) > 1.1)
        (True, True)
    """
    halves = _halved(trace)
    folded = jnp.abs(halves - jnp.median(halves, axis=(0, 1), keepdims=True))
    return jnp.maximum(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded)))


def _normal_scores(x: Array) -> Array:
    """Quantiles of the normal distribution at the ranks among all states of all chains; of equals, the mean rank."""
    states = jax.lax.collapse(x, 0, 2)
    ranks = jax.scipy.stats.rankdata(states, axis=0)
    return jax.scipy.special.ndtri((ranks - 0.375) / (states.shape[0] + 0.25)).reshape(x.shape)


def _r_hat(halves: Array) -> Array:
    length = halves.shape[1]
    within = jnp.mean(jnp.var(halves, axis=1, ddof=1), axis=0)
    between = jnp.var(jnp.mean(halves, axis=1), axis=0, ddof=1)
    return jnp.sqrt((length - 1) / length + between / within)


def effective_sample_size(trace: Float[Array, "C T ..."]) -> Float[Array, "..."]:
    r"""``C T / (1 + 2 sum_t rho_t)``: how many independent draws have the variance of this mean.

    ``rho_t`` are autocorrelations over all half chains, summed in pairs as long as these are positive, and made to fall
    (arXiv:1903.08008, equations 10 to 13).

    Args:
        trace: one chain or more, at least 4 states each.
    """
    halves = _halved(trace)
    count, length = halves.shape[:2]
    within = autocovariance(halves) * length / (length - 1)  # (2C, T / 2, ...)
    mean_within = jnp.mean(within, axis=0)
    variance = mean_within[0] * (length - 1) / length + jnp.var(jnp.mean(halves, axis=1), axis=0, ddof=1)
    correlation = 1 - (mean_within[:1] - mean_within) / variance[None]
    correlation = correlation.at[0].set(1.0)
    pairs = correlation[: length // 2 * 2].reshape(length // 2, 2, *correlation.shape[1:]).sum(axis=1)
    positive = jnp.cumprod(pairs > 0, axis=0)
    falling = jax.lax.associative_scan(jnp.minimum, jnp.where(positive, pairs, 0.0), axis=0)
    time = jnp.maximum(2 * jnp.sum(falling, axis=0) - 1, 1 / jnp.log10(count * length))
    return count * length / time


def autocovariance(x: Float[Array, "C T ..."]) -> Float[Array, "C T ..."]:
    """``1/T sum_s (x_s - m) (x_{s + t} - m)`` of each chain at every lag ``t``, by a Fourier transform."""
    length = x.shape[1]
    centred = x - jnp.mean(x, axis=1, keepdims=True)
    spectrum = jnp.fft.rfft(centred, n=2 * length, axis=1)
    return jnp.fft.irfft(jnp.square(jnp.abs(spectrum)), n=2 * length, axis=1)[:, :length] / length


def standard_error(trace: Float[Array, "C T ..."]) -> Float[Array, "..."]:
    """Standard error of the mean over all chains: ``sd / sqrt(effective sample size)``."""
    return jnp.std(trace, axis=(0, 1)) / jnp.sqrt(effective_sample_size(trace))


def energy_gap(model: Any, samples: Float[Array, "N ..."], references: Float[Array, "M ..."]) -> Float[Array, ""]:
    """``mean E(samples) - mean E(references)``: near zero where samples are like the data as far as the energy can tell.

    Well above zero, chains are too short for the model, or it has sharpened too fast; below, they have found places that the
    data do not know.

    Args:
        model: has ``energy``.
        samples: of the model.
        references: data that it was not trained on.
    """
    return jnp.mean(model.energy(jnp.asarray(samples))) - jnp.mean(model.energy(jnp.asarray(references)))


def grid_divergence(
    energy: Callable[[Array], Array],
    log_prob: Callable[[Array], Array],
    *,
    extent: float = 5.0,
    n_points: int = 400,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""``KL(p || exp(-E) / Z)`` in the plane, and ``log Z``, by sums over a grid.

    Args:
        energy: ``E`` of a batch ``(N, 2)``.
        log_prob: ``log p`` of the truth.
        extent: the grid is over ``[-extent, extent]^2``; nothing of either density may lie outside.
        n_points: points on a side.

    Returns:
        The divergence in nats; ``log Z``.

    Example:
        >>> square = lambda x: jnp.sum(x**2, axis=-1) / 2
        >>> divergence, log_z = grid_divergence(square, lambda x: -square(x) - jnp.log(2 * jnp.pi), extent=8.0)
        >>> round(float(log_z), 4), abs(float(divergence)) < 1e-5
        (1.8379, True)
    """
    width = 2 * extent / n_points
    axis = (jnp.arange(n_points) + 0.5) * width - extent
    rows = jnp.stack(jnp.meshgrid(axis, axis), axis=-1)  # (P, P, 2)
    energies, truth = jax.lax.map(lambda row: (energy(row), log_prob(row)), rows)
    log_z = jax.nn.logsumexp(-energies) + 2 * jnp.log(width)
    p = jnp.exp(truth) * width**2
    return jnp.sum(jnp.where(p > 0, p * (truth + energies + log_z), 0.0)), log_z


def _halved(trace: Array) -> Array:
    """Each chain as two; the state in the middle of an odd number is left out."""
    _check(trace, 4)
    half = trace.shape[1] // 2
    return jnp.concatenate([trace[:, :half], trace[:, -half:]])


def _check(trace: Array, least: int) -> None:
    if trace.ndim < 2 or trace.shape[0] < 1 or trace.shape[1] < least:
        raise InvalidInputError(
            f"the trace has shape {trace.shape}, expected (chains, states, ...) with at least {least} states a chain"
        )
