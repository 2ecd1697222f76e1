"""The restricted Boltzmann machine against sums over all of its states."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import integrate

from artifex.core.errors import InvalidInputError
from artifex.ebm import RBM, RBMConfig, SampleBufferConfig


def states(n: int) -> jnp.ndarray:
    """``(2^n, n)``: all of them."""
    return ((jnp.arange(2**n)[:, None] >> jnp.arange(n)[None]) & 1).astype(jnp.float32)


def machine(visible: int, hidden: int, *, scale: float = 0.7, **config) -> RBM:
    """With weights that matter."""
    model = RBM(RBMConfig(input_dim=visible, n_hidden=hidden, **config), rngs=nnx.Rngs(0))
    keys = jax.random.split(jax.random.key(1), 3)
    for parameter, key in zip((model.weights, model.visible_bias, model.hidden_bias), keys, strict=True):
        parameter[...] = scale * jax.random.normal(key, parameter.shape)
    return model


def probabilities(model: RBM, v: jnp.ndarray) -> np.ndarray:
    return np.asarray(jax.nn.softmax(-model.energy(v)), np.float64)


def test_the_free_energy_is_a_sum_over_the_hidden_units():
    model, v, h = machine(4, 3), states(4), states(3)
    weights, b, c = (np.asarray(p[...]) for p in (model.weights, model.visible_bias, model.hidden_bias))
    joint = (
        -np.asarray(v) @ b - (np.asarray(h) @ c)[:, None] - np.asarray(h) @ weights.T @ np.asarray(v).T
    )  # (H states, V states)
    assert np.allclose(model.energy(v), -np.log(np.exp(-joint).sum(axis=0)), atol=1e-5)
    assert np.allclose(model.log_partition(), np.log(np.exp(-joint).sum()), atol=1e-5)
    given = np.exp(-joint) / np.exp(-joint).sum(axis=0)
    assert np.allclose(model.hidden_probabilities(v), given.T @ np.asarray(h), atol=1e-5)


def test_z_of_gaussian_units_is_an_integral():
    model = machine(1, 3, visible_units="gaussian", visible_scale=0.6)
    z = integrate.quad(lambda x: np.exp(-float(model.energy(jnp.full((1, 1), x))[0])), -8, 8, epsabs=1e-4, limit=30)[0]
    assert abs(float(model.log_partition()) - np.log(z)) < 1e-3


@pytest.mark.parametrize("units", ["binary", "gaussian"])
def test_gibbs_sampling_draws_from_the_model(units: str):
    model = machine(3, 2, visible_units=units)
    x = np.asarray(model.generate(40_000, n_steps=30, rngs=nnx.Rngs(2)), np.float64)
    if units == "binary":
        found = np.bincount((x @ np.array([1, 2, 4])).astype(int), minlength=8) / len(x)
        wanted = probabilities(model, states(3))
        assert np.all(np.abs(found - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / len(x)))
    else:  # a mixture of Gaussians at b + s W h
        h = np.asarray(states(2))
        weights, b, c = (np.asarray(p[...], np.float64) for p in (model.weights, model.visible_bias, model.hidden_bias))
        means = b[None] + h @ weights.T
        share = np.exp(h @ c + (b[None] * (h @ weights.T) + 0.5 * (h @ weights.T) ** 2).sum(axis=1))
        share /= share.sum()
        mean = share @ means
        covariance = np.eye(3) + np.einsum("k,ki,kj->ij", share, means - mean, means - mean)
        assert np.all(np.abs(x.mean(axis=0) - mean) < 4 * np.sqrt(np.diag(covariance) / len(x)))
        # a covariance has a standard error of at most sqrt(3 v_i v_j / n) where tails are no fatter than a Gaussian's
        bound = 4 * np.sqrt(3 * np.outer(np.diag(covariance), np.diag(covariance)) / len(x))
        assert np.all(np.abs(np.cov(x.T) - covariance) < bound)


def exact_and_estimated(n_chains: int, n_gibbs: int, n_batches: int = 1) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The gradient of the mean of ``-log p`` over given data, by enumeration, and contrastive divergence's."""
    model = machine(4, 3, scale=1.0, n_gibbs=n_gibbs)
    data = states(4)[jnp.array([1, 3, 7, 15, 12])]
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def exact(params):
        made = nnx.merge(graph, params, rest)
        return jnp.mean(made._free_energy(data)) + jax.nn.logsumexp(-made._free_energy(states(4)))

    def estimated(params, x, key):
        made = nnx.merge(graph, params, rest)
        return made.loss_fn({"x": x}, made(x, rngs=nnx.Rngs(key)))["loss"]

    x = jnp.tile(data, (n_chains // 5, 1))
    gradient = jax.jit(jax.grad(estimated))
    found = [jax.tree.leaves(gradient(params, x, key)) for key in jax.random.split(jax.random.key(3), n_batches)]
    means = [np.mean([np.asarray(leaf, np.float64) for leaf in leaves], axis=0) for leaves in zip(*found, strict=True)]
    return [np.asarray(g) for g in jax.tree.leaves(jax.grad(exact)(params))], means


@pytest.mark.nightly
def test_contrastive_divergence_is_the_exact_gradient_in_the_end():
    """2.5 million chains: the largest standard error is that of a bias, 0.5 / sqrt(2.5e6) = 3e-4.

    In 25 batches, since a float32 sum over all of them would have an error of that size too.
    """
    for exact, found in zip(*exact_and_estimated(100_000, 200, n_batches=25), strict=True):
        assert np.max(np.abs(exact - found)) < 1e-3


def test_contrastive_divergence_is_near_the_exact_gradient():
    """Four standard errors of a bias with 30 000 chains, 0.5 / sqrt(3e4) each; one step from the data is further off."""
    bound = 4 * 0.5 / np.sqrt(30_000)
    assert all(np.max(np.abs(a - b)) < bound for a, b in zip(*exact_and_estimated(30_000, 60), strict=True))
    assert any(np.max(np.abs(a - b)) > bound for a, b in zip(*exact_and_estimated(30_000, 1), strict=True))


@pytest.mark.parametrize("method", ["ais", "smc"])
def test_log_z_of_two_to_the_twelve_states(method: str):
    model = machine(12, 6)
    wanted = float(jax.nn.logsumexp(-model.energy(states(12))))
    assert abs(float(model.log_partition()) - wanted) < 1e-3
    levels = 500 if method == "ais" else None
    found = model.estimate_log_partition(method=method, n_particles=2000, n_levels=levels, rngs=nnx.Rngs(4))
    assert abs(float(found.log_z) - wanted) < 0.05
    assert float(found.standard_error) < 0.05


@pytest.mark.nightly
@pytest.mark.parametrize("method", ["ais", "smc"])
def test_log_z_of_gaussian_units(method: str):
    model = machine(12, 6, scale=0.5, visible_units="gaussian")
    found = model.estimate_log_partition(method=method, n_particles=4000, rngs=nnx.Rngs(5))
    assert abs(float(found.log_z) - float(model.log_partition())) < 0.05


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"visible_scale is 2\.0, but binary units have none"):
        RBMConfig(input_dim=4, n_hidden=2, visible_scale=2.0)
    with pytest.raises(ValueError, match="give one of them, the shape of an example"):
        RBMConfig(n_hidden=2)
    model = RBM(
        RBMConfig(input_dim=4, n_hidden=21, n_generation_steps=1, sample_buffer=SampleBufferConfig(capacity=3)),
        rngs=nnx.Rngs(0),
    )
    with pytest.raises(InvalidInputError, match="21 hidden units have too many states to add up"):
        model.log_partition()
    with pytest.raises(InvalidInputError, match="keeps 3 chains, fewer than the 5 examples of a batch"):
        model(jnp.zeros((5, 4)))
    with pytest.raises(InvalidInputError, match=r"x has shape \(5, 3\), and the model is of shape \(batch, 4\)"):
        model.energy(jnp.zeros((5, 3)))
    with pytest.raises(InvalidInputError, match="sequential Monte Carlo chooses its levels"):
        model.estimate_log_partition(method="smc", n_levels=10)
