r"""Fidelity and diversity by nearest neighbours.

A ball about each example reaches to its k-th nearest neighbour among its own kind (k = 5).

    precision   share of samples in the ball of some reference        recall     share of references in the ball of some sample
    density     1/k of the mean number of references' balls that a sample lies in; 1 for the same law
    coverage    share of references in whose ball some sample lies

Kynkäänniemi et al. 2019 (arXiv:1904.06991), equations 1 to 3; Naeem et al. 2020 (arXiv:2002.09797), equations 4 and 5.

Shapes: ``N`` samples, ``M`` references.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from artifex.core.errors import InvalidInputError
from artifex.evaluation.metrics.two_sets import flattened

__all__ = ["coverage", "density", "precision", "recall"]

K = 5
Vectors = Float[np.ndarray, "N ..."]


def precision(samples: Vectors, references: Vectors, *, k: int = K) -> float:
    """The share of samples that lie in the ball of some reference.

    Args:
        samples: ``(N, ...)``.
        references: ``(M, ...)``, more than ``k``.
        k: which neighbour a ball reaches to.

    Raises:
        InvalidInputError: they are not of one shape, or there are not more than ``k``.

    Example:
        >>> x = np.arange(20.0)[:, None]
        >>> precision(np.array([[3.0], [90.0]]), x)
        0.5
    """
    x, y = flattened(samples, references)
    return float(np.mean(np.any(cdist(x, y) <= _radii(y, k), axis=1)))


def recall(samples: Vectors, references: Vectors, *, k: int = K) -> float:
    """The share of references that lie in the ball of some sample. Arguments as :func:`precision` has them."""
    return precision(references, samples, k=k)


def density(samples: Vectors, references: Vectors, *, k: int = K) -> float:
    """``1/(kN)`` times the number of pairs of a sample and a reference in whose ball it lies."""
    x, y = flattened(samples, references)
    return float(np.sum(cdist(x, y) < _radii(y, k)) / (k * len(x)))


def coverage(samples: Vectors, references: Vectors, *, k: int = K) -> float:
    """The share of references in whose ball some sample lies."""
    x, y = flattened(samples, references)
    return float(np.mean(cdist(x, y).min(axis=0) < _radii(y, k)))


def _radii(points: np.ndarray, k: int) -> np.ndarray:
    """Of each one's ball."""
    if len(points) <= k:
        raise InvalidInputError(f"there are {len(points)} examples; more than {k} are needed, for each has {k} neighbours")
    return np.partition(cdist(points, points), k, axis=1)[:, k]  # the nearest is the point itself
