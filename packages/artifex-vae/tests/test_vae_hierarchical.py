"""The hierarchical VAE: divergences by sampling, products of Gaussians by hand, and an exact marginal where all is linear."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal, norm

from artifex.vae import GaussianConfig, HierarchicalVAE, HierarchicalVAEConfig
from artifex.vae.encoders import DiagonalGaussian
from artifex.vae.hierarchical import gaussian_divergence, precision_weighted

CONFIG = HierarchicalVAEConfig(input_shape=(4, 3, 1), latent_dims=(5, 3, 2), hidden_dims=(16, 12, 8))
X = jax.random.uniform(jax.random.key(0), (6, 4, 3, 1))


def make(**changes) -> HierarchicalVAE:
    return HierarchicalVAE(CONFIG.replace(**changes), rngs=nnx.Rngs(0))


def test_precisions_add_up():
    z = np.linspace(-9, 9, 20001)
    product = norm(1.0, 0.5).pdf(z) * norm(-2.0, 1.5).pdf(z)
    product /= product.sum()
    mean = (product * z).sum()
    made = precision_weighted(
        DiagonalGaussian(jnp.array([[1.0]]), jnp.log(jnp.array([[0.25]]))),
        DiagonalGaussian(jnp.array([[-2.0]]), jnp.log(jnp.array([[2.25]]))),
    )
    assert_allclose(made.mean, [[mean]], rtol=1e-5)
    assert_allclose(jnp.exp(made.log_variance), [[(product * (z - mean) ** 2).sum()]], rtol=1e-5)


def test_the_divergence_is_its_integral():
    z = np.linspace(-12, 12, 40001)
    q, p = norm(0.7, 0.6), norm(-0.4, 1.3)
    truth = np.trapezoid(q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), z)
    made = gaussian_divergence(
        DiagonalGaussian(jnp.array([0.7]), 2 * jnp.log(jnp.array([0.6]))),
        DiagonalGaussian(jnp.array([-0.4]), 2 * jnp.log(jnp.array([1.3]))),
    )
    assert_allclose(made, truth, rtol=1e-5)


def linear_chain() -> tuple[HierarchicalVAE, np.ndarray]:
    """``z_2 ~ N(0, 1), z_1 ~ N(a z_2, 0.3), x ~ N(w z_1, 0.5^2 I)`` and the covariance of ``x``; any posterior will do.

    The hidden layers pass on ``max(h, 0)`` and ``max(-h, 0)``, whose difference is ``h``: networks of ReLUs are linear so.
    """
    config = HierarchicalVAEConfig(
        input_shape=(3,), latent_dims=(1, 1), hidden_dims=(2, 2), likelihood=GaussianConfig(noise_scale=0.5)
    )
    model, w, a = HierarchicalVAE(config, rngs=nnx.Rngs(0)), np.array([1.0, -0.5, 0.8]), 0.7

    def pass_on(network, out: np.ndarray, bias: np.ndarray) -> None:
        first, second, last = network.layers
        first.kernel[...], first.bias[...] = jnp.array([[1.0, -1.0]]), jnp.zeros(2)
        second.kernel[...], second.bias[...] = jnp.eye(2), jnp.zeros(2)
        last.kernel[...], last.bias[...] = jnp.float32(np.stack([out, -out])), jnp.float32(bias)

    pass_on(model.decoder, w, np.zeros(3))
    pass_on(model.priors[0], np.array([a, 0.0]), np.array([0.0, np.log(0.3)]))
    for posterior in model.posteriors:
        posterior.layers[0].kernel[...] = 0.2 * posterior.layers[0].kernel[...]
    return model, (a**2 + 0.3) * np.outer(w, w) + 0.25 * np.eye(3)


def test_log_prob_goes_to_the_exact_marginal():
    """K = 20 000 from posteriors near the priors: a relative error of a few hundredths of a nat at most."""
    model, covariance = linear_chain()
    truth_of = multivariate_normal(np.zeros(3), covariance)
    x = truth_of.rvs(12, random_state=0)
    estimate = model.log_prob(jnp.float32(x), num_samples=20_000, chunk_size=8192, rngs=nnx.Rngs(1))
    assert_allclose(estimate, truth_of.logpdf(x), atol=0.1)
    outputs = [model(jnp.float32(x), rngs=nnx.Rngs(i)) for i in range(20)]
    elbo = np.mean([model.loss_fn({"x": jnp.float32(x)}, o)["elbo"] for o in outputs])
    assert elbo < truth_of.logpdf(x).mean()


def test_samples_have_the_marginals_covariance():
    model, covariance = linear_chain()
    n = 40_000
    drawn = np.asarray(model.generate(n, observation_noise=True, rngs=nnx.Rngs(0)))
    variance = np.diag(covariance)
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    assert np.all(np.abs(np.cov(drawn.T) - covariance) < 5 * error)


def test_the_divergences_are_the_average_log_ratios_of_the_draws():
    """The mean of single importance weights in log space is the ELBO, which the divergences give in closed form."""
    model = make()
    by_weights = [model.log_prob(X, num_samples=1, rngs=nnx.Rngs(i)) for i in range(400)]
    by_terms = [model.loss_fn({"x": X}, model(X, rngs=nnx.Rngs(1000 + i)))["elbo"] for i in range(400)]
    error = np.std(np.mean(by_weights, axis=1)) / 20 + np.std(by_terms) / 20
    assert abs(np.mean(by_weights) - np.mean(by_terms)) < 5 * error


def test_free_nats_hold_each_level_from_below():
    model = make(free_nats=2.0)
    kl = jnp.tile(jnp.array([[0.5, 3.0, 1.0]]), (6, 1))
    outputs = {**model(X, rngs=nnx.Rngs(0)), "kl_levels": kl}
    terms = model.loss_fn({"x": X}, outputs)
    assert_allclose(terms["loss"], terms["reconstruction_loss"] + 2 + 3 + 2, rtol=1e-6)
    assert_allclose(terms["elbo"], -terms["reconstruction_loss"] - 4.5, rtol=1e-6)
    assert_allclose([terms[f"kl_{i}"] for i in (1, 2, 3)], [0.5, 3.0, 1.0])


def test_the_gradient_reaches_every_parameter():
    def loss(model: HierarchicalVAE) -> jax.Array:
        return model.loss_fn({"x": X}, model(X, rngs=nnx.Rngs(1)))["loss"]

    assert all(bool(jnp.any(g != 0)) for g in jax.tree.leaves(nnx.grad(loss)(make())))


def test_reconstruction_draws_nothing_and_generation_does():
    model = make()
    assert_array_equal(model.reconstruct(X), model.reconstruct(X))
    assert not np.array_equal(model.generate(2), model.generate(2))
    assert_array_equal(model.generate(2, rngs=nnx.Rngs(3)), model.generate(2, rngs=nnx.Rngs(3)))


def test_levels_have_to_agree():
    with pytest.raises(ValueError, match="latent_dims has 2 levels, hidden_dims 3"):
        CONFIG.replace(latent_dims=(3, 2))


@pytest.mark.nightly
def test_three_levels_on_digits_beat_one_of_the_same_size():
    """The bar: a better importance-weighted bound than the VAE's, and over 0.1 nat in each level."""
    import importlib.util
    from pathlib import Path

    script = Path(__file__).parents[3] / "benchmarks" / "hierarchical_vae_digits.py"
    spec = importlib.util.spec_from_file_location("hierarchical_vae_digits", script)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    levels, plain = benchmark.hierarchical(), benchmark.one_level()
    for model in (levels, plain):
        benchmark.train(model, 150)
    ours, theirs = benchmark.figures(levels), benchmark.figures(plain)
    assert benchmark.size(levels) <= benchmark.size(plain)
    assert ours["bound"] > theirs["bound"]
    assert min(ours[f"kl_{i}"] for i in (1, 2, 3)) > 0.1
