"""Perceptual distance of pairs from the vectors of :class:`~artifex.modalities.image.features.PerceptualFeatures`.

R. Zhang et al. 2018, arXiv:1801.03924. Shapes: ``B = pairs, F = features``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError

__all__ = ["PERCEPTUAL_DISTANCE", "PerceptualDistance"]


class PerceptualDistance:
    """Mean of ``|f(x) - f(y)|^2`` over pairs; a :class:`~artifex.core.metrics.StreamedMetric`.

    >>> metric = PerceptualDistance()
    >>> batch = {"samples": np.zeros((2, 3)), "references": np.array([[1.0, 0, 0], [0, 2.0, 1.0]])}
    >>> float(metric.finalize(metric.statistics(batch).sum(axis=0)))
    3.0
    """

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B 2"]:
        """Distance of each pair, and one.

        Raises:
            InvalidInputError: samples and references are no pairs.
        """
        x, y = (np.asarray(batch[name], np.float64) for name in ("samples", "references"))
        if x.shape != y.shape or x.ndim != 2:
            raise InvalidInputError(f"pairs of feature vectors (pairs, features) are needed; got {x.shape} and {y.shape}")
        squares = np.square(x - y).sum(axis=1)
        return np.stack([squares, np.ones_like(squares)], axis=-1)

    def finalize(self, total: Float[np.ndarray, "... 2"]) -> Any:
        """The mean."""
        total = np.asarray(total, np.float64)
        return total[..., 0] / total[..., 1]


PERCEPTUAL_DISTANCE = PerceptualDistance()
