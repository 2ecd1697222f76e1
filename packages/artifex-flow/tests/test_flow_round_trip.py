"""What float32 leaves of a round trip through trained flows, and of log densities far out.

A flow that gives empty places a low density squeezes them: what is rounded off there, ``2^-24 |z|``, the inverse stretches by
one over the slope. The error is held to 1e-4, out to ten standard deviations.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from artifex.core import create_model
from artifex.core.densities import DENSITIES
from artifex.flow import Flow, GlowConfig, IAFConfig, MAFConfig, NeuralSplineFlowConfig, RealNVPConfig

CONFIGS = {
    "maf": MAFConfig(input_dim=2, num_transforms=3),
    "iaf": IAFConfig(input_dim=2, num_transforms=3),
    "nsf": NeuralSplineFlowConfig(input_dim=2, num_transforms=3),
    "nsf_coupling": NeuralSplineFlowConfig(input_dim=2, num_transforms=4, layer="coupling"),
    "real_nvp": RealNVPConfig(input_dim=2, num_coupling_layers=8),
}


def standardised(density: str, key: jax.Array, n: int) -> jax.Array:
    """Draws from a density, standardised."""
    x, many = DENSITIES[density]().sample(key, n), DENSITIES[density]().sample(jax.random.key(7), 10_000)
    return (x - many.mean(axis=0)[None]) / many.std(axis=0)[None]


def trained(name: str, density: str, steps: int) -> Flow:
    """The model after maximum likelihood, in one compiled loop."""
    model = create_model(CONFIGS[name], rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))

    def step(carry, key):
        params, state = carry
        x = standardised(density, key, 256)
        grads = jax.grad(lambda params: -jnp.mean(nnx.merge(graph, params, rest)(x)["log_prob"]))(params)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(jax.random.key(1), steps)
    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, keys))((params, optimizer.init(params)))
    nnx.update(model, params)
    return model


@pytest.mark.nightly
@pytest.mark.parametrize("density", ["two_moons", "eight_gaussians"])
@pytest.mark.parametrize("name", CONFIGS)
def test_points_come_back_after_training(name: str, density: str) -> None:
    """From where data are, and from as far as ten standard deviations. ``benchmarks/flow_round_trip.py`` has the figures."""
    model = trained(name, density, 1500)
    x = standardised(density, jax.random.key(2), 20_000)
    np.testing.assert_allclose(model.inverse(model.forward(x)[0])[0], x, rtol=0, atol=1e-4)
    far = jax.random.uniform(jax.random.key(3), (200_000, 2), minval=-10.0, maxval=10.0)
    np.testing.assert_allclose(model.inverse(model.forward(far)[0])[0], far, rtol=0, atol=1e-4)


@pytest.mark.nightly
def test_images_far_from_the_data_come_back_from_a_glow() -> None:
    """Noise of up to ten times the deviation of the data, within the support. Where networks see all of it, layers multiply:
    the preset `glow-digits` made 1e17 of such images, and nothing came back."""
    config = GlowConfig(input_shape=(8, 8, 1), dequantization=None, alpha=0.05, num_steps=4, network={"hidden_channels": 32})
    model = create_model(config, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    place = np.linspace(-1, 1, 8)

    def discs(n: int) -> np.ndarray:
        """Smooth discs of any place and size, a little noisy, of deviation 0.3 or so."""
        x, y, size = rng.uniform(-0.5, 0.5, (2, n, 1, 1)), rng.uniform(-0.5, 0.5, (n, 1, 1)), rng.uniform(0.2, 0.8, (n, 1, 1))
        distance = (place[None, :, None] - x[0]) ** 2 + (place[None, None] - y) ** 2
        image = 1 / (1 + np.exp((distance - size**2) / 0.1)) + 0.03 * rng.normal(size=(n, 8, 8))
        return np.clip(image, 0.01, 0.99).astype(np.float32)[..., None]

    model.initialize({"x": jnp.asarray(discs(256))})
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, 200))

    @jax.jit
    def step(params, state, x):
        grads = jax.grad(lambda params: -jnp.mean(nnx.merge(graph, params, rest)(x)["log_prob"]))(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(200):
        params, state = step(params, state, discs(32))
    nnx.update(model, params)
    for deviations in (1, 3, 10):
        far = np.clip(0.5 + 0.3 * deviations * rng.uniform(-1, 1, (2000, 8, 8, 1)), 0.005, 0.995).astype(np.float32)
        np.testing.assert_allclose(model.inverse(model.forward(far)[0])[0], far, rtol=0, atol=1e-4)


EXTREMES = np.array([[s * a, t * b] for a in (0.0, 1e4, 1e10, 1e30) for b in (1.0, 1e30) for s in (1, -1) for t in (1, -1)])


@pytest.mark.daily("iaf", "nsf")
@pytest.mark.parametrize("name", CONFIGS)
def test_log_densities_of_extreme_points_are_numbers_or_minus_infinity(name: str) -> None:
    model = create_model(CONFIGS[name], rngs=nnx.Rngs(0))
    params = nnx.state(model, nnx.Param)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(params))))
    nnx.update(model, jax.tree.map(lambda p: p + jax.random.normal(next(keys), p.shape), params))
    log_prob = np.asarray(model.log_prob(jnp.asarray(EXTREMES, jnp.float32)))
    assert not np.any(np.isnan(log_prob) | np.isposinf(log_prob)), log_prob
