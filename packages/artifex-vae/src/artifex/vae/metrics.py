"""How good a VAE is: bounds and estimates of its likelihood, and how much of its latent it uses.

A metric that is registered takes what its entry says it ``needs`` as arguments of those names: ``model``; ``references``, data;
``labels``, what is known about each of them; ``log_prob``, nats of each of them. Everything else has a default. Where a model
is conditional, its condition goes along as ``condition``. Shapes: ``N = examples, L = latent, F = factors, ... = one example``.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.vae import codebook, losses
from artifex.vae.information import encoded, mutual_information_gap

__all__ = [
    "active_units",
    "bits_per_dimension",
    "codebook_perplexity",
    "distortion",
    "elbo",
    "elbo_terms",
    "log_likelihood",
    "mutual_information_gap",
    "rate",
]


def bits_per_dimension(
    log_prob: Float[Array, "N"], references: Float[Array, "N ..."], *, bin_width: float = 1.0
) -> Float[Array, ""]:
    """``mean_N -(log p(x) + D log w) / (D log 2)``: what coding one element of ``x`` costs, in bits.

    Args:
        log_prob: nats for each example.
        references: the examples, of ``D`` elements each.
        bin_width: ``w``. For probabilities of discrete data, 1. For a density of data that was rounded to steps of ``w``, that
            step (1/255 for 8-bit images scaled to [0, 1]): the mass of a step is about the density times ``w``.

    Raises:
        InvalidInputError: there is not one ``log_prob`` for each example, an example has no elements, or ``bin_width`` is not
            positive.

    Example:
        >>> float(bits_per_dimension(jnp.array([-8 * math.log(2)]), jnp.zeros((1, 2, 2))))  # 8 bits on 4 elements
        2.0
    """
    dimensions = math.prod(references.shape[1:])
    if jnp.shape(log_prob) != references.shape[:1] or dimensions < 1:
        raise InvalidInputError(
            f"log_prob has shape {jnp.shape(log_prob)}, references {references.shape}; give one log_prob for each example, and "
            "examples of one element at least"
        )
    if not bin_width > 0:
        raise InvalidInputError(f"bin_width is {bin_width}; it has to be positive")
    return -jnp.mean(log_prob / dimensions + math.log(bin_width)) / math.log(2)


def active_units(
    model: Any, references: Float[Array, "N ..."], *, threshold: float = 0.01, condition: Array | None = None
) -> Int[Array, ""]:
    """``|{j : Var_x(E_q[z_j | x]) > threshold}|``: how many latents say anything about the data.

    Burda et al. 2015 (arXiv:1509.00519), section 5.2.

    Args:
        model: what has ``encode(x).mean`` of shape ``(N, L)``.
        references: data, two examples at least.
        threshold: variance over the data above which a latent counts.
        condition: of each example, for a conditional model.

    Raises:
        InvalidInputError: the model is no VAE, or there are fewer than two examples.
    """
    if len(references) < 2:
        raise InvalidInputError(f"references holds {len(references)} example(s); a variance over the data needs two at least")
    posterior = encoded(model, references, condition)
    return jnp.sum(jnp.var(posterior.mean, axis=0, ddof=1) > threshold)


def elbo(
    model: Any, references: Float[Array, "N ..."], *, condition: Array | None = None, rngs: nnx.Rngs | None = None
) -> Float[Array, ""]:
    """``mean_N [log p(x | z) - KL(q(z | x) || p(z))]``, one ``z`` for each example, nats; whatever weights the loss has."""
    return jnp.mean(losses.elbo(*elbo_terms(model, references, condition, rngs)))


def distortion(
    model: Any, references: Float[Array, "N ..."], *, condition: Array | None = None, rngs: nnx.Rngs | None = None
) -> Float[Array, ""]:
    """``mean_N -log p(x | z)``, one ``z`` for each example, nats: what is lost. ``elbo = -distortion - rate``.

    Alemi et al. 2018 (arXiv:1711.00464), equation 4.
    """
    return -jnp.mean(elbo_terms(model, references, condition, rngs)[0])


def rate(
    model: Any, references: Float[Array, "N ..."], *, condition: Array | None = None, rngs: nnx.Rngs | None = None
) -> Float[Array, ""]:
    """``mean_N KL(q(z | x) || p(z))``, nats: what the latent carries. Alemi et al. 2018 (arXiv:1711.00464), equation 5."""
    return jnp.mean(elbo_terms(model, references, condition, rngs)[1])


def log_likelihood(
    model: Any,
    references: Float[Array, "N ..."],
    *,
    num_samples: int = 5000,
    condition: Array | None = None,
    rngs: nnx.Rngs | None = None,
) -> Float[Array, ""]:
    """``mean_N log p(x)`` by importance weighting with ``num_samples`` latents an example, nats.

    Burda et al. 2015 (arXiv:1509.00519), equation 8; 5000 is their choice for reported figures.
    """
    return jnp.mean(model.log_prob(references, num_samples=num_samples, rngs=rngs, **_given(condition)))


def codebook_perplexity(model: Any, references: Float[Array, "N ..."]) -> Float[Array, ""]:
    """``exp(-sum_j p_j log p_j)`` for the codes' frequencies over the data: how many are in use, counted by how often.

    van den Oord et al. 2017 (arXiv:1711.00937).

    Args:
        model: what has ``encode(x)`` to integers.
        references: data.

    Raises:
        InvalidInputError: the model's codes are no integers.
    """
    codes = model.encode(references) if hasattr(model, "encode") else None
    if not isinstance(codes, Array) or not jnp.issubdtype(codes.dtype, jnp.integer):
        raise InvalidInputError(
            f"{type(model).__name__} has no encode to integers; the perplexity is that of a codebook's codes"
        )
    return codebook.codebook_perplexity(codes, int(codes.max()) + 1)


def _given(condition: Array | None) -> dict[str, Array]:
    return {} if condition is None else {"condition": condition}


def elbo_terms(
    model: Any, references: Array, condition: Array | None, rngs: nnx.Rngs | None
) -> tuple[Float[Array, "N"], Float[Array, "N"]]:
    """``log p(x | z)`` and ``KL(q(z | x) || p(z))`` of each example, nats, for one ``z`` each.

    Raises:
        InvalidInputError: the model is no VAE.
    """
    if not hasattr(model, "elbo_terms"):
        raise InvalidInputError(f"{type(model).__name__} has no elbo_terms; expected a VAE, whose ELBO has two terms")
    return model.elbo_terms(references, model(references, rngs=rngs, **_given(condition)))
