"""Fréchet distance of two sets of features, from batches: the maths is :mod:`artifex.core.frechet`.

Over the features of an Inception network it is the FID of Heusel et al. 2017, arXiv:1706.08500.
Shapes: ``B = examples of a batch, F = features``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.core.frechet import Moments, frechet_distance, merged_moments, moments

__all__ = ["FRECHET_DISTANCE", "FrechetDistance"]


class FrechetDistance:
    """Fréchet distance of ``samples`` and ``references``, each given as features.

    A :class:`~artifex.core.metrics.MergedMetric`. Two examples of each are the least. Fewer examples than features are
    allowed: the covariances then lack directions, and the distance is too great, as it is, less and less, for any number of
    examples; compare figures of equal numbers.

    >>> metric, rng = FrechetDistance(), np.random.default_rng(0)
    >>> x, y = rng.normal(size=(500, 3)), 1 + rng.normal(size=(400, 3))
    >>> batches = [metric.state({"samples": x[:200], "references": y}), metric.state({"samples": x[200:]})]
    >>> round(metric.finalize(metric.merge(*batches)), 3)
    2.814
    """

    def state(self, batch: Mapping[str, Any]) -> dict[str, Moments]:
        """Moments of what the batch holds.

        Raises:
            InvalidInputError: it holds something else than finite features ``(B, F)``.
        """
        return {name: moments(_finite(batch[name], name)) for name in ("samples", "references") if name in batch}

    def merge(self, one: Mapping[str, Moments], other: Mapping[str, Moments]) -> dict[str, Moments]:
        """Moments of both."""
        both = one.keys() & other.keys()
        return {**one, **other, **{name: merged_moments(one[name], other[name]) for name in both}}

    def finalize(self, state: Mapping[str, Moments]) -> float:
        """The distance.

        Raises:
            InvalidInputError: samples or references are missing, a single one, or of different features.
        """
        if missing := sorted({"samples", "references"} - state.keys()):
            raise InvalidInputError(f"a Fréchet distance needs samples and references; there are no {' and no '.join(missing)}")
        return frechet_distance(state["samples"], state["references"])


def _finite(features: Any, name: str) -> np.ndarray:
    x = np.asarray(features)
    if x.ndim == 2 and not np.isfinite(x).all():
        rows = int((~np.isfinite(x)).any(axis=1).sum())
        raise InvalidInputError(f"the features of {rows} of {len(x)} {name} are not finite")
    return x


FRECHET_DISTANCE = FrechetDistance()
