"""Dequantisation: bounds of known discrete distributions, bits per dimension by hand."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.flow import (
    Glow,
    GlowConfig,
    UniformDequantization,
    UniformDequantizationConfig,
    VariationalDequantization,
    VariationalDequantizationConfig,
)
from artifex.flow.bijections import Bijection, Flatten
from artifex.flow.dequantization import dequantize, levels_of, quantize
from artifex.flow.image_flow import ImageFlow

LEVELS = 4
MASSES = np.array([0.5, 0.25, 0.2, 0.05])
"""Of each level, all elements independent."""


class Cumulative(Bijection):
    """Each element through the cumulative distribution of ``y = (k + u) / L``, constant within a level: exactly optimal."""

    def forward(self, x, condition=None):
        edges = jnp.linspace(0, 1, LEVELS + 1)
        heights = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.asarray(MASSES))])
        cell = jnp.clip(jnp.floor(x * LEVELS), 0, LEVELS - 1).astype(int)
        log_derivative = jnp.log(jnp.asarray(MASSES) * LEVELS)[cell]
        z = jnp.interp(x.ravel(), edges, heights).reshape(len(x), -1)
        return z, jnp.sum(log_derivative, axis=(1, 2, 3))


def flow(layers: Bijection, levels: int = LEVELS) -> ImageFlow:
    config = GlowConfig(
        input_shape=(2, 2, 1), num_scales=1, dequantization={"kind": "uniform", "levels": levels}, base="uniform"
    )
    return ImageFlow(config, layers, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_uniform_density_costs_the_logarithm_of_the_number_of_levels(levels: int) -> None:
    model = flow(Flatten((2, 2, 1)), levels)
    x = jax.random.randint(jax.random.key(0), (5, 2, 2, 1), 0, levels) / (levels - 1)
    log_prob = model.log_prob(x, rngs=nnx.Rngs(1))
    np.testing.assert_allclose(log_prob, -4 * math.log(levels), rtol=1e-6)
    bits = model.loss_fn({"x": x}, {"log_prob": log_prob})["bits_per_dimension"]
    np.testing.assert_allclose(bits, math.log2(levels), rtol=1e-6)


def test_the_optimal_density_costs_the_entropy() -> None:
    model = flow(Cumulative())
    k = np.stack(np.meshgrid(*[np.arange(LEVELS)] * 4), -1).reshape(-1, 2, 2, 1)  # every image there is
    log_prob = np.asarray(model.log_prob(jnp.asarray(k), rngs=nnx.Rngs(0)), np.float64)
    masses = np.prod(MASSES[k], axis=(1, 2, 3))
    np.testing.assert_allclose(log_prob, np.log(masses), rtol=1e-5)
    entropy = -np.sum(MASSES * np.log2(MASSES))
    np.testing.assert_allclose(-np.sum(masses * log_prob) / (4 * math.log(2)), entropy, rtol=1e-5)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_dequantised_image_lies_in_the_cell_of_its_level(levels: int) -> None:
    k = jnp.arange(levels, dtype=jnp.float32)
    for u in (0.0, 0.5, 1 - 2**-24, 1.0):
        y = dequantize(k, jnp.full(levels, u), levels)
        assert float(y.max()) < 1
        np.testing.assert_array_equal(quantize(y, levels), k / (levels - 1))
    np.testing.assert_array_equal(levels_of(k / (levels - 1), levels), k)
    np.testing.assert_array_equal(levels_of(np.asarray(k, np.uint8) if levels <= 256 else k, levels), k)


def test_eight_bit_images_divided_by_255_keep_their_levels() -> None:
    stored = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(levels_of(jnp.asarray(stored).astype(jnp.float32) / 255, 256), stored)


def test_uniform_noise_is_uniform_and_its_density_one() -> None:
    dequantizer = UniformDequantization(UniformDequantizationConfig(levels=LEVELS), (2, 2, 1), rngs=nnx.Rngs(0))
    u, log_q = dequantizer.noise(jax.random.key(0), jnp.zeros((1000, 2, 2, 1)))
    np.testing.assert_array_equal(log_q, 0)
    distance = np.max(np.abs(np.sort(np.ravel(u)) - np.arange(1, 4001) / 4000))
    assert distance < 1.95 / np.sqrt(4000)  # Kolmogorov-Smirnov: one true sampler in a thousand fails


def variational(amount: float) -> VariationalDequantization:
    config = VariationalDequantizationConfig(levels=LEVELS, num_layers=2, network={"hidden_channels": 4})
    made = VariationalDequantization(config, (1, 2, 1), rngs=nnx.Rngs(0))
    params = nnx.state(made, nnx.Param)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(params))))
    nnx.update(made, jax.tree.map(lambda p: p + amount * jax.random.normal(next(keys), p.shape, "float32"), params))
    return made


def test_variational_noise_has_the_density_that_it_says() -> None:
    made = variational(0.3)
    with jax.enable_x64(True):
        graph, state = nnx.split(made)
        made = nnx.merge(graph, jax.tree.map(lambda v: v.astype("float64"), state))
        k = jnp.array([0.0, 3.0]).reshape(1, 1, 2, 1)
        key = jax.random.key(0)
        u, log_q = made.noise(key, k)
        e = jax.random.normal(key, k.shape, k.dtype)
        jacobian = jax.jacrev(lambda e: made.flow.forward(e, 2 * k / (LEVELS - 1) - 1)[0].ravel())(e).reshape(2, 2)
        expected = -0.5 * np.sum(np.square(e)) - math.log(2 * math.pi) - np.linalg.slogdet(jacobian)[1]
        np.testing.assert_allclose(log_q[0], expected, atol=1e-9)
        assert np.all((u > 0) & (u < 1))


def test_variational_noise_starts_nearly_uniform_and_sees_the_image() -> None:
    key, dark, bright = jax.random.key(0), jnp.zeros((4000, 1, 2, 1)), jnp.full((4000, 1, 2, 1), 3.0)
    _, log_q = variational(0.0).noise(key, dark)
    # the mean is the divergence from the uniform distribution: 0.0099 nats for each of two elements, if of sigmoid(1.75 e)
    np.testing.assert_allclose(jnp.mean(log_q), 0.0198, atol=0.01)
    made = variational(0.5)
    one, other = (made.noise(key, k)[0] for k in (dark, bright))
    assert float(jnp.mean(jnp.abs(one - other))) > 0.01


def test_halfway_beyond_the_last_level_is_outside() -> None:
    """``7/6`` of four levels is halfway between the last, 3, and the next, and rounds to that."""
    model = Glow(
        GlowConfig(input_shape=(2, 2, 1), num_scales=1, dequantization={"kind": "uniform", "levels": 4}), rngs=nnx.Rngs(0)
    )
    with pytest.raises(InvalidInputError, match="takes intensities"):
        model.log_prob(jnp.full((1, 2, 2, 1), 7 / 6))
    assert np.all(np.isfinite(model.log_prob(jnp.full((1, 2, 2, 1), 1.1))))
