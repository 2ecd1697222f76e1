"""Reverse KL and what importance weights say, against closed forms between Gaussians."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import create_model
from artifex.core.errors import InvalidInputError
from artifex.flow import FlowMatchingConfig, GlowConfig, MAFConfig
from artifex.flow.losses import log_ratio, maximum_likelihood, reverse_kl, reverse_kl_objective
from artifex.flow.metrics import effective_sample_size, log_normalizer

MEAN, DEVIATION = 0.7, 1.8
LOG_Z = math.log(DEVIATION * math.sqrt(2 * math.pi))


def log_target(x: jax.Array) -> jax.Array:
    """``N(0.7, 1.8^2)`` without its normaliser."""
    return -0.5 * jnp.square((x[:, 0] - MEAN) / DEVIATION)


def gaussian(mean: float, deviation: float):
    """A flow that is ``N(mean, deviation^2)``: ``z = (x - mean) / deviation``, in the parameters of an affine layer."""
    limits = {"min_scale": 1e-3, "max_scale": 1e3}
    model = create_model(MAFConfig(input_dim=1, num_transforms=1, hidden_dims=(), **limits), rngs=nnx.Rngs(0))
    log_scale, limit = -math.log(deviation), math.log(1e3)
    raw = log_scale / (1 - abs(log_scale) / limit)  # what the soft clip makes log_scale of
    model.bijection.bijections[0].network.head.bias[...] = jnp.array([-mean / deviation, raw])
    return model


def divergence(mean: float, deviation: float) -> float:
    """``KL(N(mean, deviation^2) || target)``."""
    ratio = deviation / DEVIATION
    return 0.5 * (ratio**2 + ((mean - MEAN) / DEVIATION) ** 2 - 1) - math.log(ratio)


def gradients(model, *, path_gradient: bool, n_seeds: int = 400, n_samples: int = 64) -> np.ndarray:
    """Of the loss with respect to the layer's two parameters, one row for each seed."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, key):
        flow = nnx.merge(graph, params, rest)
        return reverse_kl(flow, log_target, n_samples, path_gradient=path_gradient, rngs=nnx.Rngs(key))

    keys = jax.random.split(jax.random.key(0), n_seeds)
    made = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, keys)
    return np.asarray(made["bijection"]["bijections"][0]["network"]["head"]["bias"][...], np.float64)


def test_at_the_target_every_sample_gives_minus_the_log_normaliser() -> None:
    _, log_weights = log_ratio(gaussian(MEAN, DEVIATION), log_target, 100, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(log_weights, LOG_Z, atol=1e-5)


def test_reverse_kl_is_the_divergence_less_the_log_normaliser() -> None:
    model, n = gaussian(0.2, 2.0), 20_000  # wider than the target, so that the weights have a variance
    _, log_weights = log_ratio(model, log_target, n, rngs=nnx.Rngs(0))
    loss = reverse_kl(model, log_target, n, rngs=nnx.Rngs(0))
    assert abs(float(loss) - (divergence(0.2, 2.0) - LOG_Z)) < 5 * np.std(log_weights) / math.sqrt(n)  # five standard errors
    assert float(reverse_kl_objective(log_target, n)(model, {}, nnx.Rngs(0), jnp.array(0))["loss"]) == float(loss)
    # of log mean w the standard error is sqrt(1 / ESS - 1 / n)
    effective = float(effective_sample_size(log_weights))
    assert n / 2 < effective < 0.99 * n
    assert abs(float(log_normalizer(log_weights)) - LOG_Z) < 5 * math.sqrt(1 / effective - 1 / n)


@pytest.mark.parametrize("path_gradient", [False, True])
def test_the_gradient_is_that_of_the_divergence(path_gradient: bool) -> None:
    mean, deviation = -0.5, 1.0
    made = gradients(gaussian(mean, deviation), path_gradient=path_gradient)
    # of KL by (shift, s) where mean = -shift * deviation and deviation = e^-s, at s = 0, where the soft clip has slope 1
    by_mean = (mean - MEAN) / DEVIATION**2
    by_deviation = deviation / DEVIATION**2 - 1 / deviation
    expected = np.array([-by_mean * deviation, -by_mean * mean - by_deviation * deviation])
    assert np.all(np.abs(made.mean(0) - expected) < 5 * made.std(0) / math.sqrt(len(made)))


def test_at_the_target_the_path_gradient_is_zero_and_the_other_is_noise() -> None:
    model = gaussian(MEAN, DEVIATION)
    assert np.max(np.abs(gradients(model, path_gradient=True, n_seeds=20))) < 1e-5  # rounding
    assert np.min(gradients(model, path_gradient=False, n_seeds=20).std(0)) > 0.01


@pytest.mark.parametrize("path_gradient", [False, True])
def test_reverse_kl_of_a_conditional_flow_takes_one_condition_for_all(path_gradient: bool) -> None:
    model = create_model(MAFConfig(input_dim=1, num_transforms=1, hidden_dims=(), condition_dim=2), rngs=nnx.Rngs(0))
    one, all_rows = jnp.ones((1, 2)), jnp.ones((8, 2))
    losses = [
        reverse_kl(model, log_target, 8, condition=c, path_gradient=path_gradient, rngs=nnx.Rngs(0)) for c in (one, all_rows)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_maximum_likelihood_adds_up_in_float32() -> None:
    log_prob = jnp.full(1000, -1.0, jnp.bfloat16)
    loss = maximum_likelihood(log_prob)
    assert loss.dtype == jnp.float32
    assert float(loss) == 1.0


def test_a_target_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"\(4, 1\).*expected one number a point, \(4,\)"):
        reverse_kl(gaussian(0.0, 1.0), lambda x: -(x**2), 4, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "config",
    [
        GlowConfig(input_shape=(2, 2, 1), num_scales=1, network={"hidden_channels": 4}),
        FlowMatchingConfig(input_dim=2, trace="rademacher"),
    ],
    ids=["a bound", "an estimate"],
)
def test_a_path_gradient_needs_the_exact_density(config) -> None:
    flow = create_model(config, rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match="leave path_gradient out"):
        reverse_kl(flow, lambda x: jnp.zeros(len(x)), 4, path_gradient=True, rngs=nnx.Rngs(0))
