"""How good a VAE is: bounds and estimates of its likelihood, and how much of its latent it uses.

A metric that is registered takes what its entry says it ``needs`` as arguments of those names: ``model``, ``references``.
Shapes: ``N = examples, L = latent, ... = one example``.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.vae import losses

__all__ = ["active_units", "bits_per_dimension", "elbo", "log_likelihood"]


def bits_per_dimension(log_prob: Float[Array, "..."], dimensions: int, *, bin_width: float = 1.0) -> Float[Array, "..."]:
    """``-(log p(x) + D log w) / (D log 2)``: what coding one element of ``x`` costs, in bits.

    Args:
        log_prob: nats for each example.
        dimensions: ``D``, the elements of one example.
        bin_width: ``w``. For probabilities of discrete data, 1. For a density of data that was rounded to steps of ``w``, that
            step (1/255 for 8-bit images scaled to [0, 1]): the mass of a step is about the density times ``w``.

    Example:
        >>> float(bits_per_dimension(jnp.array(-8 * math.log(2)), 4))  # 8 bits on 4 elements
        2.0
    """
    if dimensions < 1 or not bin_width > 0:
        raise InvalidInputError(f"dimensions is {dimensions} and bin_width {bin_width}; both have to be positive")
    return -(log_prob / dimensions + math.log(bin_width)) / math.log(2)


def active_units(model: Any, references: Float[Array, "N ..."], *, threshold: float = 0.01) -> Int[Array, ""]:
    """``|{j : Var_x(E_q[z_j | x]) > threshold}|``: how many latents say anything about the data.

    Burda et al. 2015 (arXiv:1509.00519), section 5.2.

    Args:
        model: what has ``encode(x).mean`` of shape ``(N, L)``.
        references: data, two examples at least.
        threshold: variance over the data above which a latent counts.
    """
    if len(references) < 2:
        raise InvalidInputError(f"references holds {len(references)} example(s); a variance over the data needs two at least")
    return jnp.sum(jnp.var(model.encode(references).mean, axis=0, ddof=1) > threshold)


def elbo(model: Any, references: Float[Array, "N ..."], *, rngs: nnx.Rngs | None = None) -> Float[Array, ""]:
    """``mean_N [log p(x | z) - KL(q(z | x) || p(z))]``, one ``z`` for each example, nats; whatever weights the loss has."""
    log_likelihood, kl = model.elbo_terms(references, model(references, rngs=rngs))
    return jnp.mean(losses.elbo(log_likelihood, kl))


def log_likelihood(
    model: Any, references: Float[Array, "N ..."], *, num_samples: int = 5000, rngs: nnx.Rngs | None = None
) -> Float[Array, ""]:
    """``mean_N log p(x)`` by importance weighting with ``num_samples`` latents an example, nats.

    Burda et al. 2015 (arXiv:1509.00519), equation 8; 5000 is their choice for reported figures.
    """
    return jnp.mean(model.log_prob(references, num_samples=num_samples, rngs=rngs))
