"""The likelihoods against SciPy, and at the extremes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from artifex.core.errors import ArtifexError
from artifex.vae import BernoulliConfig, DiscretizedLogisticConfig, GaussianConfig, LaplaceConfig
from artifex.vae.likelihoods import (
    Likelihood,
    bernoulli_log_prob,
    create_likelihood,
    discretized_logistic_log_prob,
    gaussian_log_prob,
    laplace_log_prob,
    values_of,
)

CONFIGS = {
    "bernoulli": BernoulliConfig(),
    "gaussian_fixed": GaussianConfig(noise_scale=0.3),
    "gaussian_learned": GaussianConfig(noise_scale="learned"),
    "gaussian_predicted": GaussianConfig(noise_scale="predicted"),
    "laplace_fixed": LaplaceConfig(noise_scale=0.3),
    "laplace_learned": LaplaceConfig(),
    "discretized_logistic": DiscretizedLogisticConfig(levels=17),
    "discretized_logistic_signed": DiscretizedLogisticConfig(levels=5, data_range=(-1.0, 1.0)),
}


@pytest.fixture(params=CONFIGS)
def likelihood(request: pytest.FixtureRequest):
    return create_likelihood(CONFIGS[request.param])


def parameters_of(likelihood: Likelihood, shape: tuple[int, ...], seed: int = 0) -> jax.Array:
    *leading, last = shape
    return jax.random.normal(jax.random.key(seed), (*leading, last * likelihood.n_parameters))


def test_bernoulli_equals_scipy():
    logits = np.linspace(-8, 8, 9)
    for x in (0.0, 1.0):
        truth = stats.bernoulli.logpmf(int(x), stats.logistic.cdf(logits))
        assert_allclose(bernoulli_log_prob(jnp.full(9, x), jnp.float32(logits)), truth, rtol=2e-5, atol=1e-6)


def test_gaussian_equals_scipy():
    x, mean, scale = np.random.default_rng(0).uniform(0.1, 2.0, size=(3, 20))
    truth = stats.norm.logpdf(x, mean, scale)
    # (x - m) is rounded at 1e-7, squared and divided by 2 s^2 <= 0.02
    assert_allclose(gaussian_log_prob(*map(jnp.float32, (x, mean, scale))), truth, rtol=1e-5, atol=1e-4)


def test_laplace_equals_scipy():
    x, location, scale = np.random.default_rng(0).uniform(0.1, 2.0, size=(3, 20))
    truth = stats.laplace.logpdf(x, location, scale)
    assert_allclose(laplace_log_prob(*map(jnp.float32, (x, location, scale))), truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.3, "learned"])
def test_draws_of_a_laplace_lie_its_scale_away(scale: float | str):
    """The mean absolute deviation of a Laplace density is its scale ``b``, with standard error ``b / sqrt(n)``."""
    likelihood, n = create_likelihood(LaplaceConfig(noise_scale=scale)), 20_000
    if scale == "learned":
        likelihood.log_scale[...] = jnp.log(0.3)
    deviations = np.abs(likelihood.sample(jnp.full(n, 2.0), jax.random.key(0)) - 2.0)
    assert abs(deviations.mean() - 0.3) < 5 * 0.3 / np.sqrt(n)
    assert_allclose(likelihood.log_prob(jnp.array([2.0]), jnp.array([0.5])), stats.laplace.logpdf(2.0, 0.5, 0.3), rtol=1e-5)


@pytest.mark.parametrize(("levels", "low", "high"), [(2, 0.0, 1.0), (17, 0.0, 1.0), (256, -1.0, 1.0)])
def test_discretized_logistic_equals_differences_of_scipys_cdf(levels: int, low: float, high: float):
    width = (high - low) / (levels - 1)
    x, location = np.meshgrid(np.linspace(low, high, levels), np.linspace(low - 0.3, high + 0.3, 7))
    scale = np.full_like(x, 2 * width)
    # beyond the middle the difference of two numbers near one says nothing: there, reflect
    sign = np.where(x > location, -1.0, 1.0)
    upper, lower = (stats.logistic.cdf(sign * (x - location) / scale + half) for half in (0.25, -0.25))
    truth = upper - lower
    truth = np.where(x == low, np.where(sign > 0, upper, 1 - lower), truth)
    truth = np.where(x == high, np.where(sign > 0, 1 - lower, upper), truth)
    ours = discretized_logistic_log_prob(*map(jnp.float32, (x, location, scale)), levels=levels, data_range=(low, high))
    # float32 rounds x - m at 1e-7, divided by a scale of 2/255 at the least: a few 1e-5 in the exponent
    assert_allclose(ours, np.log(truth), atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 0.05, 1.0, 30.0])
@pytest.mark.parametrize("location", [-2.0, 0.0, 0.4, 1.0])
def test_discretized_logistic_sums_to_one(scale: float, location: float):
    x = jnp.linspace(0.0, 1.0, 256)
    logs = discretized_logistic_log_prob(x, jnp.full(256, location), jnp.full(256, scale), levels=256)
    assert_allclose(jax.nn.logsumexp(logs), 0.0, atol=1e-4)


def test_learned_scale_starts_at_one_and_learns():
    likelihood = create_likelihood(GaussianConfig())
    assert_allclose(likelihood.log_prob(jnp.array([2.0]), jnp.array([0.5])), stats.norm.logpdf(1.5), rtol=1e-6)
    likelihood.log_scale[...] = jnp.log(0.5)
    assert_allclose(likelihood.log_prob(jnp.array([2.0]), jnp.array([0.5])), stats.norm.logpdf(2.0, 0.5, 0.5), rtol=1e-6)


def test_predicted_scale_is_read_from_the_second_half_of_the_last_axis():
    likelihood = create_likelihood(GaussianConfig(noise_scale="predicted"))
    parameters = jnp.array([[0.1, 0.2, -1.0, 3.0]])
    scale = np.log1p(np.exp([-1.0, 3.0])) + 1e-3
    truth = stats.norm.logpdf([0.5, 0.5], [0.1, 0.2], scale)
    assert_allclose(likelihood.log_prob(jnp.array([[0.5, 0.5]]), parameters)[0], truth, rtol=1e-5)


def test_follows_the_protocol(likelihood: Likelihood):
    assert isinstance(likelihood, Likelihood)
    parameters = parameters_of(likelihood, (3, 4, 2))
    x = likelihood.sample(parameters, jax.random.key(1))
    assert likelihood.mean(parameters).shape == x.shape == likelihood.log_prob(x, parameters).shape == (3, 4, 2)


def test_mean_and_sample_agree(likelihood: Likelihood):
    """The average of many draws is the mean, within five standard errors."""
    parameters = parameters_of(likelihood, (6,))
    draws = jax.vmap(lambda key: likelihood.sample(parameters, key))(jax.random.split(jax.random.key(1), 20_000))
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - likelihood.mean(parameters)) < 5 * error + 1e-6)


def test_draws_have_the_probability_that_log_prob_says():
    """Frequencies of the levels of a discretised logistic, within five standard errors."""
    likelihood = create_likelihood(DiscretizedLogisticConfig(levels=5))
    parameters = jnp.array([0.7, -1.5])
    draws = jax.vmap(lambda key: likelihood.sample(parameters, key))(jax.random.split(jax.random.key(1), 20_000))
    for level in np.linspace(0, 1, 5):
        p = float(jnp.exp(likelihood.log_prob(jnp.array([level]), parameters))[0])
        assert abs(np.mean(np.isclose(draws, level)) - p) < 5 * np.sqrt(p * (1 - p) / len(draws))


@pytest.mark.parametrize("extreme", [-1e4, -100.0, 0.0, 100.0, 1e4])
def test_values_and_gradients_are_finite_at_extremes(likelihood: Likelihood, extreme: float):
    x = jnp.array([0.0, 0.5, 1.0])
    parameters = jnp.full(3 * likelihood.n_parameters, extreme)
    value, gradient = jax.value_and_grad(lambda p: likelihood.log_prob(x, p).sum())(parameters)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def test_log_prob_is_float32_for_half_precision(likelihood: Likelihood):
    parameters = parameters_of(likelihood, (3,)).astype(jnp.bfloat16)
    assert likelihood.log_prob(jnp.zeros(3, jnp.bfloat16), parameters).dtype == jnp.float32
    assert likelihood.mean(parameters).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianConfig(noise_scale=0.0), "noise_scale"),
        (lambda: GaussianConfig(noise_scale="lerned"), "'learned' or 'predicted'"),
        (lambda: LaplaceConfig(noise_scale="predicted"), "'learned'"),
        (lambda: DiscretizedLogisticConfig(levels=1), "greater than or equal to 2"),
        (lambda: DiscretizedLogisticConfig(data_range=(1.0, 0.0)), "lowest value first"),
    ],
)
def test_bad_choices_are_refused(make, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert not isinstance(caught.value, ArtifexError)  # a located validation error


@pytest.mark.parametrize("kind", ["bernoulli", "discretized_logistic"])
def test_data_outside_the_support_have_no_density(kind: str):
    likelihood = create_likelihood(CONFIGS[kind])
    parameters = jnp.zeros((4, likelihood.n_parameters))
    found = likelihood.log_prob(jnp.array([[-1.0], [0.0], [1.001], [1.1]]), parameters)  # rounded, and in other units
    assert np.isfinite(found).ravel().tolist() == [False, True, True, False]


def test_the_values_that_a_bounded_likelihood_declares_are_those_that_have_mass(likelihood):
    """Else the trainer would refuse what trains, or let pass what cannot."""
    allowed = values_of(likelihood).get("x")
    parameters = parameters_of(likelihood, (2, 1))
    if allowed is None:
        assert np.isfinite(likelihood.log_prob(jnp.array([[-1e3], [1e3]]), parameters)).all()
        return
    inside = jnp.array([[allowed.low - 0.99 * allowed.slack], [allowed.high + 0.99 * allowed.slack]])
    outside = jnp.array([[allowed.low - 1.01 * allowed.slack], [allowed.high + 1.01 * allowed.slack]])
    assert np.isfinite(likelihood.log_prob(inside, parameters)).all()
    assert np.isneginf(likelihood.log_prob(outside, parameters)).all()
