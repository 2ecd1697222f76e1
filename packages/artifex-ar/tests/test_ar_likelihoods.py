"""Mixtures of logistics against SciPy in float64, edges included; losses and metrics against NumPy."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp
from scipy.stats import logistic

from artifex.ar import likelihoods, losses, metrics
from artifex.core.errors import InvalidInputError


def independent(x: np.ndarray, parameters: np.ndarray, levels: int) -> np.ndarray:
    """``log P(x)`` from SciPy's distribution functions, on whichever side of the mean keeps digits."""
    logits, mean, log_scale = np.split(parameters.astype(np.float64), 3, axis=-1)
    scale = np.exp(np.maximum(log_scale, -7))
    edge = 1 / (levels - 1)
    below, above = x[..., None] - edge, x[..., None] + edge
    below, above = np.where(x[..., None] == -1, -np.inf, below), np.where(x[..., None] == 1, np.inf, above)
    left = logistic.cdf(above, mean, scale) - logistic.cdf(below, mean, scale)
    right = logistic.sf(below, mean, scale) - logistic.sf(above, mean, scale)
    mass = np.where(x[..., None] < mean, left, right)
    return logsumexp(logits - logsumexp(logits, axis=-1, keepdims=True), b=mass, axis=-1)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_every_level_has_the_mass_of_an_independent_computation(levels: int):
    """Every level with 50 random mixtures, narrow and wide, means inside and outside the range."""
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(50, 1, 12)) * np.repeat([1.0, 0.8, 2.0], 4)
    x = 2 * np.arange(levels) / (levels - 1) - 1
    x, parameters = np.broadcast_to(x, (50, levels)), np.broadcast_to(parameters, (50, levels, 12))
    x32, p32 = x.astype(np.float32), parameters.astype(np.float32)
    got = jax.jit(likelihoods.mixture_of_logistics_log_prob, static_argnums=2)(x32, p32, levels)
    wanted = independent(x, p32, levels)
    # Seven widths of a level of float32's rounding of x, over the narrowest scale: what the input itself is uncertain by.
    slope = 1.2e-7 / np.exp(np.maximum(p32[..., 8:].min(axis=-1), -7))
    assert np.all(np.abs(got - wanted) < 1e-5 * np.maximum(1, np.abs(wanted)) + 4 * slope)
    assert_allclose(np.exp(np.asarray(got, np.float64)).sum(axis=1), 1, atol=1e-4)


def test_far_out_levels_have_finite_gradients():
    parameters = jnp.array([0.0, 5.0, -9.0])  # a narrow component far outside the range
    value, gradient = jax.value_and_grad(lambda p: likelihoods.mixture_of_logistics_log_prob(jnp.array(-0.5), p, 256))(
        parameters
    )
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    assert gradient[1] < 0  # the mean is pulled back


@pytest.mark.parametrize("levels", [256, 65_536])
def test_a_level_can_be_all_but_certain(levels: int):
    """The narrowest component has a scale of 0.116 levels, and so a mass of F(0.5 / 0.116) - F(-0.5 / 0.116) = 0.973."""
    x = jnp.float32(2 * (levels // 3) / (levels - 1) - 1)
    value, gradient = jax.value_and_grad(likelihoods.mixture_of_logistics_log_prob, 1)(x, jnp.array([0.0, x, -20.0]), levels)
    assert_allclose(np.exp(value), 0.973, atol=2e-3)  # x is rounded by up to a five-hundredth of a level of 65536
    assert np.all(np.isfinite(gradient))
    drawn = likelihoods.draw_logistics(jnp.tile(jnp.array([0.0, x, -20.0]), (1000, 1)), levels, jax.random.key(0))
    assert np.mean(np.abs(drawn - x) < 1 / levels) > 0.95


def test_draws_have_the_levels_frequencies():
    parameters = jnp.array([0.3, -0.2, -0.9, 0.4, -1.5, -0.5])
    drawn = likelihoods.draw_logistics(jnp.tile(parameters, (20_000, 1)), 9, jax.random.key(0))
    x = 2 * jnp.arange(9) / 8 - 1
    probabilities = np.exp(likelihoods.mixture_of_logistics_log_prob(x, jnp.tile(parameters, (9, 1)), 9))
    counts = np.bincount(np.round((np.asarray(drawn) + 1) * 4).astype(int), minlength=9)
    chi2 = np.sum((counts - 20_000 * probabilities) ** 2 / (20_000 * probabilities))
    assert chi2 < 32  # 8 degrees of freedom: above 32 once in ten thousand seeds


def test_cross_entropy_is_a_mean_over_tokens():
    rng = np.random.default_rng(0)
    logits, tokens = rng.normal(size=(3, 5, 7)), rng.integers(0, 7, (3, 5))
    mask = np.arange(5)[None] < np.array([[5], [2], [0]])
    log_probs = logits - logsumexp(logits, axis=-1, keepdims=True)
    wanted = -np.take_along_axis(log_probs, tokens[..., None], axis=-1)[..., 0][mask].mean()
    logits[~mask], tokens[~mask] = np.nan, 99
    got = losses.cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(tokens), jnp.asarray(mask))
    assert_allclose(got.value, wanted, rtol=1e-6)
    assert float(got.weight) == 7
    gradient = jax.grad(lambda a: losses.cross_entropy(a, jnp.asarray(tokens), jnp.asarray(mask)).value)(jnp.asarray(logits))
    assert np.all(np.asarray(gradient)[~mask] == 0)
    assert np.all(np.isfinite(gradient))


def test_metrics():
    log_prob, tokens = jnp.array([-4 * math.log(2.0), -8 * math.log(2.0)]), jnp.zeros((2, 3))
    assert_allclose(metrics.bits_per_element(log_prob, tokens), 2.0, rtol=1e-6)
    assert_allclose(metrics.perplexity(log_prob, tokens), 4.0, rtol=1e-6)
    assert_allclose(metrics.bits_per_byte(log_prob, tokens, bytes_per_element=4), 0.5, rtol=1e-6)
    mask = jnp.array([[True, True, True], [True, False, False]])  # 12 bits of four tokens
    assert_allclose(metrics.bits_per_element(log_prob, tokens, mask=mask), 3.0, rtol=1e-6)
    assert_allclose(metrics.perplexity(log_prob, tokens, mask=mask), 8.0, rtol=1e-6)
    assert_allclose(metrics.bits_per_byte(log_prob, jnp.zeros((2, 3, 2)), bytes_per_element=3, mask=mask), 0.5, rtol=1e-6)
    with pytest.raises(InvalidInputError, match=r"mask has shape \(2, 4\), references \(2, 3\)"):
        metrics.perplexity(log_prob, tokens, mask=jnp.ones((2, 4)))
    with pytest.raises(InvalidInputError, match=r"log_prob has shape \(2,\), references \(3, 3\)"):
        metrics.perplexity(log_prob, jnp.zeros((3, 3)))
    with pytest.raises(InvalidInputError, match="bytes_per_element is 0"):
        metrics.bits_per_byte(log_prob, tokens, bytes_per_element=0)
