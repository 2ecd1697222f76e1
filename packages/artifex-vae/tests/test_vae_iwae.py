"""The importance-weighted autoencoder: its bound against exact likelihoods, its gradient against the definition's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.scipy.stats import norm as normal
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from artifex.vae import IWAE, VAE, DecoderConfig, EncoderConfig, GaussianConfig, IWAEConfig, VAEConfig

PARTS = {
    "encoder": EncoderConfig(input_shape=(4,), latent_dim=2, hidden_dims=()),
    "decoder": DecoderConfig(hidden_dims=()),
    "likelihood": GaussianConfig(noise_scale=0.5),
}
X = jax.random.normal(jax.random.key(0), (5, 4))


def make(k: int, **changes) -> IWAE:
    return IWAE(IWAEConfig(**(PARTS | changes), num_samples=k), rngs=nnx.Rngs(0))


def definition(parameters: dict, noise: jax.Array, x: jax.Array) -> jax.Array:
    """``mean_B -log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)`` of the linear model, from JAX's densities, as in the paper."""
    both = x @ parameters["encoder"] + parameters["encoder_bias"][None]
    mean, scale = both[:, :2], jnp.exp(both[:, 2:] / 2)
    weights = []
    for k in range(noise.shape[1]):
        z = mean + scale * noise[:, k]
        predicted = z @ parameters["decoder"] + parameters["decoder_bias"][None]
        log_joint = normal.logpdf(x, predicted, 0.5).sum(1) + normal.logpdf(z).sum(1)
        weights.append(jnp.exp(log_joint - normal.logpdf(z, mean, scale).sum(1)))
    return -jnp.mean(jnp.log(sum(weights) / len(weights)))


@pytest.mark.parametrize("k", [1, 4])
def test_loss_and_gradient_are_those_of_the_definition(k: int):
    model = make(k)
    (encoder,), (decoder,) = model.encoder.mlp.layers, model.decoder.mlp.layers
    encoder.kernel[...] = 0.3 * jax.random.normal(jax.random.key(5), (4, 4))
    outputs = model(X, rngs=nnx.Rngs(1))
    mean, scale = outputs["mean"][:, None], jnp.exp(outputs["log_variance"] / 2)[:, None]
    noise = (outputs["z"] - mean) / scale
    parameters = {
        "encoder": encoder.kernel[...],
        "encoder_bias": encoder.bias[...],
        "decoder": decoder.kernel[...],
        "decoder_bias": decoder.bias[...],
    }
    value, expected = jax.jit(jax.value_and_grad(definition))(parameters, noise, X)

    def loss(model: IWAE) -> jax.Array:
        return model.loss_fn({"x": X}, model(X, rngs=nnx.Rngs(1)))["loss"]

    assert_allclose(loss(model), value, rtol=1e-5)
    grads = nnx.jit(nnx.grad(loss))(model)
    found = {
        "encoder": grads["encoder"]["mlp"]["layers"][0]["kernel"][...],
        "encoder_bias": grads["encoder"]["mlp"]["layers"][0]["bias"][...],
        "decoder": grads["decoder"]["mlp"]["layers"][0]["kernel"][...],
        "decoder_bias": grads["decoder"]["mlp"]["layers"][0]["bias"][...],
    }
    for name, gradient in expected.items():
        assert np.abs(gradient).max() > 1e-3
        assert_allclose(found[name], gradient, rtol=1e-4, atol=1e-4, err_msg=name)  # float32, and the noise was divided out


def test_more_draws_bring_the_bound_from_the_elbo_to_the_exact_likelihood():
    """The posterior is made to be the prior, ``p(x | z) = N(W z, I)``: exact is ``N(0, W W' + I)``."""
    models = {k: make(k, likelihood=GaussianConfig(noise_scale=1.0)) for k in (1, 8, 512)}
    w = 0.7 * np.random.default_rng(0).normal(size=(2, 4))
    for model in models.values():
        (encoder,), (decoder,) = model.encoder.mlp.layers, model.decoder.mlp.layers
        encoder.kernel[...], decoder.kernel[...] = jnp.zeros((4, 4)), jnp.float32(w)
    truth = -multivariate_normal(np.zeros(4), w.T @ w + np.eye(4)).logpdf(np.asarray(X)).mean()
    runs = {}
    for k, model in models.items():
        draw = nnx.jit(lambda model, key: model.loss_fn({"x": X}, model(X, rngs=nnx.Rngs(key))))
        terms = [draw(model, key) for key in jax.random.split(jax.random.key(1), 30)]
        runs[k] = [float(t["loss"]) for t in terms]
        assert_allclose(np.mean([t["elbo"] for t in terms]), -np.mean(runs[1]), atol=5 * np.std(runs[1]) / 30**0.5)
    assert np.mean(runs[1]) > np.mean(runs[8]) > np.mean(runs[512])
    assert np.mean(runs[512]) - truth < 0.25 * (np.mean(runs[8]) - truth)
    assert truth - np.mean(runs[512]) < 5 * np.std(runs[512]) / 30**0.5  # it is a bound


def test_everything_else_is_the_vaes():
    iwae, vae = make(3), VAE(VAEConfig(**PARTS), rngs=nnx.Rngs(0))
    assert_allclose(iwae.reconstruct(X), vae.reconstruct(X))
    assert_allclose(iwae.generate(2, rngs=nnx.Rngs(1)), vae.generate(2, rngs=nnx.Rngs(1)))
    assert_allclose(iwae.log_prob(X, rngs=nnx.Rngs(1)), vae.log_prob(X, rngs=nnx.Rngs(1)))


def test_images_work_too_and_draws_differ():
    parts = {
        "encoder": EncoderConfig(input_shape=(4, 4, 1), latent_dim=2, hidden_dims=(4,)),
        "decoder": DecoderConfig(hidden_dims=(4,)),
        "encoder_type": "conv",
        "likelihood": "bernoulli",
    }
    model, x = make(3, **parts), jnp.full((2, 4, 4, 1), 0.5)
    outputs = model(x)
    assert outputs["parameters"].shape == (2, 3, 4, 4, 1)
    assert_allclose(outputs["reconstruction"], model.likelihood.mean(outputs["parameters"][:, 0]))
    assert_allclose(outputs["parameters"][:, 1], model.decoder(outputs["z"][:, 1]), atol=1e-5)
    assert np.unique(np.asarray(outputs["z"])).size == outputs["z"].size


def test_kl_weight_has_no_place_here():
    with pytest.raises(ValueError, match=r"kl_weight is 2\.0, but this bound has no divergence"):
        IWAEConfig(**PARTS, kl_weight=2.0)
