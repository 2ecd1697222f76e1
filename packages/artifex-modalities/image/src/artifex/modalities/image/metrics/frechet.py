r"""Fréchet distances of two sets of features, taken as two Gaussians.

    d^2 = |m - m'|^2 + tr(C + C' - 2 (C C')^{1/2})

D. C. Dowson & B. V. Landau 1982, doi:10.1016/0047-259X(82)90077-X; over the features of an Inception network it is the FID of
Heusel et al. 2017, arXiv:1706.08500. Moments are float64 and merge about their means (Chan et al. 1979): a sum of raw squares
would lose its digits where features lie far from zero.

Shapes: ``B = examples of a batch, F = features``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError

__all__ = ["FRECHET_DISTANCE", "FrechetDistance", "Moments", "frechet_distance", "merge_moments", "moments"]


class Moments(NamedTuple):
    """How many, their mean ``(F,)`` and the sum of ``(x - mean)(x - mean)^T`` ``(F, F)``, float64."""

    n: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased, ``scatter / (n - 1)``.

        Raises:
            InvalidInputError: there are fewer than two examples.
        """
        if self.n < 2:
            raise InvalidInputError(f"a covariance needs two examples at least, got {int(self.n)}")
        return self.scatter / (self.n - 1)


def moments(features: Float[np.ndarray, "B F"]) -> Moments:
    """Moments of one batch.

    Raises:
        InvalidInputError: they are no features ``(B, F)`` of one example at least, or not all finite.
    """
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise InvalidInputError(f"features have the shape (examples, features), at least one of each; got {x.shape}")
    if not np.isfinite(x).all():
        raise InvalidInputError(f"features of {int((~np.isfinite(x)).any(axis=1).sum())} of {len(x)} examples are not finite")
    mean = x.mean(axis=0)
    centred = x - mean
    return Moments(np.float64(len(x)), mean, centred.T @ centred)


def merge_moments(one: Moments, other: Moments) -> Moments:
    """Moments of the examples of both: ``S = S1 + S2 + n1 n2 / n (m1 - m2)(m1 - m2)^T``."""
    n = one.n + other.n
    shift = other.mean - one.mean
    mean = one.mean + shift * (other.n / n)
    return Moments(n, mean, one.scatter + other.scatter + np.outer(shift, shift) * (one.n * other.n / n))


def frechet_distance(
    mean: Float[np.ndarray, "F"],
    covariance: Float[np.ndarray, "F F"],
    other_mean: Float[np.ndarray, "F"],
    other_covariance: Float[np.ndarray, "F F"],
) -> float:
    """Squared Fréchet distance of two Gaussians, which is what the field calls the distance.

    ``tr (C C')^{1/2}`` is the sum of the singular values of ``C^{1/2} C'^{1/2}``: real and non-negative by construction, also
    for covariances of fewer examples than features.

    >>> frechet_distance(np.zeros(2), np.eye(2), np.ones(2), 4 * np.eye(2))
    4.0
    """
    shift = np.asarray(mean, np.float64) - other_mean
    cross = np.linalg.svd(_root(covariance) @ _root(other_covariance), compute_uv=False).sum()
    return float(max(shift @ shift + np.trace(covariance) + np.trace(other_covariance) - 2.0 * cross, 0.0))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric square root; eigenvalues that are rounding errors of zero are zero."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    floor = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return (vectors * np.sqrt(np.where(values > floor, values, 0.0))) @ vectors.T


class FrechetDistance:
    """Fréchet distance of ``samples`` and ``references``, each given as features.

    A :class:`~artifex.core.metrics.MergedMetric`.

    Two examples of each are the least. Fewer examples than features are allowed: the covariances then lack directions, and the
    distance is too great, as it is, less and less, for any number of examples; compare figures of equal numbers.

    >>> metric, rng = FrechetDistance(), np.random.default_rng(0)
    >>> x, y = rng.normal(size=(500, 3)), 1 + rng.normal(size=(400, 3))
    >>> batches = [metric.state({"samples": x[:200], "references": y}), metric.state({"samples": x[200:]})]
    >>> round(metric.finalize(metric.merge(*batches)), 3)
    2.814
    """

    def state(self, batch: Mapping[str, Any]) -> dict[str, Moments]:
        """Moments of what the batch holds."""
        return {name: moments(batch[name]) for name in ("samples", "references") if name in batch}

    def merge(self, one: Mapping[str, Moments], other: Mapping[str, Moments]) -> dict[str, Moments]:
        """Moments of both."""
        both = one.keys() & other.keys()
        return {**one, **other, **{name: merge_moments(one[name], other[name]) for name in both}}

    def finalize(self, state: Mapping[str, Moments]) -> float:
        """The distance.

        Raises:
            InvalidInputError: samples or references are missing, a single one, or of different features.
        """
        if missing := sorted({"samples", "references"} - state.keys()):
            raise InvalidInputError(f"a Fréchet distance needs samples and references; there are no {' and no '.join(missing)}")
        one, other = state["samples"], state["references"]
        if one.mean.shape != other.mean.shape:
            raise InvalidInputError(
                f"samples have {one.mean.size} features and references {other.mean.size}; take one extractor"
            )
        return frechet_distance(one.mean, one.covariance, other.mean, other.covariance)


FRECHET_DISTANCE = FrechetDistance()
