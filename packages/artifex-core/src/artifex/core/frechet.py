r"""The Fréchet distance of two sets of features, each taken for a Gaussian, from states that merge without losing digits.

.. math:: d^2 = \lVert \mu_1 - \mu_2 \rVert^2 + \mathrm{tr}\,\Sigma_1 + \mathrm{tr}\,\Sigma_2
          - 2\,\mathrm{tr}\,(\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2})^{1/2}

The last trace is the sum of the singular values of :math:`\Sigma_1^{1/2} \Sigma_2^{1/2}`, real and non-negative by
construction. Dowson & Landau 1982 (doi:10.1016/0047-259X(82)90077-X); as a measure of images Heusel et al. 2017
(arXiv:1706.08500). Means and centred second moments are merged as Chan et al. 1983 do (doi:10.1080/00031305.1983.10483115): a
sum of raw squares in float32 loses the distance altogether where features are far from zero. All of it is float64 on the host.

Shapes: ``N`` examples, ``F`` features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError

__all__ = ["Moments", "frechet_distance", "merged_moments", "moments"]


class Moments(NamedTuple):
    """Count, mean and centred second moment of features."""

    n: float | np.floating
    """``N``."""
    mean: Float[np.ndarray, "F"]
    """``sum_i x_i / N``."""
    scatter: Float[np.ndarray, "F F"]
    """``sum_i (x_i - mean)(x_i - mean)^T``."""


def moments(features: Float[np.ndarray, "N F"]) -> Moments:
    """The state of one batch.

    Raises:
        InvalidInputError: these are no features, one vector for each example.

    Example:
        >>> moments(np.array([[1.0], [3.0]])).scatter.tolist()
        [[2.0]]
    """
    if np.ndim(features) != 2:
        raise InvalidInputError(f"features are (N, F), one vector for each example; got shape {np.shape(features)}")
    x = np.asarray(features, np.float64)
    mean = x.mean(axis=0) if len(x) else np.zeros(x.shape[1])
    centred = x - mean
    return Moments(np.float64(len(x)), mean, centred.T @ centred)


def merged_moments(one: Moments, other: Moments) -> Moments:
    """The state of the examples of both: Chan et al. 1983, equation 2.1.

    Example:
        >>> x = np.arange(6.0).reshape(3, 2)
        >>> parts = merged_moments(moments(x[:1]), moments(x[1:]))
        >>> bool(np.allclose(parts.scatter, moments(x).scatter))
        True
    """
    count = one.n + other.n
    if count == 0:
        return one
    step = other.mean - one.mean
    mean = one.mean + step * (other.n / count)
    scatter = one.scatter + other.scatter + np.outer(step, step) * (one.n * other.n / count)
    return Moments(count, mean, scatter)


def frechet_distance(one: Moments, other: Moments) -> float:
    """The squared distance ``d^2``, which is what the field reports.

    Raises:
        InvalidInputError: a set has fewer than two examples, or the two have features of different length.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(frechet_distance(moments(x), moments(x + 2.0)), 4)  # a shift by 2 along three axes
        12.0
    """
    if one.mean.shape != other.mean.shape:
        raise InvalidInputError(f"the features have {len(one.mean)} and {len(other.mean)} elements; use one extractor for both")
    if min(one.n, other.n) < 2:
        raise InvalidInputError(f"there are {int(one.n)} and {int(other.n)} examples; a covariance needs two at least")
    a, b = (m.scatter / (m.n - 1) for m in (one, other))
    overlap = np.linalg.svd(_root(a) @ _root(b), compute_uv=False).sum()
    return float(max(np.square(one.mean - other.mean).sum() + np.trace(a) + np.trace(b) - 2 * overlap, 0.0))


def _root(covariance: Float[np.ndarray, "F F"]) -> Float[np.ndarray, "F F"]:
    """Symmetric square root. Eigenvalues that are rounding errors are zero, lest their square roots add up."""
    values, vectors = np.linalg.eigh(covariance)
    floor = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return (vectors * np.sqrt(np.where(values > floor, values, 0.0))) @ vectors.T
