"""Losses against closed forms, and score matching against SciPy's and calculus's answers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.ebm import EBM, EBMConfig, MCMCConfig, MixtureEnergyConfig, QuadraticEnergyConfig, losses
from artifex.ebm.energies import mixture_energy
from artifex.ebm.partition import annealed_importance_sampling, effective_number, systematic_resampling, tempered_smc

PRECISION = jnp.array([[2.0, 0.5], [0.5, 1.0]])
X = jax.random.normal(jax.random.key(0), (200, 2))


def gaussian(x):
    return 0.5 * jnp.sum((x @ PRECISION) * x, axis=-1)


def test_sliced_score_matching_of_a_gaussian():
    """``grad E = P x`` and ``v^T grad^2 E v = v^T P v``: ``|P x|^2 / 2 - mean_v v^T P v``."""
    v = jax.random.rademacher(jax.random.key(1), (3, *X.shape), jnp.float32)
    found = losses.sliced_score_matching(gaussian, X, v)
    wanted = 0.5 * jnp.sum((X @ PRECISION) ** 2, axis=-1) - jnp.mean(jnp.einsum("vni,ij,vnj->vn", v, PRECISION, v), axis=0)
    assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_sliced_score_matching_is_fisher_divergence_up_to_a_constant():
    """With every sign of ``v`` the curvature is the trace, and the loss of the truth is least."""
    signs = jnp.array([[1.0, 1.0], [1.0, -1.0]])[:, None] * jnp.ones((1, 50_000, 1))
    data = jax.random.normal(jax.random.key(2), (50_000, 2))

    @jax.jit
    def loss(scale):
        return jnp.mean(losses.sliced_score_matching(lambda x: jnp.sum(x**2, axis=-1) / (2 * scale), data, signs))

    # score of N(0, s I) at data N(0, I): 1/2 E|x|^2 / s^2 - 2 / s = 1 / s^2 - 2 / s, least at s = 1
    for scale in (0.5, 1.0, 2.0):
        assert np.allclose(loss(scale), 1 / scale**2 - 2 / scale, atol=0.02 / scale**2)


def test_denoising_score_matching_of_a_gaussian():
    noise, scale = jax.random.normal(jax.random.key(3), X.shape), 0.3
    found = losses.denoising_score_matching(gaussian, X, noise, scale)
    wanted = 0.5 * jnp.sum((scale * (X + scale * noise) @ PRECISION - noise) ** 2, axis=-1)
    assert np.allclose(found, wanted, rtol=1e-5)


def test_noise_contrastive_estimation_is_logistic_regression():
    data, noise = np.array([0.3, -2.0, 5.0]), np.array([-1.0, 0.5])
    of_data, of_noise = losses.noise_contrastive(jnp.asarray(data), jnp.asarray(noise))
    assert np.allclose(of_data, -np.log(1 / (1 + np.exp(-data))), rtol=1e-5)
    assert np.allclose(of_noise, -np.log(1 - 1 / (1 + np.exp(-noise))), rtol=1e-5)


def test_the_energy_penalty():
    assert float(losses.energy_penalty(jnp.array([1.0, 3.0]), jnp.array([2.0]))) == 9.0


def test_a_mixture_of_energies_is_a_sum_of_densities():
    energies, weights = jnp.array([[0.5, 2.0], [3.0, -1.0]]), jnp.array([0.25, 0.75])
    assert np.allclose(np.exp(-mixture_energy(energies, weights)), np.exp(-energies) @ weights, rtol=1e-6)


def test_components_of_a_mixture_start_apart():
    config = EBMConfig(input_dim=2, energy_network=MixtureEnergyConfig(components=(QuadraticEnergyConfig(mean_scale=1.0),) * 3))
    means = [np.asarray(c.mean[...]) for c in EBM(config, rngs=nnx.Rngs(0)).network.components]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(means) for b in means[:i]) > 0.01


@pytest.mark.parametrize("method", ["ais", "smc"])
def test_log_z_of_a_gaussian(method: str):
    """``Z = (2 pi)^(D / 2) / sqrt(det P)``, from the standard normal."""
    model = EBM(EBMConfig(input_dim=6, energy_network="quadratic"), rngs=nnx.Rngs(0))
    factor = np.eye(6) * np.array([0.4, 0.7, 1.0, 1.5, 2.0, 3.0]) + 0.2 * np.eye(6, k=1)
    model.network.factor[...] = jnp.asarray(factor, jnp.float32)
    model.network.mean[...] = jnp.array([1.0, -1.0, 0.5, 0.0, 0.2, -0.4])
    wanted = 3 * np.log(2 * np.pi) - np.log(np.abs(np.linalg.det(factor)))
    chain = MCMCConfig(sampler="hmc", n_steps=1 if method == "ais" else 4, step_size=0.25, n_leapfrog=5)
    levels = 200 if method == "ais" else None
    found = model.estimate_log_partition(method=method, n_particles=2000, n_levels=levels, mcmc=chain, rngs=nnx.Rngs(1))
    assert abs(float(found.log_z) - wanted) < 0.05
    assert float(found.standard_error) < 0.05


def test_annealed_weights_have_no_bias_without_any_chain():
    """With chains that stand still AIS is importance sampling: the mean weight is Z whatever the levels."""
    x = jax.random.normal(jax.random.key(0), (20_000, 1))

    def log_density(x, beta):  # from N(0, 1), Z_0 = 1, to a box of height e^-1 under it
        return (1 - beta) * (-0.5 * x[:, 0] ** 2 - 0.5 * jnp.log(2 * jnp.pi)) - beta * (0.7 * x[:, 0] ** 2 + 1)

    wanted = 0.5 * np.log(np.pi / 0.7) - 1
    still = jax.jit(
        lambda x: annealed_importance_sampling(
            log_density, lambda key, x, beta: x, x, jax.random.key(1), log_z0=0.0, n_levels=7
        )
    )(x)
    assert abs(float(still.log_z) - wanted) < 4 * float(still.standard_error)
    assert float(still.standard_error) < 0.01


def test_smc_without_chains_is_importance_sampling_too():
    x = jax.random.normal(jax.random.key(0), (20_000, 1))

    def log_density(x, beta):
        return (1 - beta) * (-0.5 * x[:, 0] ** 2 - 0.5 * jnp.log(2 * jnp.pi)) - beta * 0.7 * x[:, 0] ** 2

    found = jax.jit(lambda x: tempered_smc(log_density, lambda key, x, beta: x, x, jax.random.key(1), log_z0=0.0))(x)
    assert abs(float(found.log_z) - 0.5 * np.log(np.pi / 0.7)) < 0.02
    assert int(found.n_levels) >= 1


def test_systematic_resampling_draws_each_its_expected_number_of_times():
    weights = jax.random.uniform(jax.random.key(0), (50,))
    counts = np.bincount(systematic_resampling(jax.random.key(1), jnp.log(weights)), minlength=50)
    expected = 50 * np.asarray(weights / weights.sum())
    assert np.all(np.abs(counts - expected) < 1)
    assert np.allclose(effective_number(jnp.log(weights)), weights.sum() ** 2 / (weights**2).sum(), rtol=1e-4)
