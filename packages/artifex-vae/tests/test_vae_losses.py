"""The objectives against SciPy, quadrature and hand calculation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

from artifex.vae import losses


def test_kl_equals_the_integral():
    """Independent truth: the defining integral, by SciPy's quadrature, one dimension at a time."""
    mean, log_variance = np.array([0.3, -1.7, 2.0]), np.array([-1.0, 0.0, 0.8])

    def one(m: float, v: float) -> float:
        q, p = stats.norm(m, np.exp(v / 2)), stats.norm(0, 1)
        return integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -15, 15, epsabs=1e-10)[0]

    truth = sum(map(one, mean, log_variance))
    assert_allclose(losses.gaussian_kl(jnp.array(mean), jnp.array(log_variance)), truth, rtol=1e-6)


def test_kl_is_zero_at_the_prior_and_exact_beside_it():
    assert losses.gaussian_kl(jnp.zeros(5), jnp.zeros(5)) == 0
    # exp(v) - 1 - v = v^2 / 2 + O(v^3): computed naively in float32 at v = 1e-4 it is wrong by more than its own size
    assert_allclose(losses.gaussian_kl(jnp.zeros(1), jnp.full(1, 0.01)), 0.5 * (np.expm1(0.01) - 0.01), rtol=1e-4)


def test_kl_accumulates_in_float32_whatever_comes_in():
    mean = jnp.full((4096,), 1.0, jnp.bfloat16)
    kl = losses.gaussian_kl(mean, jnp.zeros_like(mean))
    assert kl.dtype == jnp.float32
    assert kl == 2048  # in bfloat16 the sum would stop at 256


def test_beta_objective_by_hand():
    log_likelihood, kl = jnp.array([-3.0, -5.0]), jnp.array([1.0, 3.0])
    assert losses.beta_objective(log_likelihood, kl, 1.0) == 6.0 == -jnp.mean(losses.elbo(log_likelihood, kl))
    assert losses.beta_objective(log_likelihood, kl, 4.0) == 12.0


@pytest.mark.parametrize(("capacity", "expected"), [(0.0, 24.0), (2.0, 4.0), (5.0, 34.0)])
def test_capacity_objective_by_hand(capacity: float, expected: float):
    """Reconstruction 4, mean divergence 2, gamma 10: 4 + 10 |2 - C|."""
    log_likelihood, kl = jnp.array([-3.0, -5.0]), jnp.array([1.0, 3.0])
    assert losses.capacity_objective(log_likelihood, kl, capacity=capacity, gamma=10.0) == expected


@pytest.mark.parametrize(("step", "expected"), [(0, 0.0), (250, 6.25), (1000, 25.0), (5000, 25.0)])
def test_capacity_rises_linearly_then_stays(step: int, expected: float):
    assert losses.annealed_capacity(step, final=25.0, steps=1000) == expected
    assert jax.jit(lambda t: losses.annealed_capacity(t, final=25.0, steps=1000))(step) == expected


def test_log_importance_ratio_is_the_difference_of_two_densities():
    rng = np.random.default_rng(0)
    mean, log_variance, noise = rng.normal(size=(3, 7, 4))
    z = mean + np.exp(log_variance / 2) * noise
    truth = (stats.norm.logpdf(z) - stats.norm.logpdf(z, mean, np.exp(log_variance / 2))).sum(-1)
    # float32: a sum of 12 terms below 20, each rounded at 6e-8 of its size
    assert_allclose(losses.log_importance_ratio(*map(jnp.float32, (noise, z, log_variance))), truth, atol=2e-5)


def test_iwae_bound_is_the_log_of_the_mean_weight():
    weights = np.random.default_rng(0).uniform(0.1, 3.0, size=(50, 3))
    assert_allclose(losses.iwae_bound(jnp.log(jnp.float32(weights))), np.log(weights.mean(0)), rtol=1e-5)
    assert_allclose(losses.iwae_bound(jnp.array([-1000.0, -1000.0])), -1000.0)  # no underflow


def test_iwae_bound_of_one_sample_is_that_sample():
    log_weights = jnp.array([[-3.0, 2.0]])
    assert_allclose(losses.iwae_bound(log_weights), log_weights[0])
