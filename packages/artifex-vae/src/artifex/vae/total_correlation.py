r"""Total correlation: the divergence of a batch taken apart, and the objective of the beta-TC-VAE.

Chen et al. 2018, "Isolating Sources of Disentanglement in Variational Autoencoders" (arXiv:1802.04942), equation 2, for a data
set of ``N`` examples ``n`` and the aggregate posterior ``q(z) = 1/N sum_n q(z | n)``:

    E_n KL(q(z | n) || p(z)) = I_q(z; n) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))
                             index-code mutual information   total correlation   dimension-wise divergence

A training batch holds ``B`` of the ``N`` examples, and ``log q(z)`` is estimated as ``log sum_n w_n q(z | n)`` over them.

Shapes: ``B = batch, L = latent``.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.vae.likelihoods import accumulated, gaussian_log_prob

__all__ = ["Divergences", "Estimator", "aggregate_weights", "beta_tc_objective", "decomposed_divergence"]

Estimator = Literal["stratified", "weighted"]


class Divergences(NamedTuple):
    """The terms of the divergence, nats for each example at its ``z``; their sum is ``log q(z | n) - log p(z)`` exactly."""

    mutual_information: Float[Array, "B"]
    """``log q(z | n) - log q(z)``: between the latent and which example it is."""
    total_correlation: Float[Array, "B"]
    """``log q(z) - sum_j log q(z_j)``: dependence between latents."""
    dimension_wise: Float[Array, "B"]
    """``sum_j log q(z_j) - log p(z_j)``: of each latent from the prior."""


def aggregate_weights(batch: int, dataset_size: int, estimator: Estimator) -> Float[Array, "B B"]:
    """``w[i, n]``: how much example ``n`` of a batch counts in the estimate of ``q(z)`` at a draw from ``q(z | i)``.

    ``weighted``: ``1 / (N B)`` for all, minibatch-weighted sampling (Chen et al. 2018, equation S5). Biased, because a batch
    always holds the example that ``z`` came from: with the whole data set as the batch it gives ``q(z) / N``.

    ``stratified``: ``1 / N`` for the example itself and ``(N - 1) / (N (B - 1))`` for each other one, an unbiased estimate of
    ``q(z)``, exact when the batch is the whole data set. It is the paper's minibatch-stratified sampling (appendix C.2),
    averaged over the order of the batch. A batch of one says nothing about the aggregate: its example is taken for all.

    Raises:
        InvalidInputError: the batch is larger than the data set.

    Example:
        >>> aggregate_weights(2, 4, "stratified").tolist()
        [[0.25, 0.75], [0.75, 0.25]]
    """
    if batch > dataset_size:
        raise InvalidInputError(
            f"a batch of {batch} is larger than dataset_size, {dataset_size}; set it to the number of training examples"
        )
    if estimator == "weighted":
        return jnp.full((batch, batch), 1 / (dataset_size * batch))
    itself = 1 / dataset_size if batch > 1 else 1.0
    return jnp.where(jnp.eye(batch, dtype=bool), itself, (1 - itself) / max(batch - 1, 1))


def decomposed_divergence(
    z: Float[Array, "B L"],
    mean: Float[Array, "B L"],
    log_variance: Float[Array, "B L"],
    *,
    dataset_size: int,
    estimator: Estimator = "stratified",
) -> Divergences:
    """The three terms of the divergence at ``z_n ~ q(z | n) = N(mean_n, diag exp(log_variance_n))``, prior ``N(0, I)``.

    Chen et al. 2018 (arXiv:1802.04942), equation 2 and section 3.1. The densities of every ``z`` under every posterior of the
    batch are held at once: ``B^2 L`` numbers.

    Args:
        z: one draw for each example.
        mean: of the posteriors.
        log_variance: of the posteriors.
        dataset_size: ``N``, the number of training examples, of which the batch is a part.
        estimator: of the aggregate posterior, see :func:`aggregate_weights`.

    Raises:
        InvalidInputError: the batch is larger than the data set.

    Example:
        >>> far_apart = jnp.array([[-50.0], [50.0]])
        >>> terms = decomposed_divergence(far_apart, far_apart, jnp.zeros((2, 1)), dataset_size=2)
        >>> [round(float(term), 4) for term in terms.mutual_information]  # log 2: z tells the two apart
        [0.6931, 0.6931]
    """
    z, scale = accumulated(z), jnp.exp(0.5 * accumulated(log_variance))
    log_weights = jnp.log(aggregate_weights(z.shape[0], dataset_size, estimator))
    densities = gaussian_log_prob(z[:, None], mean[None], scale[None])  # (B, B, L): of z_i under the posterior of n
    joint = jax.nn.logsumexp(log_weights + jnp.sum(densities, axis=-1), axis=1)  # log q(z)
    marginals = jnp.sum(jax.nn.logsumexp(log_weights[..., None] + densities, axis=1), axis=-1)  # sum_j log q(z_j)
    posterior = jnp.sum(gaussian_log_prob(z, mean, scale), axis=-1)
    prior = -0.5 * jnp.sum(jnp.square(z) + math.log(2 * math.pi), axis=-1)
    return Divergences(posterior - joint, joint - marginals, marginals - prior)


def beta_tc_objective(
    log_likelihood: Float[Array, "B"],
    kl: Float[Array, "B"],
    terms: Divergences,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Float[Array, ""]:
    """``mean_B [alpha MI + beta TC + gamma DW - log p(x | z)]``, minus the ELBO where every weight is 1.

    Computed as ``KL + (alpha - 1) MI + (beta - 1) TC + (gamma - 1) DW`` with the divergence in closed form, which on average is
    the same and varies less: what has the weight 1 is not estimated.

    Chen et al. 2018 (arXiv:1802.04942), equation 4, to be minimised here.

    Args:
        log_likelihood: ``log p(x | z)``, nats.
        kl: ``KL(q(z | x) || p(z))``, nats.
        terms: from :func:`decomposed_divergence`.
        alpha: weight of the mutual information.
        beta: weight of the total correlation.
        gamma: weight of the dimension-wise divergence.
    """
    extra = sum((weight - 1) * term for weight, term in zip((alpha, beta, gamma), terms, strict=True))
    return jnp.mean(kl + extra - log_likelihood)
