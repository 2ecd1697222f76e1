"""Metrics against hand calculation and a model whose answer is known."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose
from scipy import integrate, stats

from artifex.core import plugins
from artifex.core.errors import InvalidInputError
from artifex.vae import (
    VAE,
    VQVAE,
    ConditionalVAE,
    ConditionalVAEConfig,
    DecoderConfig,
    DiagonalGaussian,
    EncoderConfig,
    VAEConfig,
    VQVAEConfig,
    metrics,
)
from artifex.vae.information import factor_entropies, latent_factor_information
from artifex.vae.streamed import NUM_SAMPLES


@pytest.fixture
def model() -> VAE:
    parts = {"encoder": EncoderConfig(input_shape=(6,), hidden_dims=()), "decoder": DecoderConfig(hidden_dims=())}
    return VAE(VAEConfig(**parts, latent_dim=3), rngs=nnx.Rngs(0))


def test_bits_per_dimension_of_uniform_8_bit_data_is_8():
    """Uniform over 256 levels, as probabilities, and as the density 1 on [0, 1] of data in steps of 1/256."""
    x = jnp.zeros((2, 28, 28, 1))
    assert_allclose(metrics.bits_per_dimension(jnp.full(2, -784 * math.log(256)), x), 8.0, rtol=1e-6)
    assert_allclose(metrics.bits_per_dimension(jnp.zeros(2), x, bin_width=1 / 256), 8.0, rtol=1e-6)
    assert_allclose(metrics.bits_per_dimension(jnp.array([-2.0, -4.0]) * math.log(2), jnp.zeros((2, 3))), 1.0, rtol=1e-6)


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
    assert_allclose(metrics.distortion(model, x), 6 * math.log(2), rtol=1e-5)
    assert_allclose(metrics.rate(model, x), kl, rtol=1e-5)
    # the weights p(z) / q(z | x) have a mean of one; 5000 of them, of variance about one, are off by some 0.015 an example
    assert_allclose(metrics.log_likelihood(model, x, num_samples=5000), -6 * math.log(2), atol=0.03)


class Posterior:
    """A model that knows the latent of example ``n``: mean ``x[n]``, standard deviation ``scale``."""

    def __init__(self, scale: float = 0.01):
        self.scale, self.rngs = scale, nnx.Rngs(0)

    def encode(self, x: jax.Array) -> DiagonalGaussian:
        return DiagonalGaussian(x, jnp.full_like(x, 2 * math.log(self.scale)))


def test_the_gap_is_one_where_each_factor_has_a_latent_of_its_own():
    """By hand, four examples, two binary factors, three latents far more precise than their values are apart."""
    labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    alone = jnp.array([[0.0, 0, 7], [0, 1, 7], [1, 0, 7], [1, 1, 7]])  # z_0 is factor 0, z_1 factor 1
    assert_allclose(metrics.mutual_information_gap(Posterior(), alone, labels), 1.0, atol=1e-5)
    twice = alone.at[:, 2].set(alone[:, 0])  # z_2 says what z_0 says: no gap for factor 0
    assert_allclose(metrics.mutual_information_gap(Posterior(), twice, labels), 0.5, atol=1e-5)
    # z_0 names the example, which is log 4 nats, but only log 2 of either factor; z_1 is factor 1, so no gap there
    names = jnp.array([[0.0, 0, 7], [1, 1, 7], [2, 0, 7], [3, 1, 7]])
    assert_allclose(metrics.mutual_information_gap(Posterior(), names, labels), 0.5, atol=1e-5)
    assert_allclose(metrics.mutual_information_gap(Posterior(), names, labels[:, 0]), 1.0, atol=1e-5)


def test_the_gap_is_the_information_of_two_overlapping_gaussians():
    """``z_0 | v ~ N(+-1, 1)``, ``z_1 ~ N(0, 1)``: by quadrature, the information of the one over log 2; the other has none."""
    p, q = stats.norm(1, 1), stats.norm(-1, 1)
    mixture = lambda z: (p.pdf(z) + q.pdf(z)) / 2  # noqa: E731
    truth = integrate.quad(lambda z: p.pdf(z) * np.log(p.pdf(z) / mixture(z)), -12, 12)[0] / math.log(2)
    labels = np.arange(100) % 2
    x = jnp.stack([2.0 * labels - 1, jnp.zeros(100)], axis=1)
    found = [metrics.mutual_information_gap(Posterior(1.0), x, labels, num_samples=50, rngs=nnx.Rngs(i)) for i in range(5)]
    # 25 000 draws of a log ratio whose standard deviation is about 0.5, over log 2
    assert abs(np.mean(found) - truth) < 5 * 0.5 / 25_000**0.5 / math.log(2)


def test_entropies_and_information_know_frequencies():
    """Factor values 1 : 3; with latents that are precise, the information is the factor's entropy."""
    factors = np.array([[0], [9], [9], [9]])
    entropy = math.log(4) / 4 + 3 * math.log(4 / 3) / 4
    assert_allclose(factor_entropies(factors), [entropy])
    posterior = Posterior().encode(jnp.float32(factors))
    assert_allclose(latent_factor_information(posterior, factors, jax.random.key(0)), [[entropy]], rtol=1e-5)


def test_perplexity_of_the_data_is_that_of_its_codes():
    class Codes:
        def encode(self, x: jax.Array) -> jax.Array:
            return x.astype(int)

    p = np.array([0.5, 0.25, 0.25])
    assert_allclose(metrics.codebook_perplexity(Codes(), jnp.array([[0.0, 0.0], [3.0, 5.0]])), np.prod(p**-p), rtol=1e-6)
    with pytest.raises(InvalidInputError, match="has no encode to integers"):
        metrics.codebook_perplexity(Posterior(), jnp.zeros((2, 2)))


def test_a_conditional_model_is_measured_with_its_condition():
    parts = {"encoder": EncoderConfig(input_shape=(6,), hidden_dims=()), "decoder": DecoderConfig(hidden_dims=())}
    model = ConditionalVAE(ConditionalVAEConfig(**parts, latent_dim=3, n_classes=2), rngs=nnx.Rngs(0))
    x, labels = jax.random.uniform(jax.random.key(0), (8, 6)), jnp.arange(8) % 2
    terms = model.loss_fn({"x": x}, model(x, condition=labels, rngs=nnx.Rngs(1)))
    measured = {
        name: getattr(metrics, name)(model, x, condition=labels, rngs=nnx.Rngs(1)) for name in ("elbo", "distortion", "rate")
    }
    assert_allclose(measured["elbo"], terms["elbo"], rtol=1e-6)
    assert_allclose(measured["distortion"], terms["reconstruction_loss"], rtol=1e-6)
    assert_allclose(measured["rate"], terms["kl"], rtol=1e-6)
    gap = metrics.mutual_information_gap(model, x, labels, condition=labels, rngs=nnx.Rngs(3))
    other = metrics.mutual_information_gap(model, x, labels, condition=1 - labels, rngs=nnx.Rngs(3))
    assert 0 <= gap <= 1
    assert gap != other  # the condition counts
    variances = jnp.var(model.encode(x, condition=labels).mean, axis=0, ddof=1)
    above = float(variances.mean())
    assert metrics.active_units(model, x, condition=labels, threshold=above) == (variances > above).sum()
    expected = jnp.mean(model.log_prob(x, condition=labels, num_samples=10, rngs=nnx.Rngs(2)))
    assert_allclose(metrics.log_likelihood(model, x, condition=labels, num_samples=10, rngs=nnx.Rngs(2)), expected, rtol=1e-6)


def test_every_registered_metric_is_the_function_of_its_name(model: VAE):
    """Given what its entry needs, as a batch, each sums to what the function gives of the whole."""
    codes = VQVAE(VQVAEConfig(input_shape=(4, 4, 1), hidden_dims=(4,), codebook_size=8, code_dim=2), rngs=nnx.Rngs(0))
    x = jax.random.uniform(jax.random.key(0), (6, 6))
    given = {"model": model, "references": x, "labels": np.arange(6) % 2, "log_prob": jnp.linspace(-4.0, -3.0, 6)}
    ours = [e for e, plugin in plugins.registry().entries("metric") if plugin.distribution == "artifex-vae"]
    assert len(ours) == 8
    for entry in ours:
        batch = {need: given[need] for need in entry.needs if need != "rngs"}
        if entry.name == "codebook_perplexity":
            batch = {"model": codes, "references": jax.random.uniform(jax.random.key(1), (3, 4, 4, 1))}
        function, metric = getattr(metrics, entry.name), plugins.resolve(entry.metric)
        if metric is function:
            continue
        draws = {"rngs": nnx.Rngs(5)} if "rngs" in entry.needs else {}
        again = {"rngs": nnx.Rngs(5)} if "rngs" in entry.needs else {}
        number = {"num_samples": NUM_SAMPLES} if entry.name == "log_likelihood" else {}
        found = metric.finalize(np.asarray(metric.statistics({**batch, **draws}), np.float64).sum(axis=0))
        assert_allclose(found, function(**batch, **again, **number), rtol=1e-5, err_msg=entry.name)


class OneCode:
    def encode(self, x: jax.Array) -> jax.Array:
        return jnp.zeros(len(x), jnp.int32)


def test_bad_input_is_named(model: VAE):
    with pytest.raises(InvalidInputError, match="needs two at least"):
        metrics.active_units(model, jnp.zeros((1, 6)))
    with pytest.raises(InvalidInputError, match=r"log_prob has shape \(1,\), references \(2, 3\)"):
        metrics.bits_per_dimension(jnp.zeros(1), jnp.zeros((2, 3)))
    with pytest.raises(InvalidInputError, match="bin_width is 0"):
        metrics.bits_per_dimension(jnp.zeros(1), jnp.zeros((1, 3)), bin_width=0)
    for metric in (metrics.active_units, metrics.elbo, metrics.codebook_perplexity):
        with pytest.raises(InvalidInputError, match=r"object has no (encode|elbo_terms)"):
            metric(object(), jnp.zeros((2, 6)))
    gap = metrics.mutual_information_gap
    with pytest.raises(InvalidInputError, match=r"OneCode encodes to a ArrayImpl; expected a VAE"):
        gap(OneCode(), jnp.zeros((4, 2)), np.arange(4))
    with pytest.raises(InvalidInputError, match=r"labels are float64 of shape .* expected integers of shape"):
        gap(Posterior(), jnp.zeros((4, 2)), np.zeros(4))
    with pytest.raises(InvalidInputError, match="factor 1 has one value in all 4 examples"):
        gap(Posterior(), jnp.zeros((4, 2)), np.array([[0, 1], [1, 1], [0, 1], [1, 1]]))
    with pytest.raises(InvalidInputError, match="a single latent"):
        gap(Posterior(), jnp.zeros((4, 1)), np.arange(4))
