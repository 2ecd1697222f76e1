"""Metrics against hand calculation and a model whose answer is known."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.core.errors import InvalidInputError
from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig, metrics


@pytest.fixture
def model() -> VAE:
    parts = {"encoder": EncoderConfig(input_shape=(6,), hidden_dims=()), "decoder": DecoderConfig(hidden_dims=())}
    return VAE(VAEConfig(**parts, latent_dim=3), rngs=nnx.Rngs(0))


def test_bits_per_dimension_of_uniform_8_bit_data_is_8():
    """Uniform over 256 levels, as probabilities, and as the density 1 on [0, 1] of data in steps of 1/256."""
    dimensions = 784
    assert_allclose(metrics.bits_per_dimension(jnp.array([-dimensions * math.log(256)]), dimensions), [8.0], rtol=1e-6)
    assert_allclose(metrics.bits_per_dimension(jnp.zeros(1), dimensions, bin_width=1 / 256), [8.0], rtol=1e-6)


def test_active_units_are_those_that_follow_the_data(model: VAE):
    """Means are made to be (x_0, 0.05 x_1, x_2 / 2) of standard normal data: variances 1, 0.0025, 0.25."""
    (layer,) = model.encoder.mlp.layers
    layer.kernel[...] = jnp.zeros_like(layer.kernel[...]).at[jnp.arange(3), jnp.arange(3)].set(jnp.array([1.0, 0.05, 0.5]))
    x = jax.random.normal(jax.random.key(0), (500, 6))
    assert metrics.active_units(model, x) == 2
    assert metrics.active_units(model, x, threshold=0.001) == 3
    assert metrics.active_units(model, x, threshold=0.5) == 1


def test_elbo_and_log_likelihood_of_a_decoder_that_ignores_its_latent(model: VAE):
    """Logits zero: log p(x | z) = 6 log(1/2) whatever z is, so log p(x) is that too, and the ELBO is less by the divergence."""
    (layer,) = model.decoder.mlp.layers
    layer.kernel[...] = jnp.zeros_like(layer.kernel[...])
    x = jax.random.uniform(jax.random.key(0), (20, 6))
    outputs = model(x)
    kl = model.loss_fn({"x": x}, outputs)["kl"]
    assert_allclose(metrics.elbo(model, x), -6 * math.log(2) - kl, rtol=1e-5)
    # the weights p(z) / q(z | x) have a mean of one; 5000 of them, of variance about one, are off by some 0.015 an example
    assert_allclose(metrics.log_likelihood(model, x, num_samples=5000), -6 * math.log(2), atol=0.03)


def test_bad_input_is_named(model: VAE):
    with pytest.raises(InvalidInputError, match="needs two at least"):
        metrics.active_units(model, jnp.zeros((1, 6)))
    with pytest.raises(InvalidInputError, match="dimensions is 0"):
        metrics.bits_per_dimension(jnp.zeros(1), 0)
