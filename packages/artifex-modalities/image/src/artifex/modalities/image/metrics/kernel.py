r"""Kernel distance of two sets of features: the unbiased squared MMD with a cubic kernel.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j),    k(x, y) = (x . y / F + 1)^3

Bińkowski et al. 2018, arXiv:1801.01401, equation 4: over the features of an Inception network it is the KID. Theirs is the mean
over random subsets; this one takes every pair, which has the same expectation and a smaller variance.

Shapes: ``N, M = examples, F = features``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError

__all__ = ["kernel_distance", "two_sets"]

ROWS = 1024
"""Rows of the kernel matrix that are in memory at once."""


def kernel_distance(samples: Float[np.ndarray, "N F"], references: Float[np.ndarray, "M F"]) -> float:
    """Unbiased estimate, negative where two sets are as alike as their size can tell.

    Raises:
        InvalidInputError: fewer than two of either, or features of different extractors.

    >>> kernel_distance(np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]]))
    0.0
    """
    x, y = two_sets(samples, references, at_least=2)
    between = sum(float(part.sum()) for part in _kernel(x, y)) / (len(x) * len(y))
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2.0 * between


def two_sets(samples: np.ndarray, references: np.ndarray, at_least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 ``(N, F)`` and ``(M, F)``, once they can be compared.

    Raises:
        InvalidInputError: they cannot.
    """
    x, y = np.asarray(samples, np.float64), np.asarray(references, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InvalidInputError(
            f"two sets of features (examples, features) of one extractor are needed; got {x.shape} and {y.shape}"
        )
    if min(len(x), len(y)) < at_least:
        raise InvalidInputError(f"{at_least} samples and {at_least} references at least are needed; got {len(x)} and {len(y)}")
    for name, features in (("samples", x), ("references", y)):
        if not np.isfinite(features).all():
            raise InvalidInputError(f"the features of {name} are not all finite")
    return x, y


def _mean_of_pairs(x: np.ndarray) -> float:
    itself = (np.einsum("nf,nf->n", x, x) / x.shape[1] + 1.0) ** 3
    return float((sum(part.sum() for part in _kernel(x, x)) - itself.sum()) / (len(x) * (len(x) - 1)))


def _kernel(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(x), ROWS):
        yield (x[start : start + ROWS] @ y.T / x.shape[1] + 1.0) ** 3
