"""The metrics of :mod:`artifex.vae.metrics` as sums over examples, which is how they are registered.

What they are given is what their entries need: ``model``, ``references``, streams of each example's own, and the ``condition``
of a conditional model. Shapes: ``B = examples, L = latent, K = codes, S = statistics``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.metrics import MeanOf
from artifex.vae import losses
from artifex.vae.information import encoded
from artifex.vae.metrics import elbo_terms

__all__ = [
    "ActiveUnits",
    "CodebookPerplexity",
    "active_units",
    "bits_per_dimension",
    "codebook_perplexity",
    "distortion",
    "elbo",
    "log_likelihood",
    "rate",
]

NUM_SAMPLES = 500
"""Latents an example of the importance-weighted estimate. Burda et al. 2015 report 5000, at ten times the cost."""


def _elbo(model: Any, references: Array, rngs: nnx.Rngs, condition: Array | None = None) -> Float[Array, "B"]:
    return losses.elbo(*elbo_terms(model, references, condition, rngs))


def _distortion(model: Any, references: Array, rngs: nnx.Rngs, condition: Array | None = None) -> Float[Array, "B"]:
    return -elbo_terms(model, references, condition, rngs)[0]


def _rate(model: Any, references: Array, rngs: nnx.Rngs, condition: Array | None = None) -> Float[Array, "B"]:
    return elbo_terms(model, references, condition, rngs)[1]


def _log_likelihood(model: Any, references: Array, rngs: nnx.Rngs, condition: Array | None = None) -> Float[Array, "B"]:
    given = {} if condition is None else {"condition": condition}
    return model.log_prob(references, num_samples=NUM_SAMPLES, rngs=rngs, **given)


def _bits_per_dimension(log_prob: Float[Array, "B"], references: Float[Array, "B ..."]) -> Float[Array, "B"]:
    return -jnp.asarray(log_prob) / (math.prod(references.shape[1:]) * math.log(2))


class ActiveUnits:
    """How many latents' posterior means vary by more than ``threshold`` over the data: Burda et al. 2015, section 5.2."""

    threshold = 0.01

    def statistics(self, batch: Mapping[str, Any]) -> Float[Array, "B S"]:
        """Means, their squares, 1."""
        mean = encoded(batch["model"], batch["references"], batch.get("condition")).mean
        return jnp.concatenate([mean, jnp.square(mean), jnp.ones((len(mean), 1))], axis=1)

    def finalize(self, total: Any) -> Any:
        """The count, by unbiased variances."""
        latents, n = (total.shape[-1] - 1) // 2, total[..., -1:]
        squares = total[..., latents:-1] - total[..., :latents] ** 2 / n
        return (squares / (n - 1) > self.threshold).sum(axis=-1)


class CodebookPerplexity:
    """``exp(-sum_k p_k log p_k)`` for the codes' frequencies over the data."""

    def statistics(self, batch: Mapping[str, Any]) -> Float[Array, "B S"]:
        """How often each code stands for a part of an example."""
        model = batch["model"]
        codes = model.encode(batch["references"])
        return jax.nn.one_hot(codes.reshape(len(codes), -1), model.config.codebook_size).sum(axis=1)

    def finalize(self, total: Any) -> Any:
        """The perplexity."""
        p = total / total.sum(axis=-1, keepdims=True)
        return jnp.exp(-jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1.0)), 0.0), axis=-1))


elbo, distortion, rate, log_likelihood = map(MeanOf, (_elbo, _distortion, _rate, _log_likelihood))
bits_per_dimension = MeanOf(_bits_per_dimension)
active_units, codebook_perplexity = ActiveUnits(), CodebookPerplexity()
