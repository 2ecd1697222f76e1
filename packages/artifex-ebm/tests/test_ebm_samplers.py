"""Markov chains against what is known of the densities that they sample from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from artifex.core.densities import EightGaussians
from artifex.core.errors import InvalidInputError
from artifex.ebm import MCMCConfig, sample_chains
from artifex.ebm.diagnostics import (
    acceptance_rate,
    effective_sample_size,
    rank_normalized_r_hat,
    split_r_hat,
    standard_error,
)
from artifex.ebm.samplers import Chains, langevin, mala

# Moments have standard errors from the means of chains, which are independent whatever goes on inside them.


def correlated(size: int, rho: float = 0.6):
    """``N(m, C)`` with ``C_ij = rho^|i - j|``: energy, mean, covariance."""
    at = np.arange(size)
    covariance = rho ** np.abs(at[:, None] - at[None])
    precision, mean = jnp.asarray(np.linalg.inv(covariance), jnp.float32), jnp.linspace(-1.0, 1.0, size)

    def energy(x):
        return 0.5 * jnp.sum(((x - mean[None]) @ precision) * (x - mean[None]), axis=-1)

    return energy, mean, covariance


def z_scores(trace: np.ndarray, function, truth: np.ndarray) -> np.ndarray:
    """Of the mean of ``function``, by the spread of the chains' means."""
    values = np.asarray(function(np.asarray(trace, np.float64)))
    means = values.mean(axis=1)  # (C, ...)
    return (means.mean(axis=0) - truth) / (means.std(axis=0, ddof=1) / np.sqrt(len(means)))


def run(energy, x, key: int, **config) -> Chains:
    settings = MCMCConfig(**config)
    return jax.jit(lambda x, key: sample_chains(settings, energy, x, key, trace=True))(x, jax.random.key(key))


EXACT = {
    "mala": {"sampler": "mala", "n_steps": 12_000, "n_warmup": 1000, "step_size": 0.2},
    "hmc": {"sampler": "hmc", "n_steps": 1000, "n_warmup": 300, "step_size": 0.2, "n_leapfrog": 10},
    "nuts": {"sampler": "nuts", "n_steps": 400, "n_warmup": 300, "step_size": 0.2},
}
QUICK = {
    "mala": {"sampler": "mala", "n_steps": 1500, "n_warmup": 300, "step_size": 0.2},
    "hmc": {"sampler": "hmc", "n_steps": 300, "n_warmup": 100, "step_size": 0.2, "n_leapfrog": 5},
}


@pytest.mark.parametrize("sampler", QUICK)
def test_a_small_correlated_gaussian(sampler: str):
    energy, mean, covariance = correlated(3)
    start = mean[None] + 2 * jax.random.normal(jax.random.key(1), (48, 3))
    chains = run(energy, start, 2, **QUICK[sampler])
    centred = chains.trace - mean[None, None]
    assert np.all(np.abs(z_scores(centred, lambda x: x, np.zeros(3))) < 3)
    assert np.all(np.abs(z_scores(centred, lambda x: x[..., :, None] * x[..., None, :], covariance)) < 3)
    assert np.all(np.asarray(split_r_hat(chains.trace)) < 1.01)
    assert 0.4 < float(jnp.mean(chains.acceptance)) < 0.95


@pytest.mark.nightly
@pytest.mark.parametrize("sampler", EXACT)
def test_a_correlated_gaussian_in_fifty_dimensions(sampler: str):
    energy, mean, covariance = correlated(50)
    start = mean[None] + 2 * jax.random.normal(jax.random.key(1), (64, 50))
    chains = run(energy, start, 3, **EXACT[sampler])
    assert np.all(np.asarray(split_r_hat(chains.trace)) < 1.01)
    centred = np.asarray(chains.trace - mean[None, None], np.float64)
    # moments along fixed directions: the ends, the middle, their neighbours, and the sum of all
    directions = np.zeros((5, 50))
    directions[0, 0], directions[1, 25], directions[2, 49], directions[3, 24:26] = 1, 1, 1, 1
    directions[4] = 1 / np.sqrt(50)
    along, variances = centred @ directions.T, np.einsum("ki,ij,kj->k", directions, covariance, directions)
    assert np.all(np.abs(z_scores(along, lambda x: x, np.zeros(5))) < 3)
    assert np.all(np.abs(z_scores(along, np.square, variances)) < 3)
    # all 50 means and variances at once: the mean square of z is 1, give or take sqrt(2 / 50) and what neighbours share
    assert np.mean(z_scores(centred, lambda x: x, np.zeros(50)) ** 2) < 2
    assert np.mean(z_scores(centred, np.square, np.ones(50)) ** 2) < 2


@pytest.mark.nightly
@pytest.mark.parametrize("sampler", EXACT)
def test_a_mixture(sampler: str):
    """Eight Gaussians, each about 2.2 from the next with deviations of 0.35, made twice as wide: chains go round."""
    density = EightGaussians(noise=0.7)
    settings = EXACT[sampler] | ({"n_steps": 3000} if sampler == "nuts" else {})  # it is the hops between modes that count
    chains = run(lambda x: -density.log_prob(x), 2.0 * jax.random.normal(jax.random.key(1), (64, 2)), 4, **settings)
    assert np.all(np.asarray(split_r_hat(chains.trace)) < 1.01)
    second = 8 / 2 + 0.7**2  # radius^2 / 2 + noise^2
    assert np.all(np.abs(z_scores(chains.trace, lambda x: x, np.zeros(2))) < 3)
    assert np.all(np.abs(z_scores(chains.trace, lambda x: x[..., :, None] * x[..., None, :], second * np.eye(2))) < 3)
    angles = np.arange(8) * np.pi / 4

    def in_sector(x):
        nearest = np.round(np.arctan2(x[..., 1], x[..., 0]) / (np.pi / 4)).astype(int) % 8
        return nearest[..., None] == np.arange(len(angles))

    assert np.all(np.abs(z_scores(chains.trace, in_sector, np.full(8, 1 / 8))) < 3)


@pytest.mark.nightly
@pytest.mark.parametrize("sampler", EXACT)
def test_a_funnel(sampler: str):
    """``v ~ N(0, 1), x | v ~ N(0, e^v)``: Neal's, at a scale that a chain of one step size can follow."""

    def energy(x):
        v = x[:, 0]
        return 0.5 * v**2 + 0.5 * x[:, 1] ** 2 * jnp.exp(-v) + 0.5 * v

    settings = EXACT[sampler] | ({"n_steps": 1500} if sampler == "nuts" else {})  # up and down the neck takes many of them
    chains = run(energy, jax.random.normal(jax.random.key(1), (64, 2)), 5, **settings)
    assert np.all(np.asarray(split_r_hat(chains.trace)) < 1.01)
    assert np.all(np.abs(z_scores(chains.trace, lambda x: x, np.zeros(2))) < 3)
    assert np.all(np.abs(z_scores(chains.trace[..., 0], np.square, np.ones(()))) < 3)
    within = integrate.quad(lambda v: stats.norm.pdf(v) * special.erf(np.exp(-v / 2) / np.sqrt(2)), -8, 8)[0]
    assert abs(z_scores(chains.trace[..., 1], lambda x: np.abs(x) < 1, np.asarray(within))) < 3


def test_nuts_of_blackjax_keeps_the_moments_of_a_gaussian():
    energy, mean, covariance = correlated(2)
    chains = run(energy, jnp.zeros((16, 2)), 6, sampler="nuts", n_steps=150, n_warmup=60, step_size=0.5)
    centred = chains.trace - mean[None, None]
    assert np.all(np.abs(z_scores(centred, lambda x: x, np.zeros(2))) < 3)
    assert np.all(np.abs(z_scores(centred, lambda x: x[..., :, None] * x[..., None, :], covariance)) < 3)
    assert 0.6 < float(jnp.mean(chains.acceptance)) <= 1


def test_the_bias_of_unadjusted_langevin_shrinks_with_its_step():
    """On ``N(0, 1)`` the chain is autoregressive, ``x <- (1 - e) x + sqrt(2 e) z``: its variance is ``1 / (1 - e / 2)``."""
    found = []
    for step_size in (0.4, 0.2, 0.1):
        chains = jax.jit(
            lambda x, key, e=step_size: langevin(lambda x: jnp.sum(x**2, axis=-1) / 2, x, key, n_steps=150, step_size=e)
        )(jax.random.normal(jax.random.key(0), (40_000, 1)), jax.random.key(1))
        variance = float(jnp.var(chains.x))
        wanted = 1 / (1 - step_size / 2)
        assert abs(variance - wanted) < 4 * wanted * np.sqrt(2 / 40_000)  # four standard errors of a variance
        found.append(variance - 1)
    assert found[0] > found[1] > found[2] > 0


def test_an_accepted_step_of_mala_has_no_bias_where_plain_langevin_has():
    """At ``e = 0.8`` the plain chain's variance is 1.67."""
    start = jax.random.normal(jax.random.key(0), (20_000, 1))
    chains = jax.jit(lambda x, key: mala(lambda x: jnp.sum(x**2, axis=-1) / 2, x, key, n_steps=40, step_size=0.8))(
        start, jax.random.key(1)
    )
    assert abs(float(jnp.var(chains.x)) - 1) < 4 * np.sqrt(2 / 20_000)


def test_a_state_without_density_is_never_entered():
    def energy(x):
        return jnp.where(x[:, 0] > 0, x[:, 0], jnp.inf)  # exponential

    chains = run(energy, jnp.ones((32, 1)), 7, sampler="mala", n_steps=200, step_size=0.3)
    assert bool(jnp.all(chains.trace > 0))


def test_a_falling_temperature_lets_chains_cross():
    """Two wells ten apart in energy: chains that start in one reach the other only while it is hot."""

    def energy(x):
        return 8 * (x[:, 0] ** 2 - 1) ** 2

    start = jnp.ones((400, 1))
    shares = []
    for temperature in (1.0, 20.0):
        chains = jax.jit(
            lambda x, key, t=temperature: langevin(energy, x, key, n_steps=400, step_size=0.005, initial_temperature=t)
        )(start, jax.random.key(0))
        shares.append(float(jnp.mean(chains.x < 0)))
    assert shares[0] < 0.05
    assert 0.4 < shares[1] < 0.6


def test_bounds_and_clipped_gradients():
    chains = run(
        lambda x: 100 * jnp.sum(x, axis=-1),
        jnp.full((4, 3), 0.5),
        8,
        n_steps=10,
        step_size=1.0,
        noise_scale=0.0,
        max_gradient=0.02,
        bounds=(0.4, 1.0),
    )
    assert np.allclose(chains.trace[0, :6, 0], [0.48, 0.46, 0.44, 0.42, 0.4, 0.4], atol=1e-6)


def test_rank_normalized_r_hat_is_that_of_its_definition():
    """Vehtari et al. 2021, section 4, by SciPy: ties, an odd number of states, tails without a variance."""
    random = np.random.default_rng(0)
    draws = random.normal(size=(4, 101)), random.standard_cauchy((4, 101)), random.integers(0, 5, (4, 101))
    trace = np.stack(draws, axis=-1)
    trace[0, :, 0] *= 3  # about the same place, wider
    trace[1, :, 1] += 2

    def scores(x):
        return stats.norm.ppf((stats.rankdata(x, axis=None).reshape(x.shape) - 3 / 8) / (x.size + 1 / 4))

    def r_hat(x):
        n = x.shape[1]
        return np.sqrt(((n - 1) / n * x.var(axis=1, ddof=1).mean() + x.mean(axis=1).var(ddof=1)) / x.var(axis=1, ddof=1).mean())

    wanted = []
    for i in range(3):
        halves = np.concatenate([trace[:, :50, i], trace[:, 51:, i]])
        wanted.append(max(r_hat(scores(halves)), r_hat(scores(abs(halves - np.median(halves))))))
    found = rank_normalized_r_hat(jnp.asarray(trace, jnp.float32))
    # the median of float32 differs from that of float64 in its last digit, and with it a rank or two of 400
    assert np.allclose(found, wanted, rtol=1e-3)
    assert found[0] > 1.1 > 1.05 > found[2]
    assert split_r_hat(jnp.asarray(trace, jnp.float32))[0] < 1.02  # which sees neither the scale nor, in such tails, the place


def test_diagnostics_against_chains_whose_autocorrelation_is_known():
    """``x_t = a x_{t-1} + z`` has ``sum rho_t = (1 + a) / (1 - a)``; R-hat of chains at different places is far from 1."""
    decay, shape = 0.8, (16, 4000, 2)
    noise = jax.random.normal(jax.random.key(0), shape)

    def step(x, z):
        x = decay * x + np.sqrt(1 - decay**2) * z
        return x, x

    _, trace = jax.lax.scan(step, noise[:, 0], jnp.swapaxes(noise, 0, 1))
    trace = jnp.swapaxes(trace, 0, 1)
    wanted = 16 * 4000 * (1 - decay) / (1 + decay)
    assert np.allclose(effective_sample_size(trace), wanted, rtol=0.1)
    assert np.allclose(standard_error(trace), 1 / np.sqrt(wanted), rtol=0.1)
    assert np.all(np.asarray(split_r_hat(trace)) < 1.01)
    apart = trace + jnp.arange(16.0).reshape(-1, 1, 1)
    # between-chain variance of 0 ... 15 is 22.7 (n - 1), once for each half: sqrt(1 + 21.9)
    assert np.allclose(split_r_hat(apart), np.sqrt(1 + np.var(np.repeat(np.arange(16), 2), ddof=1)), rtol=0.02)
    drifting = trace + jnp.linspace(0, 5, 4000).reshape(1, -1, 1)  # which chains cut in two do show
    assert np.all(np.asarray(split_r_hat(drifting)) > 1.4)
    still = jnp.concatenate([trace[:, :1]] * 4 + [trace[:, 1:2]] * 2, axis=1)
    assert np.allclose(acceptance_rate(still), 1 / 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_leapfrog": 5}, "n_leapfrog is 5, which sampler 'langevin' has no use for"),
        ({"sampler": "hmc", "noise_scale": 0.1}, "use 'langevin'"),
        ({"bounds": (1.0, 0.0)}, "the first has to be below the second"),
        ({"n_steps": 0}, "n_steps"),
        ({"step_size": 0.0}, "step_size"),
        ({"sampler": "gibs"}, "sampler"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        MCMCConfig(**wrong)


def test_no_steps_are_refused():
    with pytest.raises(InvalidInputError, match="n_steps is 0; a chain takes at least one step"):
        langevin(lambda x: x[:, 0], jnp.zeros((2, 1)), jax.random.key(0), n_steps=0, step_size=0.1)
    with pytest.raises(InvalidInputError, match=r"expected \(chains, states, ...\) with at least 4 states"):
        split_r_hat(jnp.zeros((2, 3)))
