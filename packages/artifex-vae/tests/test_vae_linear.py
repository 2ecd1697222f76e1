"""The linear VAE: its optimum is probabilistic PCA, so bound, estimate and training all have an exact answer.

With ``p(x | z) = N(W z + b, s^2 I)`` the marginal is ``N(b, W W^T + s^2 I)``, and at the maximum-likelihood parameters the
posterior is diagonal, so a linear encoder reaches the bound exactly. Tipping & Bishop 1999 ("Probabilistic Principal Component
Analysis"); Lucas et al. 2019 (arXiv:1911.02469). The independent truth is scikit-learn's PCA, or SciPy's multivariate normal.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpy.testing import assert_allclose
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig, losses


def linear_vae(dimensions: int, latent_dim: int, seed: int = 0, **fields) -> VAE:
    config = VAEConfig(
        encoder=EncoderConfig(input_shape=(dimensions,), hidden_dims=()),
        decoder=DecoderConfig(hidden_dims=()),
        latent_dim=latent_dim,
        **({"likelihood": "gaussian"} | fields),
    )
    return VAE(config, rngs=nnx.Rngs(seed))


def set_generative(model: VAE, w: np.ndarray, b: np.ndarray, s: float) -> None:
    """``x = W z + b + s e``."""
    (layer,) = model.decoder.mlp.layers
    layer.kernel[...], layer.bias[...] = jnp.float32(w.T), jnp.float32(b)
    if model.config.likelihood.noise_scale == "learned":
        model.likelihood.log_scale[...] = jnp.float32(np.log(s))


def set_posterior(model: VAE, w: np.ndarray, b: np.ndarray, variance: np.ndarray) -> None:
    """``q(z | x) = N(W x + b, diag variance)``."""
    (layer,) = model.encoder.mlp.layers
    layer.kernel[...] = jnp.float32(np.hstack([w.T, np.zeros_like(w.T)]))
    layer.bias[...] = jnp.float32(np.hstack([b, np.log(variance)]))


def set_to_ppca(model: VAE, pca: PCA) -> None:
    """The maximum-likelihood solution, and its exact posterior (Tipping & Bishop 1999, equations 7 and 15)."""
    s2 = pca.noise_variance_
    w = pca.components_.T * np.sqrt(pca.explained_variance_ - s2)  # (D, L), orthogonal columns
    m = (w**2).sum(0) + s2
    set_generative(model, w, pca.mean_, np.sqrt(s2))
    set_posterior(model, (w / m).T, -(w / m).T @ pca.mean_, s2 / m)


def exact_elbo(model: VAE, x: jax.Array) -> jax.Array:
    """The ELBO, its expectation taken exactly: ``log p(x | z)`` is quadratic in ``z``, and the points ``+-sqrt(L) e_i`` have
    the mean and the covariance of standard normal noise."""
    posterior = model.encode(x)
    latent_dim = posterior.mean.shape[1]
    points = np.sqrt(latent_dim) * jnp.concatenate([jnp.eye(latent_dim), -jnp.eye(latent_dim)])

    def at(noise: jax.Array) -> jax.Array:
        parameters = model.decoder(posterior.reparameterize(noise[None]))
        return losses.elbo(*model.elbo_terms(x, {"parameters": parameters, **posterior._asdict()}))

    return jax.lax.map(at, points).mean(0)


def train(model: VAE, data: np.ndarray, *, steps: int, batch: int, learning_rate: float = 1e-2) -> None:
    """Adam with cosine decay on the model's own loss."""
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    data = jnp.asarray(data)

    def loss(params: nnx.State, x: jax.Array, key: jax.Array) -> jax.Array:
        merged = nnx.merge(graphdef, params, rest)
        return merged.loss_fn({"x": x}, merged(x, rngs=nnx.Rngs(key)))["loss"]

    def step(state, key):
        params, moments = state
        choice, noise = jax.random.split(key)
        gradients = jax.grad(loss)(params, data[jax.random.randint(choice, (batch,), 0, len(data))], noise)
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), moments), None

    keys = jax.random.split(jax.random.key(1), steps)
    (params, _), _ = jax.jit(lambda state: jax.lax.scan(step, state, keys))((params, optimizer.init(params)))
    nnx.update(model, params)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = np.float32(load_digits().data / 16)
    return data[:1300], data[1497:]


def test_at_the_optimum_elbo_and_every_importance_weight_are_the_log_likelihood(digits):
    """With the exact posterior the bound is tight, and each weight alone is p(x), whatever z was drawn."""
    train_set, test_set = digits
    pca = PCA(10, svd_solver="full").fit(train_set)
    model = linear_vae(64, 10)
    set_to_ppca(model, pca)
    truth = pca.score_samples(test_set)
    # float32: squares summed over 64 pixels, divided by s^2 of about 0.02: some 1e-4 nats
    assert_allclose(exact_elbo(model, jnp.asarray(test_set)), truth, atol=2e-3)
    assert_allclose(exact_elbo(model, jnp.asarray(test_set)).mean(), truth.mean(), rtol=1e-5)
    assert_allclose(model.log_prob(jnp.asarray(test_set), num_samples=1), truth, atol=2e-3)


def test_log_prob_is_within_a_hundredth_of_a_nat_of_the_exact_marginal():
    """K = 5000, and a posterior near the exact one but not it: means off by a tenth of a standard deviation, scales by 5 %.

    The weights then vary by 20 %, so an estimate is off by 0.2 / sqrt(5000) = 0.003 nats; the bound by more than 0.02.
    """
    rng = np.random.default_rng(0)
    w, b, s = np.linalg.qr(rng.normal(size=(8, 3)))[0] * [2.0, 1.0, 0.5], rng.normal(size=8), 0.5
    model = linear_vae(8, 3)
    set_generative(model, w, b, s)
    m = (w**2).sum(0) + s**2
    sd = s / np.sqrt(m)
    set_posterior(model, (w / m).T, -(w / m).T @ b + 0.1 * sd, (1.05 * sd) ** 2)
    covariance = w @ w.T + s**2 * np.eye(8)
    x = rng.multivariate_normal(b, covariance, size=20)
    truth = multivariate_normal(b, covariance).logpdf(x)
    estimate = model.log_prob(jnp.float32(x), num_samples=5000, rngs=nnx.Rngs(0))
    assert np.all(exact_elbo(model, jnp.float32(x)) < truth - 0.02)
    assert_allclose(estimate, truth, atol=0.01)


def test_log_prob_of_a_model_in_bfloat16_is_near_its_own_marginal():
    """Its decoder is linear up to bfloat16's rounding, so its marginal is integrated numerically, over the one latent.

    XLA may keep more digits inside one compiled program than bfloat16 has; at this noise that is worth less than 0.002 nats.
    """
    rng = np.random.default_rng(0)
    w, b, s = np.linalg.qr(rng.normal(size=(8, 1)))[0] * 2.0, rng.normal(size=8), 0.5
    model = linear_vae(8, 1, dtype="bfloat16", likelihood={"kind": "gaussian", "noise_scale": s})
    set_generative(model, w, b, s)
    m = (w**2).sum(0) + s**2
    sd = s / np.sqrt(m)
    set_posterior(model, (w / m).T, -(w / m).T @ b + 0.1 * sd, (1.05 * sd) ** 2)
    x = np.float32(rng.multivariate_normal(b, w @ w.T + s**2 * np.eye(8), size=20))
    z, step = np.linspace(-6, 6, 50_001, retstep=True)
    means = np.float64(jax.jit(lambda z: model.decoder(z))(jnp.float32(z)[:, None]))
    log_joint = norm(means[None], s).logpdf(x[:, None]).sum(-1) + norm.logpdf(z)[None]  # (x, z)
    truth = logsumexp(log_joint, axis=1) + np.log(step)
    assert_allclose(model.log_prob(x, num_samples=5000, rngs=nnx.Rngs(0)), truth, atol=0.01)


def test_samples_have_the_marginals_moments():
    """Mean and covariance of generated data, observation noise included, within five standard errors."""
    rng = np.random.default_rng(0)
    w, b, s, n = rng.normal(size=(5, 2)), rng.normal(size=5), 0.5, 40_000
    model = linear_vae(5, 2)
    set_generative(model, w, b, s)
    covariance = w @ w.T + s**2 * np.eye(5)
    drawn = np.asarray(model.generate(n, observation_noise=True, rngs=nnx.Rngs(0)))
    variance = np.diag(covariance)
    assert np.all(np.abs(drawn.mean(0) - b) < 5 * np.sqrt(variance / n))
    assert np.all(np.abs(np.cov(drawn.T) - covariance) < 5 * np.sqrt((np.outer(variance, variance) + covariance**2) / n))
    means = np.asarray(model.generate(n, rngs=nnx.Rngs(0)))
    assert np.linalg.matrix_rank(means - b, tol=1e-2) == 2  # without noise they lie in the plane of W


def test_training_reaches_the_analytic_optimum():
    """Ten dimensions, three latents, held-out data: within 0.5 % of probabilistic PCA."""
    rng = np.random.default_rng(0)
    scales = np.array([3.0, 2.0, 1.5] + 7 * [0.5])
    data = np.float32(rng.normal(size=(3000, 10)) * scales @ np.linalg.qr(rng.normal(size=(10, 10)))[0])
    optimum = PCA(3, svd_solver="full").fit(data[:2000]).score(data[2000:])
    model = linear_vae(10, 3)
    train(model, data[:2000], steps=3000, batch=128)
    assert_allclose(exact_elbo(model, jnp.asarray(data[2000:])).mean(), optimum, rtol=0.005)


@pytest.mark.nightly
def test_training_on_digits_reaches_the_analytic_optimum(digits):
    """scikit-learn's digits, ten latents, held-out: within 0.5 % of probabilistic PCA (0.05 % when this was written)."""
    train_set, test_set = digits
    optimum = PCA(10, svd_solver="full").fit(train_set).score(test_set)
    model = linear_vae(64, 10)
    train(model, train_set, steps=10_000, batch=128)
    assert_allclose(exact_elbo(model, jnp.asarray(test_set)).mean(), optimum, rtol=0.005)
