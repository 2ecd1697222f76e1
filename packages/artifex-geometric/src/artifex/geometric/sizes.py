"""How many points a set has: a histogram, which is part of a model's config and so saved with it.

``counts[n - 1]`` is how often sets of ``n`` points occurred; only ratios matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from artifex.core.errors import InvalidInputError

__all__ = ["SizeCounts", "check_size_counts", "draw_sizes", "given_sizes", "log_size_probability", "mask_of", "size_counts"]

SizeCounts = tuple[Annotated[int, Field(ge=0)], ...]
"""How often sets of 1, 2, ... points occurred; empty where every set has as many as there may be."""


def size_counts(mask: Bool[np.ndarray, "M N"], max_points: int | None = None) -> tuple[int, ...]:
    """The histogram of sets with these masks, for a config.

    >>> size_counts(np.array([[True, True, False], [True, True, True], [True, True, False]]))
    (0, 2, 1)
    """
    sizes = np.asarray(mask, bool).sum(axis=1)
    most = np.shape(mask)[1] if max_points is None else max_points
    return tuple(int(count) for count in np.bincount(sizes, minlength=most + 1)[1:])


def check_size_counts(counts: Sequence[int], max_points: int) -> None:
    """Refuse a histogram that is none of up to ``max_points``.

    Raises:
        ValueError: it is longer, or empty of sets.
    """
    if len(counts) > max_points:
        raise ValueError(
            f"size_counts tells of sets of up to {len(counts)} points, but max_points is {max_points}; make it {len(counts)}"
        )
    if counts and not sum(counts):
        raise ValueError("size_counts are all 0; give how often sets of 1, 2, ... points occur, or leave it out")


def _log_probabilities(counts: Sequence[int], max_points: int) -> np.ndarray:
    """Of 0, 1, ... points."""
    table = np.zeros(max_points + 1)
    table[1 : len(counts) + 1] = counts
    if not counts:
        table[-1] = 1
    with np.errstate(divide="ignore"):
        return np.log(table / table.sum())


def draw_sizes(key: Array, counts: Sequence[int], max_points: int, n_samples: int) -> Int[Array, "n_samples"]:
    """Sizes from the histogram; ``max_points`` each where it is empty.

    >>> draw_sizes(jax.random.key(0), (0, 3), 5, 4).tolist()
    [2, 2, 2, 2]
    """
    logits = jnp.asarray(_log_probabilities(counts, max_points), jnp.float32)
    return jax.random.categorical(key, logits, shape=(n_samples,)).astype(jnp.int32)


def log_size_probability(counts: Sequence[int], max_points: int, sizes: Int[Array, "B"]) -> Float[Array, "B"]:
    """Nats; minus infinity for a size that never occurred."""
    return jnp.asarray(_log_probabilities(counts, max_points), jnp.float32)[sizes]


def given_sizes(sizes: object, n_samples: int, max_points: int) -> Int[Array, "n_samples"]:
    """``sizes`` that a caller asks for, one for each sample; one number is for all.

    Raises:
        InvalidInputError: they are not as many as samples, or one is not between 1 and ``max_points``.
    """
    array = np.asarray(sizes)
    if array.shape not in ((), (n_samples,)) or array.dtype.kind not in "iu":
        raise InvalidInputError(f"sizes are {n_samples} whole numbers, one a sample, or one for all; got {sizes!r}")
    if array.size and (array.min() < 1 or array.max() > max_points):
        raise InvalidInputError(f"sizes lie between 1 and the model's max_points, {max_points}; got {sizes!r}")
    return jnp.asarray(np.broadcast_to(array, (n_samples,)), jnp.int32)


def mask_of(sizes: Int[Array, "B"], max_points: int) -> Bool[Array, "B N"]:
    """True in the first ``size`` of ``max_points`` places.

    >>> mask_of(jnp.array([1, 3]), 3).tolist()
    [[True, False, False], [True, True, True]]
    """
    return jnp.arange(max_points)[None] < sizes[:, None]
