r"""Scores of how far an example is from what a density was trained on.

A likelihood alone does not tell: it is high for images that are merely simple (Nalisnick et al. 2018, arXiv:1810.09136). Two
corrections, each higher for examples that are more like the training data:

    log-likelihood ratio    log p(x) - log p0(x)         p0: the same kind of model, trained on data whose content is scrambled
                                                         (Ren et al. 2019, arXiv:1906.02845, section 2)
    input complexity        L(x) + log2 P(x)             L: bits of a lossless compressor (Serrà et al. 2020, arXiv:1909.11480;
                                                         its sign turned)

Shapes: ``N = examples, ... = one example``.
"""

from __future__ import annotations

import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from artifex.core.errors import InvalidInputError

__all__ = ["complexity_score", "compressed_bits", "log_likelihood_ratio", "mutate"]


def log_likelihood_ratio(log_prob: Float[Array, "N"], background_log_prob: Float[Array, "N"]) -> Float[Array, "N"]:
    """``log p(x) - log p0(x)``, nats: what the content of ``x`` is worth beyond its background.

    Ren et al. 2019 (arXiv:1906.02845), section 2.

    Args:
        log_prob: of the model.
        background_log_prob: of a model of the background, trained on :func:`mutate` of the same data.

    Raises:
        InvalidInputError: they are not of as many examples.

    Example:
        >>> log_likelihood_ratio(jnp.array([-10.0, -10.0]), jnp.array([-14.0, -9.0])).tolist()
        [4.0, -1.0]
    """
    if jnp.shape(log_prob) != jnp.shape(background_log_prob):
        raise InvalidInputError(
            f"log_prob has shape {jnp.shape(log_prob)}, background_log_prob {jnp.shape(background_log_prob)}; give one of each "
            "for each example"
        )
    return log_prob - background_log_prob


def mutate(key: Array, x: Float[Array, "N ..."], rate: float, levels: int) -> Float[Array, "N ..."]:
    """``x`` with each element replaced, at probability ``rate``, by a level drawn uniformly: data for a background model.

    Ren et al. 2019 (arXiv:1906.02845), section 2, where rates of 0.1 to 0.3 serve for images.

    Args:
        key: draws.
        x: intensities ``k / (levels - 1)`` in [0, 1].
        rate: probability, in [0, 1].
        levels: how many.

    Raises:
        InvalidInputError: ``rate`` is no probability, there are fewer than two levels, or ``x`` is of integers.
    """
    if not 0 <= rate <= 1 or levels < 2:
        raise InvalidInputError(f"rate is {rate}, levels {levels}; expected a probability, and at least 2 levels")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(f"x is {x.dtype}; expected intensities in [0, 1]: divide levels by {levels - 1}")
    where_key, what_key = jax.random.split(key)
    drawn = jax.random.randint(what_key, x.shape, 0, levels).astype(x.dtype) / (levels - 1)
    return jnp.where(jax.random.bernoulli(where_key, rate, x.shape), drawn, x)


def compressed_bits(x: Num[np.ndarray, "N ..."], levels: int) -> Float[np.ndarray, "N"]:
    """Bits that DEFLATE (RFC 1951) makes of each example, a byte an element: its complexity, from above. On the host.

    Args:
        x: intensities ``k / (levels - 1)`` in [0, 1].
        levels: how many, up to 256.

    Raises:
        InvalidInputError: ``levels`` is not in 2..256, or ``x`` lies outside [0, 1].

    Example:
        >>> flat, noise = np.zeros((1, 32, 32)), np.random.default_rng(0).random((1, 32, 32))
        >>> bool(compressed_bits(flat, 256)[0] < 0.05 * compressed_bits(noise, 256)[0])
        True
    """
    x = np.asarray(x)
    if not 2 <= levels <= 256 or x.size == 0 or not (x.min() >= 0 and x.max() <= 1):
        raise InvalidInputError(f"levels is {levels} and x of shape {x.shape}; expected 2 to 256 levels, and values in [0, 1]")
    stored = np.rint(x * (levels - 1)).astype(np.uint8)
    return np.array([8.0 * len(zlib.compress(example.tobytes(), 9, -15)) for example in stored])


def complexity_score(log_prob: Float[np.ndarray, "N"], bits: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """``L(x) + log2 P(x)``, bits: by how much the model codes ``x`` shorter than a compressor that knows nothing of the data.

    Serrà et al. 2020 (arXiv:1909.11480), its sign turned so that higher is more like the training data.

    Args:
        log_prob: log probability of the discrete images, or a bound of it, nats.
        bits: ``L``, :func:`compressed_bits`.

    Raises:
        InvalidInputError: there is not one of either for each image.

    Example:
        >>> complexity_score(np.log([2.0**-10]), np.array([14.0])).tolist()
        [4.0]
    """
    if np.ndim(log_prob) != 1 or np.shape(log_prob) != np.shape(bits):
        raise InvalidInputError(f"log_prob has shape {np.shape(log_prob)}, bits {np.shape(bits)}; expected (images,) of both")
    return np.asarray(bits) + np.asarray(log_prob) / math.log(2)
