"""How well a model predicts: perplexity, and the bits that coding an element or a byte costs.

A metric that is registered takes what its entry says it ``needs`` as arguments of those names: ``log_prob``, nats of each
example; ``references``, the examples. Shapes: ``N = examples, ... = one example``.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from artifex.core.errors import InvalidInputError

__all__ = ["bits_per_byte", "bits_per_element", "perplexity"]


def perplexity(
    log_prob: Float[Array, "N"], references: Float[Array, "N ..."], *, mask: Bool[Array, "N L"] | None = None
) -> Float[Array, ""]:
    """``exp(-sum log p(x) / elements)``: among how many equally likely values a model is as unsure.

    Args:
        log_prob: nats for each example.
        references: the examples.
        mask: true where there is an element; padding is none.

    Raises:
        InvalidInputError: there is not one ``log_prob`` for each example, or there are no elements.

    Example:
        >>> round(float(perplexity(jnp.array([-4 * math.log(5)]), jnp.zeros((1, 4)))), 4)
        5.0
    """
    return jnp.exp(_nats(log_prob, references, mask))


def bits_per_element(
    log_prob: Float[Array, "N"], references: Float[Array, "N ..."], *, mask: Bool[Array, "N L"] | None = None
) -> Float[Array, ""]:
    """``-sum log2 p(x) / elements``: bits per dimension of images, per token of sequences, per sample of signals.

    Args:
        log_prob: nats for each example.
        references: the examples.
        mask: true where there is an element; padding is none.

    Raises:
        InvalidInputError: there is not one ``log_prob`` for each example, or there are no elements.

    Example:
        >>> round(float(bits_per_element(jnp.array([-6 * math.log(2)]), jnp.zeros((1, 3)))), 4)
        2.0
    """
    return _nats(log_prob, references, mask) / math.log(2)


def bits_per_byte(
    log_prob: Float[Array, "N"],
    references: Float[Array, "N ..."],
    *,
    bytes_per_element: float = 1.0,
    mask: Bool[Array, "N L"] | None = None,
) -> Float[Array, ""]:
    """``-sum log2 p(x) / bytes``: what texts in different vocabularies can be compared by.

    Args:
        log_prob: nats for each example.
        references: the examples, as tokens.
        bytes_per_element: how many bytes of the text a token stands for on average; 1 where tokens are bytes.
        mask: true where there is a token; padding is none.

    Raises:
        InvalidInputError: there is not one ``log_prob`` for each example, there are no elements, or ``bytes_per_element`` is
            not positive.

    Example:
        >>> round(float(bits_per_byte(jnp.array([-6 * math.log(2)]), jnp.zeros((1, 3)), bytes_per_element=4)), 4)
        0.5
    """
    if not bytes_per_element > 0:
        raise InvalidInputError(f"bytes_per_element is {bytes_per_element}; it has to be positive")
    return bits_per_element(log_prob, references, mask=mask) / bytes_per_element


def _nats(log_prob: Array, references: Array, mask: Array | None) -> Array:
    """Of an element."""
    elements = math.prod(references.shape)
    if jnp.shape(log_prob) != references.shape[:1] or elements < 1:
        raise InvalidInputError(
            f"log_prob has shape {jnp.shape(log_prob)}, references {references.shape}; give one log_prob for each example, and "
            "examples of one element at least"
        )
    if mask is None:
        return -jnp.sum(log_prob) / elements
    if jnp.shape(mask) != references.shape[: jnp.ndim(mask)] or jnp.ndim(mask) < 1:
        raise InvalidInputError(f"mask has shape {jnp.shape(mask)}, references {references.shape}; a mask has its first axes")
    return -jnp.sum(log_prob) / (jnp.sum(mask) * math.prod(references.shape[jnp.ndim(mask) :]))
