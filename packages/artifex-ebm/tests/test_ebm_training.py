"""Training ends where theory says, every objective; and a run that is resumed goes on with the very chains."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from artifex.core.densities import DENSITIES
from artifex.core.storage import load_model, save_model
from artifex.ebm import EBM, EBMConfig, MCMCConfig, SampleBufferConfig
from artifex.ebm.diagnostics import energy_gap, grid_divergence
from artifex.ebm.ebm import contrastive_step

COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.8]])
EXACT_CHAIN = MCMCConfig(sampler="mala", n_steps=10, step_size=0.3)
WAYS: dict[str, dict[str, Any]] = {
    "persistent": {"mcmc": EXACT_CHAIN, "sample_buffer": SampleBufferConfig(capacity=1000, reinit_probability=0.0)},
    "denoising": {"objective": {"kind": "denoising_score_matching", "noise_scale": 0.3}},
    "sliced": {"objective": "sliced_score_matching"},
    "noise_contrastive": {"objective": {"kind": "noise_contrastive", "noise_ratio": 2}},
}


def descended(model: EBM, draw: Any, *, steps: int, rate: float, batch: int, seed: int = 0) -> EBM:
    """The model after ``steps`` of Adam with a cosine, its parameters averaged over the last of them."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def loss(params, rest, x, key):
        made = nnx.merge(graph, params, rest)
        losses = contrastive_step(made, {"x": x}, nnx.Rngs(key), jnp.zeros(()))
        return losses["loss"], nnx.as_pure(nnx.state(made, nnx.Not(nnx.Param)))

    def step(carry, key):
        params, rest, state, average, moves = carry
        data_key, key = jax.random.split(key)
        grads, rest = jax.grad(loss, has_aux=True)(params, rest, draw(data_key, batch), key)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        decay = jnp.minimum(0.99, (1 + moves) / (10 + moves))
        return (params, rest, state, jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params), moves + 1), None

    start = (params, rest, optimizer.init(params), params, jnp.zeros(()))
    keys = jax.random.split(jax.random.key(seed), steps)
    _, rest, _, average, _ = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys)[0])(start, keys)
    return nnx.merge(graph, average, rest)


@pytest.mark.parametrize("way", WAYS)
def test_a_quadratic_energy_learns_a_gaussian(way: str):
    """The optimum is known: the data's covariance (of denoising, blurred by ``s^2``), and of NCE the constant too."""
    root = jnp.asarray(np.linalg.cholesky(COVARIANCE), jnp.float32)
    shift = jnp.array([[0.5, -1.0]])
    model = EBM(EBMConfig(input_dim=2, energy_network="quadratic", **WAYS[way]), rngs=nnx.Rngs(0))
    trained = descended(model, lambda key, n: shift + jax.random.normal(key, (n, 2)) @ root.T, steps=600, rate=0.03, batch=500)
    blur = 0.3**2 if way == "denoising" else 0.0
    wanted = COVARIANCE + blur * np.eye(2)
    assert np.allclose(trained.network.mean[...], shift[0], atol=0.06)
    assert np.allclose(np.linalg.inv(trained.network.precision), wanted, atol=0.08)
    if way == "noise_contrastive":
        log_z = np.log(2 * np.pi) + 0.5 * np.log(np.linalg.det(COVARIANCE))
        assert abs(float(trained.log_partition[...]) - log_z) < 0.06


@pytest.mark.nightly
@pytest.mark.parametrize("density", ["two_moons", "eight_gaussians"])
def test_a_network_learns_a_density_in_the_plane(density: str):
    """By persistent contrastive divergence; ``benchmarks/ebm_densities.py`` prints every objective."""
    truth = DENSITIES[density]()
    config = EBMConfig(
        input_dim=2,
        energy_network={"kind": "mlp", "hidden_dims": [128, 128]},
        mcmc=MCMCConfig(sampler="mala", n_steps=10, step_size=0.05),
        sample_buffer=SampleBufferConfig(capacity=2048, reinit_probability=0.0),
        reference={"kind": "gaussian", "scale": 2.0},
        tilted=True,
    )
    trained = descended(EBM(config, rngs=nnx.Rngs(0)), truth.sample, steps=3000, rate=5e-3, batch=256)
    divergence, log_z = grid_divergence(trained.energy, truth.log_prob)
    assert float(divergence) < 0.06
    chain = MCMCConfig(sampler="hmc", n_steps=1, step_size=0.1, n_leapfrog=5)
    found = trained.estimate_log_partition(n_particles=2000, n_levels=500, mcmc=chain, rngs=nnx.Rngs(1))
    assert abs(float(found.log_z) - float(log_z)) < 0.05
    held_out = truth.sample(jax.random.key(1), 4000)
    samples = trained.generate(2000, n_steps=200, rngs=nnx.Rngs(2))
    assert abs(float(energy_gap(trained, samples, held_out))) < 0.15


def test_the_buffer_is_saved_with_the_model(tmp_path):
    config = EBMConfig(input_dim=2, mcmc=MCMCConfig(n_steps=2), sample_buffer=SampleBufferConfig(capacity=16))
    model = EBM(config, rngs=nnx.Rngs(0))
    contrastive_step(model, {"x": jnp.zeros((4, 2))}, nnx.Rngs(1), jnp.zeros(()))
    loaded = load_model(save_model(model, tmp_path / "model"), rngs=nnx.Rngs(7))
    assert np.array_equal(loaded.buffer.chains[...], model.buffer.chains[...])
    assert loaded.buffer.chains.get_metadata()["logical_axes"] == ("batch", None)
