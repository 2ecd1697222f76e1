r"""How good a flow is: its likelihood of data, its weights towards a target, its calibration, how well it inverts.

A metric that is registered takes what its entry says it ``needs`` as arguments of those names: ``model``; ``references``, data;
``log_weights``, nats. Everything else has a default. Where a model is conditional, its condition goes along as ``condition``.

Shapes: ``N = examples or draws, M = observations, D = parameters, ... = one example``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from artifex.core.errors import InvalidInputError

__all__ = [
    "bits_per_dimension",
    "effective_sample_size",
    "inversion_error",
    "log_normalizer",
    "negative_log_likelihood",
    "rank_statistics",
]


def negative_log_likelihood(
    model: Any, references: Float[Array, "N ..."], *, condition: Array | None = None
) -> Float[Array, ""]:
    """``-mean_N log q(x)``, nats an example.

    Args:
        model: what has ``log_prob``.
        references: data.
        condition: of each example, for a conditional model.
    """
    return -jnp.mean(_accumulated(model.log_prob(references, **_given(condition))))


def bits_per_dimension(
    log_prob: Float[Array, "..."], shape: Sequence[int], *, levels: int | None = None
) -> Float[Array, "..."]:
    """``-log q(x) / (D log 2)``, and ``+ log2 levels`` for a density of what was scaled from that many levels to ``[0, 1]``.

    Theis et al. 2016 (arXiv:1511.01844), section 3.1: the density of data with uniform noise added, in units of one level,
    bounds the probability of the discrete data. Scaling down by the number of levels added its logarithm for each element.

    Args:
        log_prob: nats.
        shape: of one example, ``D`` elements in all.
        levels: how many grey levels were scaled to ``[0, 1]``, 256 of 8-bit images; None where nothing was scaled.

    Returns:
        As many as ``log_prob``.

    Raises:
        InvalidInputError: an example has no elements, or there are no levels.

    Example:
        >>> float(bits_per_dimension(jnp.array(0.0), (8, 8), levels=256))  # the uniform density on [0, 1]
        8.0
    """
    n = math.prod(shape)
    if n < 1 or (levels is not None and levels < 1):
        raise InvalidInputError(f"shape is {tuple(shape)}, levels {levels}; expected at least one element, and one level")
    return -_accumulated(log_prob) / (n * math.log(2)) + (0.0 if levels is None else math.log2(levels))


def effective_sample_size(log_weights: Float[Array, "N ..."]) -> Float[Array, "..."]:
    """``(sum_n w_n)^2 / sum_n w_n^2``: how many independent draws from the target ``N`` weighted ones are worth.

    Kish 1965, "Survey Sampling". Between 1 and ``N``; 0 where no weight is positive. Constants in the weights do not matter.

    Args:
        log_weights: ``log p~(x) - log q(x)`` of draws from ``q``, nats.

    Raises:
        InvalidInputError: there are no weights.

    Example:
        >>> float(effective_sample_size(jnp.log(jnp.array([1e-30, 1.0, 1.0]))))
        2.0
    """
    log_weights = _accumulated(_some(log_weights))
    largest = jnp.max(log_weights, axis=0)
    w = jnp.exp(log_weights - jnp.where(jnp.isneginf(largest), 0, largest)[None])  # the largest is 1
    square = jnp.sum(jnp.square(w), axis=0)
    return jnp.where(square == 0, 0, jnp.square(jnp.sum(w, axis=0)) / jnp.where(square == 0, 1, square))


def log_normalizer(log_weights: Float[Array, "N ..."]) -> Float[Array, "..."]:
    """``log 1/N sum_n p~(x_n) / q(x_n)``, ``x_n ~ q``: an estimate of ``log Z = log int p~``, from below on average.

    Burda et al. 2015 (arXiv:1509.00519), equation 8.

    Args:
        log_weights: ``log p~(x) - log q(x)`` of draws from ``q``, nats.

    Raises:
        InvalidInputError: there are no weights.

    Example:
        >>> round(float(log_normalizer(jnp.log(jnp.array([1.0, 3.0])))), 4)  # log 2
        0.6931
    """
    log_weights = _accumulated(_some(log_weights))
    return jax.nn.logsumexp(log_weights, axis=0) - math.log(len(log_weights))


def inversion_error(model: Any, references: Float[Array, "N ..."], *, condition: Array | None = None) -> Float[Array, ""]:
    """``max |f^-1(f(x)) - x|`` over all elements of all examples: the worst round trip.

    Behrmann et al. 2021 (arXiv:2006.09347): where it is large, the likelihood is not that of what is drawn.

    Args:
        model: what has ``forward`` and ``inverse``.
        references: data.
        condition: of each example, for a conditional model.
    """
    z, _ = model.forward(references, **_given(condition))
    back, _ = model.inverse(z, **_given(condition))
    return jnp.max(jnp.abs(back - references))


def rank_statistics(samples: Float[Array, "M N D"], parameters: Float[Array, "M D"]) -> Int[Array, "M D"]:
    """``r = sum_n 1[theta_n < theta*]``: the rank of the true parameter among posterior samples, 0 to ``N``.

    Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788, theorem 1): with ``theta*`` from the prior, an
    observation simulated from it and ``theta_n`` from the exact posterior, every rank is equally likely.

    Args:
        samples: of each observation's posterior.
        parameters: what each observation was simulated from.

    Raises:
        InvalidInputError: the shapes do not fit together.

    Example:
        >>> rank_statistics(jnp.array([[[0.0], [1.0], [2.0]]]), jnp.array([[1.5]])).tolist()
        [[2]]
    """
    if samples.ndim != 3 or parameters.shape != (samples.shape[0], samples.shape[2]):
        raise InvalidInputError(
            f"samples have shape {samples.shape}, parameters {parameters.shape}; expected (observations, draws, parameters) "
            "and (observations, parameters)"
        )
    return jnp.sum(samples < parameters[:, None], axis=1)


def _given(condition: Array | None) -> dict[str, Array]:
    return {} if condition is None else {"condition": condition}


def _accumulated(log_prob: Array) -> Array:
    return jnp.asarray(log_prob).astype(jnp.promote_types(jnp.result_type(log_prob), jnp.float32))


def _some(log_weights: Array) -> Array:
    if jnp.ndim(log_weights) < 1 or len(log_weights) < 1:
        raise InvalidInputError(f"log_weights has shape {jnp.shape(log_weights)}; give one for each draw, one at least")
    return log_weights
