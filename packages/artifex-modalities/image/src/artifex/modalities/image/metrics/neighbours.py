r"""How much of the references the samples cover, and how many of the samples lie among them, by nearest neighbours of features.

A point lies in the manifold of a set if it lies in one of the balls around the set's points that reach to their k-th nearest
neighbour in the set; borders belong to the ball.

    precision   share of samples in the manifold of the references            Kynkäänniemi et al. 2019, arXiv:1904.06991 (k = 3)
    recall      share of references in the manifold of the samples
    density     mean number of reference balls that hold a sample, over k      Naeem et al. 2020, arXiv:2002.09797 (k = 5)
    coverage    share of reference balls that hold a sample

Shapes: ``N, M = examples, F = features``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from artifex.modalities.image.metrics.kernel import two_sets

__all__ = ["coverage", "density", "precision", "recall"]

Features = Float[np.ndarray, "N F"]
ROWS = 1024
"""Rows of the distances that are in memory at once."""
ROUNDING = 1e-12
"""What a squared distance of float64 features may be off by, in units of the squared norms."""


def precision(samples: Features, references: Features, *, k: int = 3) -> float:
    """Share of samples in the manifold of the references: how real they are.

    Raises:
        InvalidInputError: not more than ``k`` of either, or features of different extractors.

    >>> points = np.arange(8.0)[:, None]
    >>> precision(points + 0.5, points, k=1), recall(points[:2], points, k=1)
    (1.0, 0.375)
    """
    x, y = _centred(samples, references, k)
    return _share_inside(x, y, _radii(y, k))


def recall(samples: Features, references: Features, *, k: int = 3) -> float:
    """Share of references in the manifold of the samples: how much of the data they cover. Raises as :func:`precision`."""
    x, y = _centred(samples, references, k)
    return _share_inside(y, x, _radii(x, k))


def density(samples: Features, references: Features, *, k: int = 5) -> float:
    """Mean number of the references' balls around a sample, over ``k``: may exceed one. Raises as :func:`precision`."""
    x, y = _centred(samples, references, k)
    radii = _radii(y, k)
    return sum(int((part <= radii).sum()) for part in _squared_distances(x, y)) / (k * len(x))


def coverage(samples: Features, references: Features, *, k: int = 5) -> float:
    """Share of the references whose ball holds a sample. Raises as :func:`precision`."""
    x, y = _centred(samples, references, k)
    nearest = np.concatenate([part.min(axis=1) for part in _squared_distances(y, x)])
    return float(np.mean(nearest <= _radii(y, k)))


def _centred(samples: np.ndarray, references: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = two_sets(samples, references, at_least=k + 1)
    centre = y.mean(axis=0)
    return x - centre, y - centre


def _share_inside(points: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> float:
    return float(np.concatenate([(part <= radii).any(axis=1) for part in _squared_distances(points, centres)]).mean())


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each point to its k-th nearest among the others, with room for rounding, so that ties are ties."""
    kth = np.concatenate([np.partition(part, k, axis=1)[:, k] for part in _squared_distances(x, x)])
    return kth * (1.0 + ROUNDING) + ROUNDING * np.einsum("nf,nf->n", x, x).max()


def _squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    norms = np.einsum("nf,nf->n", y, y)
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        yield np.maximum(np.einsum("nf,nf->n", rows, rows)[:, None] + norms - 2.0 * rows @ y.T, 0.0)
