"""Flows given an observation: units, batches of observations, a posterior that is known, refusals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from artifex.core import create_model
from artifex.core.errors import InvalidInputError
from artifex.core.storage import load_model, save_model
from artifex.flow import ConditionalFlow, ConditionalFlowConfig, FlowMatchingConfig, MAFConfig, NeuralSplineFlowConfig

FLOW = MAFConfig(input_dim=2, num_transforms=1, hidden_dims=(), min_scale=1e-3)
CONFIG = ConditionalFlowConfig(flow=FLOW, condition_dim=3, embedding={"hidden_dims": (8,), "features": 4})
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(16, 2)) * [1e3, 1e-2] + [5e3, 0.0], jnp.float32)
CONDITION = jnp.asarray(RNG.normal(size=(16, 3)) * [1.0, 50.0, 1e-3] + [0.0, 9.0, 0.0], jnp.float32)


@pytest.fixture(scope="module")
def model() -> ConditionalFlow:
    made = create_model(CONFIG, rngs=nnx.Rngs(0))
    noise = np.random.default_rng(1)
    nnx.update(made, jax.tree.map(lambda p: p + 0.3 * noise.normal(size=p.shape).astype("f"), nnx.state(made, nnx.Param)))
    made.initialize({"x": X, "condition": CONDITION})
    return made


def test_densities_are_in_the_units_of_x(model: ConditionalFlow) -> None:
    z, log_det = model.forward(X, condition=CONDITION)
    jacobian = jax.jit(jax.vmap(jax.jacfwd(lambda x, c: model.forward(x[None], condition=c[None])[0][0])))(X, CONDITION)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(np.asarray(jacobian, np.float64))[1], atol=1e-4)
    log_prob = model.log_prob(X, condition=CONDITION)
    np.testing.assert_allclose(log_prob, -0.5 * np.sum(np.square(z), axis=1) - np.log(2 * np.pi) + log_det, atol=1e-4)
    np.testing.assert_allclose(model(X, condition=CONDITION)["log_prob"], log_prob, atol=1e-5)
    back, inverse_log_det = model.inverse(z, condition=CONDITION)
    np.testing.assert_allclose((back - X) / jnp.array([[1e3, 1e-2]]), 0.0, atol=1e-5)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-5)
    x, drawn = model.sample_and_log_prob(16, condition=CONDITION, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(model.log_prob(x, condition=CONDITION), drawn, atol=1e-4)


def test_every_element_of_the_observation_matters_whatever_its_units(model: ConditionalFlow) -> None:
    def log_prob(c: jax.Array) -> jax.Array:
        return model.log_prob(X, condition=c * jnp.array([[1.0, 50.0, 1e-3]])).sum()

    gradient = jax.grad(log_prob)(CONDITION / jnp.array([[1.0, 50.0, 1e-3]]))
    assert np.all(np.median(np.abs(gradient), axis=0) > 1e-3)


def test_loss_and_statistics_survive_being_saved(model: ConditionalFlow, tmp_path) -> None:
    batch = {"x": X, "condition": CONDITION}
    loss = model.loss_fn(batch, model(X, condition=CONDITION))["loss"]
    np.testing.assert_allclose(loss, -np.mean(model.log_prob(X, condition=CONDITION)), rtol=1e-6)
    loaded = load_model(save_model(model, tmp_path))
    np.testing.assert_array_equal(loaded.log_prob(X, condition=CONDITION), model.log_prob(X, condition=CONDITION))


def test_a_config_is_made_from_a_file_of_any_registered_flow() -> None:
    made = ConditionalFlowConfig.from_yaml(
        "{flow: {kind: neural_spline_flow, input_dim: 2, layer: coupling}, condition_dim: 5, embedding: {features: 3}}"
    )
    assert made.flow == NeuralSplineFlowConfig(input_dim=2, layer="coupling")
    assert made.conditioned.condition_dim == 3
    assert ConditionalFlowConfig.from_dict(made.to_dict()) == made


# the simulator: theta ~ N(PRIOR_MEAN, diag PRIOR_DEVIATION^2), c = A theta + noise * e. Everything about it is known.
PRIOR_MEAN, PRIOR_DEVIATION = np.array([3.0, -200.0]), np.array([0.5, 20.0])
A, NOISE = np.array([[1.0, 0.0], [0.5, 0.02], [0.0, 0.05]]), 0.6


def posterior(observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of ``theta`` given an observation: Bayes' rule between Gaussians."""
    covariance = np.linalg.inv(np.diag(PRIOR_DEVIATION**-2) + A.T @ A / NOISE**2)
    return covariance @ (PRIOR_MEAN / PRIOR_DEVIATION**2 + A.T @ observation / NOISE**2), covariance


def simulated(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    theta = PRIOR_MEAN + PRIOR_DEVIATION * rng.normal(size=(n, 2))
    return theta, theta @ A.T + NOISE * rng.normal(size=(n, 3))


def trained(model: ConditionalFlow, theta: np.ndarray, observed: np.ndarray, steps: int = 400) -> None:
    """Full-batch maximum likelihood in one compiled loop."""
    batch = {"x": jnp.asarray(theta, jnp.float32), "condition": jnp.asarray(observed, jnp.float32)}
    model.initialize(batch)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, steps))

    def loss(params):
        made = nnx.merge(graph, params, rest)
        return made.loss_fn(batch, made(batch["x"], condition=batch["condition"]))["loss"]

    def step(carry, _):
        updates, state = optimizer.update(jax.grad(loss)(carry[0]), carry[1])
        return (optax.apply_updates(carry[0], updates), state), None

    params = nnx.as_pure(params)
    (params, _), _ = jax.jit(lambda p: jax.lax.scan(step, (p, optimizer.init(p)), length=steps))(params)
    nnx.update(model, params)


def test_the_posterior_of_a_linear_gaussian_simulator_is_learned() -> None:
    """An affine layer without hidden units holds the posterior, so that only the number of simulations limits the fit.

    It is then a regression of the parameters on the observations, 4 000 of them, about two standard deviations out at most: the
    fitted mean is off by ``sqrt((1 + |c|^2) / 4000)`` standard deviations of the posterior, and those, whose logarithm is
    regressed alike, by a part ``sqrt((1 + |c|^2) / 8000)``, where ``|c|^2 < 9``. Five standard errors of that, and of 20 000
    samples, are allowed.
    """
    theta, observed = simulated(4000)
    model = create_model(ConditionalFlowConfig(flow=FLOW, condition_dim=3), rngs=nnx.Rngs(0))
    trained(model, theta, observed)
    observations = observed[:4]
    standard = (observations - observed.mean(0)) / observed.std(0)
    leverage = 1 + np.sum(standard**2, axis=1)
    assert np.all(leverage < 10)
    samples = model.sample_batched(20_000, condition=jnp.asarray(observations, jnp.float32), rngs=nnx.Rngs(1))
    for one, drawn, lever in zip(observations, np.asarray(samples, np.float64), leverage, strict=True):
        mean, covariance = posterior(one)
        whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        white = (drawn - mean) @ whiten.T  # standard normal, if the posterior is right
        assert np.all(np.abs(white.mean(0)) < 5 * np.sqrt(lever / 4000 + 1 / 20_000))
        assert np.all(np.abs(np.cov(white.T) - np.eye(2)) < 5 * 2 * np.sqrt(lever / 8000 + 1 / 40_000))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.log_prob(X), r"got none, expected one of shape \(16, 3\)"),
        (lambda m: m.log_prob(X, condition=CONDITION[:, :2]), r"expected one of shape \(16, 3\)"),
        (lambda m: m.sample(4), r"got none, expected one of shape \(4, 3\)"),
        (lambda m: m.sample(0, condition=CONDITION[:1]), "at least 1"),
        (lambda m: m.sample(4, condition=CONDITION[:3]), r"expected one of shape \(4, 3\)"),
        (lambda m: m.sample_batched(4, condition=CONDITION[0]), "observations, width"),
        (lambda m: m.initialize({"x": X, "condition": CONDITION[:, :2]}), r"expected one of shape \(16, 3\)"),
    ],
)
def test_bad_input_is_refused(model: ConditionalFlow, call, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        call(model)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ConditionalFlowConfig(flow=FLOW.replace(condition_dim=7), condition_dim=3), "3 wide; leave it out"),
        (
            lambda: ConditionalFlowConfig(flow=FlowMatchingConfig(input_dim=2, trace="normal"), condition_dim=3),
            "flow.trace is 'normal'",
        ),
        (lambda: ConditionalFlowConfig(flow={"kind": "mof", "input_dim": 2}, condition_dim=3), "maf"),
        (lambda: ConditionalFlowConfig(flow=FLOW, condition_dim=3, embedding={"activation": "rellu"}), "relu"),
    ],
)
def test_bad_configs_are_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
