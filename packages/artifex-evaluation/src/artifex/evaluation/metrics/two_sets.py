r"""Distances of two sets of vectors. Unbiased: the mean over sets of the same law is 0, so that single figures may be below it.

Shapes: ``N`` samples, ``M`` references, ``D`` numbers of each; examples of other shapes are flattened.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from artifex.core.errors import InvalidInputError

__all__ = ["energy_distance", "maximum_mean_discrepancy", "sliced_wasserstein"]

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of Gaussian kernels, in units of the median distance."""
MOST_FOR_MEDIAN = 1000

Vectors = Float[np.ndarray, "N ..."]


def energy_distance(samples: Vectors, references: Vectors) -> float:
    r""":math:`2 E|X - Y| - E|X - X'| - E|Y - Y'|`, without the pairs of an example with itself.

    Székely & Rizzo 2013 (doi:10.1016/j.jspi.2013.03.018), the U-statistic of their equation 2.

    Args:
        samples: ``(N, ...)``, two at least.
        references: ``(M, ...)``, two at least.

    Raises:
        InvalidInputError: they are not of one shape, or too few.

    Example:
        >>> energy_distance(np.array([[0.0], [1.0]]), np.array([[10.0], [11.0]]))
        18.0
    """
    x, y = flattened(samples, references)
    n, m = len(x), len(y)
    within = [cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(2 * cdist(x, y).sum() / (n * m) - within[0] - within[1])


def maximum_mean_discrepancy(samples: Vectors, references: Vectors) -> float:
    r""":math:`E k(X, X') + E k(Y, Y') - 2 E k(X, Y)`, the mean over five Gaussian kernels about the median distance.

    Gretton et al. 2012, "A kernel two-sample test" (JMLR 13), the unbiased estimate of equation 3. The widths are 1/4 to 4
    times the median distance between references, so that no scale is asked for.

    Args:
        samples: ``(N, ...)``, two at least.
        references: ``(M, ...)``, two at least.

    Raises:
        InvalidInputError: they are not of one shape, or too few.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> abs(maximum_mean_discrepancy(x[:200], x[200:])) < 0.01 < maximum_mean_discrepancy(x[:200], x[200:] + 1)
        True
    """
    x, y = flattened(samples, references)
    some = cdist(y[:MOST_FOR_MEDIAN], y[:MOST_FOR_MEDIAN])
    median = float(np.median(some[np.triu_indices(len(some), 1)])) or 1.0

    def kernels(a: np.ndarray, b: np.ndarray) -> float:
        square = cdist(a, b, "sqeuclidean") / median**2
        return sum(float(np.exp(-square / (2 * w**2)).sum()) for w in WIDTHS) / len(WIDTHS)

    within = [(kernels(z, z) - len(z)) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return within[0] + within[1] - 2 * kernels(x, y) / (len(x) * len(y))


def sliced_wasserstein(samples: Vectors, references: Vectors, rngs: Any, *, n_directions: int = 128) -> float:
    r""":math:`E_\theta W_1(\theta \cdot X, \theta \cdot Y)` over directions drawn on the sphere.

    Bonneel et al. 2015 (doi:10.1007/s10851-014-0506-3). Along each direction the distance is that of the sorted values, of
    quantiles where there are not as many of both.

    Args:
        samples: ``(N, ...)``.
        references: ``(M, ...)``.
        rngs: streams of the directions.
        n_directions: how many.

    Raises:
        InvalidInputError: they are not of one shape, or too few.

    Example:
        >>> from flax import nnx
        >>> x = np.random.default_rng(0).normal(size=(300, 1))
        >>> round(sliced_wasserstein(x + 2, x, nnx.Rngs(0)), 4)  # on a line, the shift
        2.0
    """
    x, y = flattened(samples, references)
    directions = np.asarray(jax.random.normal(rngs(), (n_directions, x.shape[1])), np.float64)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    n = max(len(x), len(y))
    at = (np.arange(n) + 0.5) / n
    found = [np.abs(_quantiles(x @ d, at) - _quantiles(y @ d, at)).mean() for d in directions]
    return float(np.mean(found))


def _quantiles(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    return ordered[np.minimum((at * len(ordered)).astype(int), len(ordered) - 1)]


def flattened(samples: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as ``(N, D)`` in float64.

    Raises:
        InvalidInputError: they are not of one shape, or too few.
    """
    x, y = np.asarray(samples, np.float64), np.asarray(references, np.float64)
    if x.shape[1:] != y.shape[1:] or x.ndim < 2 or min(len(x), len(y)) < 2:
        raise InvalidInputError(
            f"samples have shape {x.shape}, references {y.shape}; expected two of each at least, examples of one shape"
        )
    return x.reshape(len(x), -1), y.reshape(len(y), -1)
