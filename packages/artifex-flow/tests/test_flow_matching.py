"""Flow matching against closed forms for Gaussians, and its pairs against SciPy's assignments."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import scipy.stats
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.flow import FlowMatching, FlowMatchingConfig
from artifex.flow.flow_matching import flow_matching, linear_path, paired

MEAN, DEVIATION, SIGMA = np.array([1.0, -2.0]), np.array([0.5, 2.0]), 0.1
"""Data ``N(m, diag S^2)``, and the blur of the path."""


def optimal(x: Any, t: Any) -> tuple[Any, Any]:
    """``E[u_t | x_t = x]`` for independent normal data and noise, and ``Var[u_t | x_t]``, by Gaussian conditioning."""
    left = 1 - (1 - SIGMA) * t
    variance = left**2 + (t * DEVIATION) ** 2
    covariance = t * DEVIATION**2 - (1 - SIGMA) * left
    return MEAN + covariance / variance * (x - t * MEAN), DEVIATION**2 + (1 - SIGMA) ** 2 - covariance**2 / variance


class Optimal(nnx.Module):
    """The velocity of least loss."""

    def __call__(self, x: jax.Array, t: jax.Array, condition: Any = None) -> jax.Array:
        left = 1 - (1 - SIGMA) * t[:, None]
        m, s = (jnp.asarray(value, x.dtype)[None] for value in (MEAN, DEVIATION))
        rate = (t[:, None] * s**2 - (1 - SIGMA) * left) / (left**2 + (t[:, None] * s) ** 2)
        return m + rate * (x - t[:, None] * m)


def draws(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, data, times."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)), MEAN + DEVIATION * rng.normal(size=(n, 2)), rng.uniform(size=n)


def test_the_path_leads_from_noise_to_data_with_the_velocity_it_says() -> None:
    x0, x1, t = (jnp.asarray(value, jnp.float32) for value in draws(8))
    start, end = (linear_path(x0, x1, jnp.full(8, at), sigma_min=SIGMA)[0] for at in (0.0, 1.0))
    np.testing.assert_allclose(start, x0, rtol=1e-6)
    np.testing.assert_allclose(end, x1 + SIGMA * x0, rtol=1e-5, atol=1e-6)
    place, velocity = linear_path(x0, x1, t, sigma_min=SIGMA)
    _, derivative = jax.jvp(lambda t: linear_path(x0, x1, t, sigma_min=SIGMA)[0], (t,), (jnp.ones(8),))
    np.testing.assert_allclose(velocity, derivative, rtol=1e-5, atol=1e-6)
    assert place.shape == (8, 2)


@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_regression_on_the_target_finds_the_conditional_mean(t: float) -> None:
    x0, x1, _ = draws(20_000)
    place, target = map(np.asarray, linear_path(jnp.asarray(x0), jnp.asarray(x1), jnp.full(20_000, t), sigma_min=SIGMA))
    for i in range(2):
        fit = scipy.stats.linregress(place[:, i], target[:, i])
        (at_zero, _), (at_one, _) = optimal(0.0, t), optimal(1.0, t)
        assert abs(fit.intercept - at_zero[i]) < 5 * fit.intercept_stderr
        assert abs(fit.slope - (at_one - at_zero)[i]) < 5 * fit.stderr


def test_no_velocity_has_less_loss_than_the_conditional_variance() -> None:
    x0, x1, t = draws(40_000)
    place, target = linear_path(*(jnp.asarray(value, jnp.float32) for value in (x0, x1, t)), sigma_min=SIGMA)
    best, variance = optimal(np.asarray(place), t[:, None])
    loss = flow_matching(jnp.asarray(best, jnp.float32), target)
    squares = np.sum((np.asarray(target) - best) ** 2, axis=1)
    assert abs(loss - np.mean(np.sum(variance, axis=1))) < 5 * squares.std() / 200
    np.testing.assert_allclose(loss, squares.mean(), rtol=1e-5)


def test_the_best_velocity_carries_the_base_to_the_data() -> None:
    model = FlowMatching(
        FlowMatchingConfig(input_dim=2, hidden_dims=(2,), solver={"rtol": 1e-6, "atol": 1e-6}), rngs=nnx.Rngs(0)
    )
    model.bijection.velocity = Optimal()
    x = draws(16)[1].astype(np.float32)
    spread = np.hypot(DEVIATION, SIGMA)
    z, log_det = model.forward(jnp.asarray(x))
    np.testing.assert_allclose(z, (x - MEAN) / spread, atol=2e-5)
    np.testing.assert_allclose(log_det, -np.log(spread).sum(), atol=2e-5)


@pytest.mark.parametrize(("n", "dimensions"), [(1, 2), (2, 1), (32, 2), (48, 8)])
def test_pairs_are_the_best_assignment(n: int, dimensions: int) -> None:
    x0, x1 = (jax.random.normal(key, (n, dimensions)) for key in jax.random.split(jax.random.key(n)))
    made = np.asarray(paired(x0, x1))
    assert sorted(map(tuple, made)) == sorted(map(tuple, np.asarray(x0)))
    cost = np.sum((np.asarray(x1, np.float64)[:, None] - np.asarray(x0, np.float64)[None]) ** 2, axis=-1)
    best = cost[scipy.optimize.linear_sum_assignment(cost)].sum()
    np.testing.assert_allclose(np.sum((made - np.asarray(x1)) ** 2.0), best, rtol=1e-5)
    assert n < 32 or best < 0.8 * np.trace(cost)


def test_pairs_of_equal_points_are_a_permutation() -> None:
    x0 = jnp.arange(4.0)[:, None]
    assert sorted(np.asarray(paired(x0, jnp.zeros((4, 1)))).ravel()) == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("pairing", ["optimal_transport", pytest.param("independent", marks=pytest.mark.nightly)])
def test_training_leads_to_the_density_of_the_data(pairing: str) -> None:
    config = FlowMatchingConfig(input_dim=2, hidden_dims=(32, 32), pairing=pairing, solver={"rtol": 1e-4, "atol": 1e-4})
    model, batch = FlowMatching(config, rngs=nnx.Rngs(0)), 64
    steps = {"optimal_transport": 600, "independent": 3000}[pairing]  # straighter paths are learned sooner
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    rest, optimizer = nnx.as_pure(rest), optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        params, state = carry
        data_key, model_key = jax.random.split(key)
        x = data(jax.random.normal(data_key, (batch, 2)))

        def loss(params: Any) -> jax.Array:
            model = nnx.merge(graph, params, rest)
            return model.loss_fn({"x": x}, model(x, rngs=nnx.Rngs(model_key)))["loss"]

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    params = nnx.as_pure(params)
    train = jax.jit(lambda *carry: jax.lax.scan(step, carry, jax.random.split(jax.random.key(1), steps))[0])
    nnx.update(model, train(params, optimizer.init(params))[0])
    z = jax.random.normal(jax.random.key(2), (2000, 2))
    divergence = bent_log_prob(z) - np.asarray(model.log_prob(data(z)))
    assert abs(divergence.mean()) < 0.1  # before training there is 1.5


def data(z: jax.Array) -> jax.Array:
    """A bent ridge: a normal sample, its second element moved by the square of the first and narrowed."""
    return jnp.stack([z[:, 0], z[:, 0] ** 2 - 1 + 0.4 * z[:, 1]], axis=-1)


def bent_log_prob(z: jax.Array) -> np.ndarray:
    """Log density of :func:`data` where it puts ``z``."""
    return scipy.stats.norm.logpdf(np.asarray(z)).sum(axis=1) - np.log(0.4)


def test_a_condition_steers_the_velocity() -> None:
    model = FlowMatching(FlowMatchingConfig(input_dim=2, condition_dim=1, hidden_dims=(8,)), rngs=nnx.Rngs(0))
    x, condition = jnp.ones((4, 2)), jnp.arange(4.0)[:, None]
    one, other = (model(x, condition=c, rngs=nnx.Rngs(1)) for c in (condition, -condition))
    np.testing.assert_array_equal(one["target"], other["target"])
    assert np.all(np.any(one["velocity"][1:] != other["velocity"][1:], axis=1))
    with pytest.raises(InvalidInputError, match="condition"):
        model(x)


def test_what_flow_matching_cannot_train_is_refused() -> None:
    with pytest.raises(ValueError, match="use pairing 'independent'"):
        FlowMatchingConfig(input_dim=2, condition_dim=1, pairing="optimal_transport")
    with pytest.raises(ValueError, match="sigma_min"):
        FlowMatchingConfig(input_dim=2, sigma_min=1.0)
    with pytest.raises(InvalidInputError, match="has parameters"):
        FlowMatching(FlowMatchingConfig(input_dim=2, base={"kind": "normal", "learned": True}), rngs=nnx.Rngs(0))
