"""Metrics against closed forms, SciPy and NumPy in float64."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from flax import nnx

from artifex.core import create_model
from artifex.core.errors import InvalidInputError
from artifex.flow import MAFConfig
from artifex.flow.metrics import (
    bits_per_dimension,
    effective_sample_size,
    inversion_error,
    log_normalizer,
    negative_log_likelihood,
    rank_statistics,
)

LOG_WEIGHTS = np.random.default_rng(0).normal(size=(200, 3)) * [0.1, 1.0, 10.0]


def identity(**changes):
    """A flow that is its base."""
    model = create_model(MAFConfig(input_dim=2, num_transforms=1, hidden_dims=(), **changes), rngs=nnx.Rngs(0))
    head = model.bijection.bijections[0].network.head
    head.kernel[...], head.bias[...] = jnp.zeros(head.kernel.shape), jnp.zeros(head.bias.shape)
    return model


def test_negative_log_likelihood_is_scipys() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    expected = -scipy.stats.norm.logpdf(x).sum(1).mean()
    x = jnp.asarray(x, jnp.float32)
    np.testing.assert_allclose(negative_log_likelihood(identity(), x), expected, rtol=1e-5)
    given = negative_log_likelihood(identity(condition_dim=3), x, condition=jnp.ones((50, 3)))
    np.testing.assert_allclose(given, expected, rtol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0])
def test_effective_sample_size_is_kishs_whatever_the_constant(shift: float) -> None:
    w = np.exp(LOG_WEIGHTS)
    expected = w.sum(0) ** 2 / (w**2).sum(0)
    found = effective_sample_size(jnp.asarray(LOG_WEIGHTS + shift, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=2e-3)  # 1000 keeps 6e-5 of each exponent, in 10 of them


def test_effective_sample_size_of_gaussians_is_the_known_one() -> None:
    """Weights from N(0, 1) towards N(m, 1) have a mean square of ``exp(m^2)``, so that ``N exp(-m^2)`` draws are left."""
    x, m = scipy.stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000), 0.8
    found = effective_sample_size(jnp.asarray(m * x, jnp.float32))
    np.testing.assert_allclose(found / 20_000, math.exp(-(m**2)), rtol=2e-3)  # the quantiles leave out 1 / 20 000 of the tails


def test_effective_sample_size_at_its_ends() -> None:
    zero, one, many = [-np.inf] * 3, [-np.inf, 5.0, -np.inf], [-3.0] * 3
    np.testing.assert_allclose(effective_sample_size(jnp.array([zero, one, many]).T), [0.0, 1.0, 3.0], rtol=1e-6)


def test_log_normalizer_is_scipys_logsumexp() -> None:
    expected = scipy.special.logsumexp(LOG_WEIGHTS + 500.0, axis=0) - math.log(200)
    np.testing.assert_allclose(log_normalizer(jnp.asarray(LOG_WEIGHTS + 500.0, jnp.float32)), expected, rtol=1e-6)


def test_bits_per_dimension_of_known_codes() -> None:
    """Uniform over 256 levels takes 8 bits, in whichever units the density is."""
    shape = (4, 4, 3)
    of_levels = -48 * math.log(256.0)
    np.testing.assert_allclose(bits_per_dimension(jnp.array([of_levels, 0.0]), shape), [8.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(bits_per_dimension(jnp.array([0.0]), shape, levels=256), [8.0])
    assert bits_per_dimension(jnp.zeros(2, jnp.bfloat16), shape).dtype == jnp.float32


def test_inversion_error_is_the_worst_round_trip() -> None:
    class Shrinking:
        def forward(self, x, **given):
            return x, jnp.zeros(len(x))

        def inverse(self, z, **given):
            return z - jnp.array([[0.0, 0.25]]), jnp.zeros(len(z))

    assert float(inversion_error(Shrinking(), jnp.ones((3, 2)))) == 0.25
    assert float(inversion_error(identity(), jnp.ones((3, 2)))) == 0.0


def test_ranks_of_exact_posteriors_are_uniform() -> None:
    """``theta ~ N(0, 1)``, ``x ~ N(theta, 1)``: the posterior is ``N(x / 2, 1 / 2)`` (Talts et al. 2018, theorem 1)."""
    rng, n = np.random.default_rng(0), 19
    theta = rng.normal(size=(4000, 1))
    x = theta + rng.normal(size=theta.shape)
    draws = x[:, None] / 2 + math.sqrt(0.5) * rng.normal(size=(4000, n, 1))
    for width, calibrated in ((1.0, True), (0.8, False)):
        samples = x[:, None] / 2 + width * (draws - x[:, None] / 2)
        ranks = np.asarray(rank_statistics(jnp.asarray(samples), jnp.asarray(theta)))[:, 0]
        p_value = scipy.stats.chisquare(np.bincount(ranks, minlength=n + 1)).pvalue
        assert (p_value > 1e-3) == calibrated


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bits_per_dimension(jnp.zeros(1), (0, 3)), "at least one element"),
        (lambda: bits_per_dimension(jnp.zeros(1), (3,), levels=0), "levels 0"),
        (lambda: effective_sample_size(jnp.zeros(0)), "one at least"),
        (lambda: log_normalizer(jnp.array(0.0)), "one for each draw"),
        (lambda: rank_statistics(jnp.zeros((3, 5)), jnp.zeros((3, 5))), r"\(3, 5\)"),
    ],
)
def test_bad_input_is_refused(call, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        call()
