r"""Objectives of variational autoencoders, as pure functions of log likelihoods and divergences.

Everything is in nats. Shapes: ``B = batch, L = latent, K = importance samples``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.vae.likelihoods import accumulated

__all__ = [
    "annealed_capacity",
    "beta_objective",
    "capacity_objective",
    "elbo",
    "gaussian_kl",
    "iwae_bound",
    "log_importance_ratio",
]


def gaussian_kl(mean: Float[Array, "... L"], log_variance: Float[Array, "... L"]) -> Float[Array, "..."]:
    r"""``KL(N(m, diag v) || N(0, I)) = 1/2 sum_j (m_j^2 + v_j - 1 - log v_j)``.

    Kingma & Welling 2013 (arXiv:1312.6114), appendix B.

    Example:
        >>> float(gaussian_kl(jnp.array([3.0, 1.0]), jnp.zeros(2)))
        5.0
    """
    mean, log_variance = accumulated(mean), accumulated(log_variance)
    # expm1(v) - v, not exp(v) - 1 - v: near the prior the difference would be lost to rounding
    return 0.5 * jnp.sum(jnp.square(mean) + (jnp.expm1(log_variance) - log_variance), axis=-1)


def elbo(log_likelihood: Float[Array, "..."], kl: Float[Array, "..."]) -> Float[Array, "..."]:
    """``log p(x | z) - KL(q(z | x) || p(z)) <= log p(x)`` on average over ``z ~ q``: the evidence lower bound.

    Kingma & Welling 2013 (arXiv:1312.6114), equation 3.
    """
    return log_likelihood - kl


def beta_objective(log_likelihood: Float[Array, "B"], kl: Float[Array, "B"], beta: float) -> Float[Array, ""]:
    """``mean_B [beta KL - log p(x | z)]``, to be minimised; minus the ELBO at ``beta = 1``.

    Higgins et al. 2017 (beta-VAE, ICLR), equation 4.
    """
    return jnp.mean(beta * kl - log_likelihood)


def capacity_objective(
    log_likelihood: Float[Array, "B"], kl: Float[Array, "B"], *, capacity: Float[Array, ""] | float, gamma: float
) -> Float[Array, ""]:
    """``gamma |mean_B KL - C| - mean_B log p(x | z)``, to be minimised: the latent carries about ``C`` nats.

    The divergence is averaged over the batch first: it is the code as a whole whose rate is held at ``C``, not each example's.
    Burgess et al. 2018 (arXiv:1804.03599), equation 8.
    """
    return gamma * jnp.abs(jnp.mean(kl) - capacity) - jnp.mean(log_likelihood)


def annealed_capacity(step: int | Array, *, final: float, steps: int) -> Float[Array, ""]:
    """``C(t) = final * min(t / steps, 1)``. Burgess et al. 2018 (arXiv:1804.03599), section 5."""
    return final * jnp.clip(jnp.asarray(step, jnp.float32) / steps, 0.0, 1.0)


def log_importance_ratio(
    noise: Float[Array, "... L"], z: Float[Array, "... L"], log_variance: Float[Array, "... L"]
) -> Float[Array, "..."]:
    r"""``log p(z) - log q(z | x) = 1/2 sum_j (e_j^2 - z_j^2 + log v_j)`` for ``z = m + sqrt(v) e``; the constants cancel."""
    noise, z, log_variance = accumulated(noise), accumulated(z), accumulated(log_variance)
    return 0.5 * jnp.sum(jnp.square(noise) - jnp.square(z) + log_variance, axis=-1)


def iwae_bound(log_weights: Float[Array, "K ..."]) -> Float[Array, "..."]:
    r"""``log 1/K sum_k w_k`` with ``w_k = p(x, z_k) / q(z_k | x)``: between the ELBO (K = 1) and ``log p(x)`` (K to infinity).

    Burda et al. 2015 (arXiv:1509.00519), equation 8.

    Example:
        >>> round(float(iwae_bound(jnp.log(jnp.array([1.0, 3.0])))), 4)  # log 2
        0.6931
    """
    return jax.nn.logsumexp(accumulated(log_weights), axis=0) - math.log(log_weights.shape[0])
