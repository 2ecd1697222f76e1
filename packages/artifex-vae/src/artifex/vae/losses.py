r"""Objectives of variational autoencoders, as pure functions of log likelihoods and divergences.

Everything is in nats. Shapes: ``B = batch, L = latent, K = importance samples``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

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
    "importance_weighted",
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


def importance_weighted(
    log_weights: Callable[[Any, Array, int], Float[Array, "K"]],
    examples: Any,
    key: Array,
    *,
    num_samples: int,
    chunk_size: int,
) -> Float[Array, "B"]:
    """:func:`iwae_bound` of every example with ``K = num_samples``, in memory that grows neither with ``K`` nor with ``B``.

    Maps over chunks of examples and, for each, scans over chunks of samples.

    Args:
        log_weights: ``(example, key, n)`` to ``log w`` of ``n`` independent draws, ``(n,)``.
        examples: arrays whose leading axis is ``B``, in a tree such as ``log_weights`` takes one row of.
        key: of all the draws; each example has its own stream.
        num_samples: ``K``.
        chunk_size: how many draws are worked on at a time, of all examples together.
    """
    n_examples = jax.tree.leaves(examples)[0].shape[0]
    if n_examples == 0:
        return jnp.zeros(0)
    at_a_time = min(n_examples, chunk_size) if isinstance(n_examples, int) else 1  # exported for any number, one by one
    chunk = min(num_samples, chunk_size // at_a_time)

    def bound(pair: tuple[Any, Array]) -> Float[Array, ""]:
        example, own_key = pair

        def add_chunk(total: Float[Array, ""], i: Array) -> tuple[Float[Array, ""], None]:
            wanted = jnp.arange(chunk) < num_samples - i * chunk  # the last chunk may be more than is wanted
            drawn = jnp.where(wanted, log_weights(example, jax.random.fold_in(own_key, i), chunk), -jnp.inf)
            return jnp.logaddexp(total, jax.nn.logsumexp(drawn)), None

        total, _ = jax.lax.scan(add_chunk, jnp.array(-jnp.inf), jnp.arange(-(-num_samples // chunk)))
        return total - math.log(num_samples)

    return jax.lax.map(bound, (examples, jax.random.split(key, n_examples)), batch_size=at_a_time)
