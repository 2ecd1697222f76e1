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


def elbos(model: HierarchicalVAE, x: jax.Array, seeds: range) -> np.ndarray:
    """The bound of a batch by the draws of each seed, as one program."""

    def one(seed: jax.Array) -> jax.Array:
        return model.loss_fn({"x": x}, model(x, rngs=nnx.Rngs(jax.random.key(seed))))["elbo"]

    return np.asarray(jax.jit(lambda seeds: jax.lax.map(one, seeds))(jnp.array(seeds)))


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
    elbo = np.mean(elbos(model, jnp.float32(x), range(20)))
    assert elbo < truth_of.logpdf(x).mean()


def exact_chain() -> tuple[HierarchicalVAE, np.ndarray]:
    """``z_3 ~ N(0, 1), z_2 ~ N(0.7 z_3, 0.3), z_1 ~ N(-0.9 z_2, 0.2), x ~ N(w z_1, 0.5^2 I)``, and posteriors that are exact.

    All that ``x`` says is in ``t = w'x / w'w``, which is ``N(z_1, r)`` with ``r = 0.5^2 / w'w``. What it says about the next
    level is again Gaussian: ``t`` is ``N(a z_{i+1}, r + v)``. Given the level above, the product with the prior is exact for
    the two lower levels; the top one's is worked out here.
    """
    config = HierarchicalVAEConfig(
        input_shape=(3,), latent_dims=(1, 1, 1), hidden_dims=(2, 2, 2), likelihood=GaussianConfig(noise_scale=0.5)
    )
    model, w = HierarchicalVAE(config, rngs=nnx.Rngs(0)), np.array([1.0, -0.5, 0.8])
    chain = [(-0.9, 0.2), (0.7, 0.3)]  # of z_1 given z_2, of z_2 given z_3

    def linear(network, *maps: np.ndarray, bias: np.ndarray | None = None) -> None:
        for layer, matrix in zip(network.layers, maps, strict=True):
            layer.kernel[...], layer.bias[...] = jnp.float32(matrix), jnp.zeros_like(layer.bias[...])
        if bias is not None:
            network.layers[-1].bias[...] = jnp.float32(bias)

    both = np.array([[1.0, -1.0]])  # h as max(h, 0) and max(-h, 0)
    linear(model.decoder, both, np.eye(2), np.stack([w, -w]))
    for network, (a, v) in zip(model.priors, chain, strict=True):
        linear(network, both, np.eye(2), np.array([[a, 0.0], [-a, 0.0]]), bias=np.array([0.0, np.log(v)]))
    linear(model.bottom_up[0], np.outer(w, both) / (w @ w), np.eye(2))
    for network in model.bottom_up[1:]:
        linear(network, np.eye(2), np.eye(2))
    slope, spread = 1.0, 0.25 / (w @ w)  # t is N(slope z, spread)
    for network, (a, v) in zip(model.posteriors, [*chain, (0.0, 1.0)], strict=True):
        gain, variance = 1 / slope, spread / slope**2
        if network is model.posteriors[-1]:  # no prior is multiplied in at the top
            variance = 1 / (1 + slope**2 / spread)
            gain = variance * slope / spread
        linear(network, np.array([[gain, 0.0], [-gain, 0.0]]), bias=np.array([0.0, np.log(variance)]))
        slope, spread = slope * a, spread + slope**2 * v
    top = 1.0
    for a, v in reversed(chain):
        top = a**2 * top + v
    return model, top * np.outer(w, w) + 0.25 * np.eye(3)


def test_with_exact_posteriors_every_single_draw_gives_the_exact_marginal():
    """``p(x, z) / q(z | x) = p(x)`` whatever ``z``: weights, and divergences on average, are right to rounding."""
    model, covariance = exact_chain()
    truth = multivariate_normal(np.zeros(3), covariance)
    x = truth.rvs(20, random_state=1)
    for k in (1, 3):
        # float32: a sum of some ten terms of size 1 to 10
        assert_allclose(model.log_prob(jnp.float32(x), num_samples=k, rngs=nnx.Rngs(k)), truth.logpdf(x), atol=2e-5)
    elbo = elbos(model, jnp.float32(x), range(200))
    assert abs(np.mean(elbo) - truth.logpdf(x).mean()) < 5 * np.std(elbo) / 200**0.5


def test_in_bfloat16_the_way_down_stays_in_it_and_the_weights_belong_to_the_draws():
    """A top level at 3 +- 0.02, where bfloat16 knows 3, 3.016, 3.03: rounded draws would have other densities than was drawn.

    The decoder ignores its latents, so that ``log p(x) = 12 log(1/2)``; the prior of the lower level is the posterior.
    """
    model = make(latent_dims=(1, 1), hidden_dims=(4, 4), param_dtype="bfloat16")
    x = X.astype(jnp.bfloat16)
    for outputs in (model(x)["parameters"], model.reconstruct(x)):
        assert outputs.dtype == jnp.bfloat16
    for network in (model.decoder, model.posteriors[0], model.posteriors[1], model.priors[0]):
        last = network.layers[-1]
        last.kernel[...], last.bias[...] = jnp.zeros_like(last.kernel[...]), jnp.zeros_like(last.bias[...])
    model.posteriors[0].layers[-1].bias[...] = jnp.array([0.0, 60.0], jnp.bfloat16)  # says nothing beside the prior
    model.posteriors[1].layers[-1].bias[...] = jnp.array([3.0, 2 * np.log(0.02)], jnp.bfloat16)
    ratios = [model.log_prob(x[:1], num_samples=1, rngs=nnx.Rngs(i))[0] for i in range(60)]
    drawn = np.unique(np.round(np.asarray(ratios, np.float64), 4))
    assert len(drawn) > 50  # rounded, z takes about eight values


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
    by_terms = elbos(model, X, range(1000, 1400))
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

    assert all(np.any(g) for g in jax.tree.leaves(nnx.jit(nnx.grad(loss))(make())))


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
