r"""Fréchet distances of two sets of sounds, over features that are named.

.. math:: d^2 = |m - m'|^2 + \mathrm{tr}(C + C' - 2 (C C')^{1/2})

Dowson and Landau 1982 (doi:10.1016/0047-259X(82)90077-X). What is called FAD takes a VGGish network's features (Kilgour et al.
2019, arXiv:1812.08466); of other features the distance is another one, and has their name. Moments are float64 and merge about
their means (Chan et al. 1979).

Shapes: ``B = examples, T = samples, F = features, M = mel bands``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.modalities.audio.mel import mel_filters
from artifex.modalities.audio.metrics.pairs import FLOOR, power_spectrum

__all__ = ["FRECHET_DISTANCE", "FrechetAudioDistance", "MelStatistics", "MelStatisticsConfig", "frechet_distance"]

Moments = tuple[float, np.ndarray, np.ndarray]
"""How many, their mean ``(F,)``, and the sum of ``(x - mean)(x - mean)^T`` ``(F, F)``."""


@config
class MelStatisticsConfig(Config):
    """How the frames are taken."""

    sample_rate: Annotated[int, Field(ge=1)] = 16000
    """Samples a second."""
    n_fft: Annotated[int, Field(ge=4)] = 1024
    """Samples of a frame; the next begins a quarter later."""
    n_mels: Annotated[int, Field(ge=1)] = 20
    """Mel bands, in librosa's form."""


class MelStatistics:
    """Mean and standard deviation over time of the logarithm of power in each mel band, ``(B, 2 M)``: no network at all.

    A component of the slot ``feature_extractor``; of signals ``(B, T)`` as the modality restores them.

    >>> MelStatistics(MelStatisticsConfig())(np.zeros((3, 4000))).shape
    (3, 40)
    """

    def __init__(self, config: MelStatisticsConfig) -> None:
        self.config = config
        self._filters = mel_filters(config.sample_rate, config.n_fft, config.n_mels)

    @property
    def signature(self) -> str:
        """All that features depend on."""
        config = self.config
        return f"mel statistics|rate:{config.sample_rate}|n_fft:{config.n_fft}|mels:{config.n_mels} librosa"

    def __call__(self, examples: Any) -> Float[np.ndarray, "B F"]:
        """Features of a batch of signals."""
        examples = np.asarray(examples)
        if examples.ndim != 2:
            raise InvalidInputError(f"signals have shape (batch, samples), got {examples.shape}")
        power = power_spectrum(examples, self.config.n_fft, self.config.n_fft // 4) @ self._filters.T
        level = np.log10(np.maximum(power, FLOOR))
        return np.concatenate([level.mean(axis=1), level.std(axis=1)], axis=-1)


class FrechetAudioDistance:
    """Fréchet distance of ``samples`` and ``references``, each given as features.

    A :class:`artifex.core.metrics.MergedMetric`; two examples of each are the least.

    >>> metric, rng = FrechetAudioDistance(), np.random.default_rng(0)
    >>> x, y = rng.normal(size=(500, 3)), 1 + rng.normal(size=(400, 3))
    >>> batches = [metric.state({"samples": x[:200], "references": y}), metric.state({"samples": x[200:]})]
    >>> round(metric.finalize(metric.merge(*batches)), 3)
    2.814
    """

    signature = "frechet distance|float64"

    def state(self, batch: Mapping[str, Any]) -> dict[str, Moments]:
        """Moments of what the batch holds."""
        return {name: _moments(batch[name]) for name in ("samples", "references") if name in batch}

    def merge(self, one: Mapping[str, Moments], other: Mapping[str, Moments]) -> dict[str, Moments]:
        """Moments of both."""
        return {**one, **other, **{name: _merged(one[name], other[name]) for name in one.keys() & other.keys()}}

    def finalize(self, state: Mapping[str, Moments]) -> float:
        """The distance.

        Raises:
            InvalidInputError: samples or references are missing, a single one, or of different features.
        """
        counts = {name: int(state[name][0]) if name in state else 0 for name in ("samples", "references")}
        if min(counts.values()) < 2:
            raise InvalidInputError(f"a Fréchet distance needs two samples and two references at least; got {counts}")
        (n, mean, scatter), (m, other_mean, other_scatter) = state["samples"], state["references"]
        if mean.shape != other_mean.shape:
            raise InvalidInputError(f"samples have {mean.size} features, references {other_mean.size}; take one extractor")
        return frechet_distance(mean, scatter / (n - 1), other_mean, other_scatter / (m - 1))


def frechet_distance(mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray) -> float:
    """Squared Fréchet distance of two Gaussians, which is what the field calls the distance.

    >>> frechet_distance(np.zeros(2), np.eye(2), np.ones(2), 4 * np.eye(2))
    4.0
    """
    shift = mean - other_mean
    cross = np.linalg.svd(_root(covariance) @ _root(other_covariance), compute_uv=False).sum()
    return float(max(shift @ shift + np.trace(covariance) + np.trace(other_covariance) - 2 * cross, 0.0))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric square root; eigenvalues that are rounding errors of zero are zero."""
    values, vectors = np.linalg.eigh(covariance)
    least = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return (vectors * np.sqrt(np.where(values > least, values, 0.0))) @ vectors.T


def _moments(features: Any) -> Moments:
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise InvalidInputError(f"features are finite and have shape (examples, features), one of each at least; got {x.shape}")
    mean = x.mean(axis=0)
    return float(len(x)), mean, (x - mean).T @ (x - mean)


def _merged(one: Moments, other: Moments) -> Moments:
    n = one[0] + other[0]
    shift = other[1] - one[1]
    return n, one[1] + shift * (other[0] / n), one[2] + other[2] + np.outer(shift, shift) * (one[0] * other[0] / n)


FRECHET_DISTANCE = FrechetAudioDistance()
