r"""Losses of sequences: cross-entropy of tokens, with padding left out.

Shapes: ``B = batch, L = length, V = vocabulary``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.core.objectives import WeightedMean, weighted_mean

__all__ = ["cross_entropy", "token_log_prob"]


def token_log_prob(logits: Float[Array, "... V"], tokens: Int[Array, "..."]) -> Float[Array, "..."]:
    """``log softmax(l)`` at each token, nats, in float32; NaN for a token outside the vocabulary.

    Raises:
        InvalidInputError: there is not one token for each row of logits.

    >>> round(float(token_log_prob(jnp.zeros((1, 4)), jnp.array([2]))[0]), 4)
    -1.3863
    """
    if logits.shape[:-1] != tokens.shape:
        raise InvalidInputError(f"logits of shape {logits.shape} go with tokens {logits.shape[:-1]}, got {tokens.shape}")
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    there = (tokens >= 0) & (tokens < logits.shape[-1])
    chosen = jnp.take_along_axis(logits, jnp.where(there, tokens, 0)[..., None], axis=-1)[..., 0]
    return jnp.where(there, chosen - jax.nn.logsumexp(logits, axis=-1), jnp.nan)


def cross_entropy(
    logits: Float[Array, "B L V"], tokens: Int[Array, "B L"], mask: Bool[Array, "B L"] | None = None
) -> WeightedMean:
    """``mean -log p(x_i | x_{<i})`` over tokens, nats, as a sum with the number of tokens.

    Args:
        logits: of each token.
        tokens: what is there.
        mask: true where a token counts; what stands elsewhere, NaN and tokens that are none included, changes nothing.

    Raises:
        InvalidInputError: the shapes do not go together.

    Example:
        >>> mean = cross_entropy(jnp.zeros((1, 3, 4)), jnp.array([[0, 1, -1]]), jnp.array([[True, True, False]]))
        >>> round(float(mean.value), 4), float(mean.weight)
        (1.3863, 2.0)
    """
    if mask is None:
        mask = jnp.ones(tokens.shape, bool)
    logits = jnp.where(mask[..., None], logits, 0)
    return weighted_mean(-token_log_prob(logits, jnp.where(mask, tokens, 0)), mask)
