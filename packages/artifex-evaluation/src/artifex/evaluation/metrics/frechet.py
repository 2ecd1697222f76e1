"""The Fréchet distance of features, from batches: a metric for any modality that has an extractor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.core.frechet import Moments, frechet_distance, merged_moments, moments

__all__ = ["FrechetDistance"]


class FrechetDistance:
    """``d^2`` of :mod:`artifex.core.frechet`, a :class:`~artifex.core.metrics.MergedMetric` of samples and references.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 4))
        >>> metric = FrechetDistance()
        >>> state = metric.merge(metric.state({"samples": x + 1}), metric.state({"references": x}))
        >>> round(metric.finalize(state), 4)  # a shift by 1 along four axes
        4.0
    """

    def state(self, batch: Mapping[str, Any]) -> dict[str, Moments]:
        """Moments of what the batch has."""
        return {name: moments(np.asarray(batch[name])) for name in ("samples", "references") if name in batch}

    def merge(self, one: dict[str, Moments], other: dict[str, Moments]) -> dict[str, Moments]:
        both = one.keys() & other.keys()
        return {**one, **other, **{name: merged_moments(one[name], other[name]) for name in both}}

    def finalize(self, state: dict[str, Moments]) -> float:
        if missing := {"samples", "references"} - state.keys():
            raise InvalidInputError(f"the state has no {' and no '.join(sorted(missing))}")
        return frechet_distance(state["samples"], state["references"])
