r"""Inception Score: how sure a classifier is of each sample, and how many classes it sees among them.

    IS = exp(E_x KL(p(y | x) || p(y))) = exp(mean_x sum_y p log p - sum_y q log q),    q = mean_x p

Salimans et al. 2016, arXiv:1606.03498. Theirs is the mean over ten parts of the samples; this is the score of all, with an
interval by resampling where an engine makes one.

Shapes: ``B = samples of a batch, C = classes, ... = leading axes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError

__all__ = ["INCEPTION_SCORE", "ClassScore", "class_score"]

TOLERANCE = 1e-3
"""By how much the probabilities of a sample may miss one."""


class ClassScore:
    """The score of probabilities ``p(y | x)``; a :class:`~artifex.core.metrics.StreamedMetric`.

    >>> metric = ClassScore()
    >>> total = metric.statistics({"samples": np.eye(4)}).sum(axis=0)
    >>> round(float(metric.finalize(total)), 6)
    4.0
    """

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B S"]:
        """One, ``sum_y p log p`` and ``p`` of each sample.

        Raises:
            InvalidInputError: they are no probabilities.
        """
        p = np.asarray(batch["samples"], np.float64)
        if p.ndim != 2 or p.shape[1] < 2 or not ((p >= 0).all() and np.abs(p.sum(axis=1) - 1).max(initial=0.0) < TOLERANCE):
            raise InvalidInputError(
                f"probabilities (samples, classes) are needed, each row adding up to one; got shape {p.shape}"
                " (the extractor 'inception_probabilities' gives such)"
            )
        return np.concatenate([np.ones((len(p), 1)), _x_log_x(p).sum(axis=1, keepdims=True), p], axis=1)

    def finalize(self, total: Float[np.ndarray, "... S"]) -> Any:
        """The score."""
        total = np.asarray(total, np.float64)
        mean = total[..., 1:] / total[..., :1]
        return np.exp(mean[..., 0] - _x_log_x(mean[..., 1:]).sum(axis=-1))


INCEPTION_SCORE = ClassScore()


def class_score(probabilities: Float[np.ndarray, "N C"]) -> float:
    """The score of all samples at once."""
    return float(INCEPTION_SCORE.finalize(INCEPTION_SCORE.statistics({"samples": probabilities}).sum(axis=0)))


def _x_log_x(p: np.ndarray) -> np.ndarray:
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0)
