"""The divergence taken apart: against NumPy over a whole data set, and by averages over its batches."""

from __future__ import annotations

from itertools import combinations, permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from artifex.core.errors import InvalidInputError
from artifex.vae import VAE, BetaTCVAE, BetaTCVAEConfig, DecoderConfig, EncoderConfig, VAEConfig, losses
from artifex.vae.total_correlation import Divergences, aggregate_weights, beta_tc_objective, decomposed_divergence

RNG = np.random.default_rng(0)
N, L = 6, 3
MEAN, LOG_VARIANCE, NOISE = RNG.normal(size=(3, N, L)) * np.array([2.0, 0.5, 1.0])[:, None, None]
Z = MEAN + np.exp(LOG_VARIANCE / 2) * NOISE


def by_numpy(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The three terms at every ``z``, example by example, from SciPy's densities; ``(3, B)``."""
    rows = []
    for i in range(len(z)):
        densities = norm.logpdf(z[i], MEAN[: len(z)], np.exp(LOG_VARIANCE[: len(z)] / 2))  # (B, L)
        joint = logsumexp(densities.sum(1), b=weights[i])
        marginals = sum(logsumexp(densities[:, j], b=weights[i]) for j in range(L))
        rows.append((densities[i].sum() - joint, joint - marginals, marginals - norm.logpdf(z[i]).sum()))
    return np.transpose(rows)


def terms_of(z: np.ndarray, b: int = N, **options) -> Divergences:
    return decomposed_divergence(*(jnp.float32(a[:b]) for a in (z, MEAN, LOG_VARIANCE)), **options)


def test_with_the_whole_data_set_as_batch_the_terms_are_exact():
    """Every example weighs 1/N: the aggregate posterior itself. float32: sums of some ten terms below 10."""
    assert_allclose(terms_of(Z, dataset_size=N), by_numpy(Z, np.full((N, N), 1 / N)), atol=2e-5)


def test_the_terms_add_up_to_the_divergence():
    """At each ``z`` to ``log q(z | n) - log p(z)``, whatever the estimator; on average over ``z``, to the closed form."""
    ratio = norm.logpdf(Z, MEAN, np.exp(LOG_VARIANCE / 2)).sum(1) - norm.logpdf(Z).sum(1)
    for estimator in ("stratified", "weighted"):
        terms = terms_of(Z[:4], 4, dataset_size=50, estimator=estimator)
        assert_allclose(np.sum(terms, axis=0), ratio[:4], atol=3e-5)
    noise = np.random.default_rng(1).normal(size=(2000, N, L))
    z = jnp.float32(MEAN + np.exp(LOG_VARIANCE / 2) * noise)
    draws = np.asarray(jax.jit(jax.vmap(lambda z: jnp.stack(decomposed_divergence(z, *made, dataset_size=N))))(z), np.float64)
    sums = draws.sum(1).mean(1)
    kl = np.asarray(losses.gaussian_kl(*made)).mean()
    assert abs(sums.mean() - kl) < 5 * sums.std() / 2000**0.5


made = (jnp.float32(MEAN), jnp.float32(LOG_VARIANCE))


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_a_part_of_the_data_set_is_weighted_as_in_the_paper(estimator: str):
    """Independent NumPy: 1/(N B) for all; or appendix C.2 with M = B - 1, averaged over the orders of the other examples."""
    b, n = 4, 50
    m = b - 1
    weights = np.full((b, b), 1 / (n * b))
    if estimator == "stratified":
        uneven = np.array([1 / m] * (m - 1) + [(n - m) / (n * m)])  # of n_1 ... n_M, the last one apart
        spread = np.mean([uneven[list(order)] for order in permutations(range(m))], axis=0)
        weights = np.stack([np.insert(spread, i, 1 / n) for i in range(b)])
    assert_allclose(aggregate_weights(b, n, estimator), weights, rtol=1e-6)
    assert_allclose(terms_of(Z[:b], b, dataset_size=n, estimator=estimator), by_numpy(Z[:b], weights), atol=3e-5)


def test_the_stratified_estimate_is_unbiased():
    """``E[sum_n w_n q(z_0 | n)] = q(z_0)`` over all batches of three that hold example 0."""
    density = np.exp(norm.logpdf(Z[0], MEAN, np.exp(LOG_VARIANCE / 2)).sum(1))  # (N,) under each posterior
    weights = np.asarray(aggregate_weights(3, N, "stratified"), np.float64)[0]
    estimates = [weights @ density[[0, *others]] for others in combinations(range(1, N), 2)]
    assert_allclose(np.mean(estimates), density.mean(), rtol=1e-6)


def test_a_known_aggregate_has_its_known_total_correlation():
    """Points on the line ``z_0 = z_1``, a normal sample: total correlation ``-1/2 log(1 - r^2)``, with r their correlation.

    The aggregate of ``N(m, s^2)`` with ``m`` standard normal is Gaussian of variance ``1 + s^2`` and covariance 1.
    """
    n, s = 2000, 1.0
    m = norm.ppf((np.arange(n) + 0.5) / n)
    mean = np.stack([m, m], 1)
    z = mean + s * np.random.default_rng(2).normal(size=(n, 2))
    posterior = (jnp.float32(z), jnp.float32(mean), jnp.full((n, 2), 2 * np.log(s), jnp.float32))
    measured = np.asarray(decomposed_divergence(*posterior, dataset_size=n).total_correlation, np.float64)
    covariance = np.array([[1 + s**2, 1], [1, 1 + s**2]])
    truth = multivariate_normal(np.zeros(2), covariance).logpdf(z) - norm(0, (1 + s**2) ** 0.5).logpdf(z).sum(1)
    assert_allclose(measured.mean(), truth.mean(), atol=2e-3)  # the sample of m is a grid: nearly no noise of its own
    r = 1 / (1 + s**2)
    assert abs(measured.mean() + 0.5 * np.log(1 - r**2)) < 5 * measured.std() / n**0.5


def test_the_objective_weighs_the_terms():
    log_likelihood, kl = jnp.array([-3.0, -5.0]), jnp.array([2.0, 4.0])
    terms = Divergences(jnp.array([1.0, 2.0]), jnp.array([0.5, 1.5]), jnp.array([0.5, 0.5]))  # which add up to kl
    weighted = [2 * mi + 6 * tc + 0.5 * dw for mi, tc, dw in zip(*terms, strict=True)]
    by_hand = np.mean(np.array(weighted) + np.array([3.0, 5.0]))
    assert_allclose(beta_tc_objective(log_likelihood, kl, terms, alpha=2.0, beta=6.0, gamma=0.5), by_hand, rtol=1e-6)
    assert_allclose(beta_tc_objective(log_likelihood, kl, terms), losses.beta_objective(log_likelihood, kl, 1.0))


def test_a_batch_of_one_tells_nothing_about_the_aggregate():
    terms = terms_of(Z[:1], 1, dataset_size=50)
    assert_allclose(terms.mutual_information, 0, atol=1e-6)
    assert_allclose(terms.total_correlation, 0, atol=1e-6)


def test_a_batch_larger_than_the_data_set_is_refused():
    with pytest.raises(InvalidInputError, match="batch of 6 is larger than dataset_size, 5; set it to the number of training"):
        terms_of(Z, dataset_size=5)


PARTS = {
    "encoder": EncoderConfig(input_shape=(4,), latent_dim=2, hidden_dims=(8,)),
    "decoder": DecoderConfig(hidden_dims=(8,)),
}
X = jax.random.uniform(jax.random.key(0), (5, 4))


def test_a_model_of_weights_one_is_the_vae_and_reports_its_terms():
    """And with others, the same loss but for the terms that they weigh."""
    plain = VAE(VAEConfig(**PARTS), rngs=nnx.Rngs(0))
    models = [BetaTCVAE(BetaTCVAEConfig(**PARTS, dataset_size=40, beta=b), rngs=nnx.Rngs(0)) for b in (1.0, 5.0)]
    one, five, vae = ({**m.loss_fn({"x": X}, m(X, rngs=nnx.Rngs(1)))} for m in (*models, plain))
    assert_allclose(one["loss"], vae["loss"], rtol=1e-6)
    assert_allclose(five["loss"], vae["loss"] + 4 * five["total_correlation"], rtol=1e-5)
    outputs = plain(X, rngs=nnx.Rngs(1))
    terms = decomposed_divergence(*(outputs[k] for k in ("z", "mean", "log_variance")), dataset_size=40)
    assert_allclose([five[name] for name in Divergences._fields], np.mean(terms, axis=1), rtol=1e-5, atol=1e-6)


def test_kl_weight_has_no_place_here():
    with pytest.raises(ValueError, match=r"kl_weight is 2\.0, but here alpha, beta and gamma weight"):
        BetaTCVAEConfig(**PARTS, dataset_size=40, kl_weight=2.0)


def test_training_takes_the_total_correlation_out():
    """Data of two dependent halves: weighed by 30, the dependence between latents falls below what the VAE leaves."""
    import optax

    shared = jax.random.normal(jax.random.key(1), (64, 1))
    x = jnp.concatenate([shared, shared, shared + 0.3 * jax.random.normal(jax.random.key(2), (64, 1)), -shared], axis=1)
    parts = {**PARTS, "likelihood": {"kind": "gaussian", "noise_scale": 0.3}, "dataset_size": 64}

    def trained(beta: float) -> jax.Array:
        model = BetaTCVAE(BetaTCVAEConfig(**parts, beta=beta), rngs=nnx.Rngs(0))
        graph, params, rest = nnx.split(model, nnx.Param, ...)
        optimizer = optax.adam(1e-2)

        def loss(params, key):
            made = nnx.merge(graph, params, rest)
            terms = made.loss_fn({"x": x}, made(x, rngs=nnx.Rngs(key)))
            return terms["loss"], terms["total_correlation"]

        def step(carry, key):
            params, state = carry
            grads, correlation = jax.grad(loss, has_aux=True)(params, key)
            updates, state = optimizer.update(grads, state)
            return (optax.apply_updates(params, updates), state), correlation

        keys = jax.random.split(jax.random.key(3), 300)
        _, correlations = jax.lax.scan(step, (params, optimizer.init(params)), keys)
        return correlations[-50:].mean()

    free, held = trained(1.0), trained(30.0)
    assert held < 0.5 * free
