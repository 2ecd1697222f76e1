r"""Fréchet distances of two sets of sounds, over features that are named.

.. math:: d^2 = |m - m'|^2 + \mathrm{tr}(C + C' - 2 (C C')^{1/2})

Dowson and Landau 1982 (doi:10.1016/0047-259X(82)90077-X), by :mod:`artifex.core.frechet`. What is called FAD takes a VGGish
network's features (Kilgour et al. 2019, arXiv:1812.08466); of other features the distance is another one, and has their name.
Moments are float64 and merge about their means (Chan et al. 1979).

Shapes: ``B = examples, T = samples, F = features, M = mel bands``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.frechet import Moments, frechet_distance, merged_moments, moments
from artifex.modalities.audio.mel import mel_filters
from artifex.modalities.audio.metrics.pairs import FLOOR, power_spectrum, sample_rate_of

__all__ = ["FRECHET_DISTANCE", "FrechetAudioDistance", "MelStatistics", "MelStatisticsConfig"]


@config
class MelStatisticsConfig(Config):
    """How the frames are taken."""

    sample_rate: Annotated[int, Field(ge=1)] | None = None
    """Samples a second; in an evaluation, those of the data's modality."""
    n_fft: Annotated[int, Field(ge=4)] = 1024
    """Samples of a frame; the next begins a quarter later."""
    n_mels: Annotated[int, Field(ge=1)] = 20
    """Mel bands, in librosa's form."""


class MelStatistics:
    """Mean and standard deviation over time of the logarithm of power in each mel band, ``(B, 2 M)``: no network at all.

    A component of the slot ``feature_extractor``; of signals ``(B, T)`` as the modality restores them.

    >>> MelStatistics(MelStatisticsConfig(sample_rate=16000))(np.zeros((3, 4000))).shape
    (3, 40)
    """

    def __init__(self, config: MelStatisticsConfig) -> None:
        self.config = config

    def for_modality(self, modality: Any) -> MelStatistics:
        """At the modality's sample rate.

        Raises:
            InvalidInputError: the config has another one, or the modality none.
        """
        rate, own = sample_rate_of(modality), self.config.sample_rate
        if own not in (None, rate):
            raise InvalidInputError(f"mel_statistics has sample_rate {own}, and the signals have {rate}; leave it out")
        return MelStatistics(self.config.replace(sample_rate=rate))

    @cached_property
    def _filters(self) -> np.ndarray:
        rate = self.config.sample_rate
        if rate is None:
            raise InvalidInputError("mel_statistics has no sample_rate, and there is no audio modality to say it; set it")
        return mel_filters(rate, self.config.n_fft, self.config.n_mels)

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
        return {**one, **other, **{name: merged_moments(one[name], other[name]) for name in one.keys() & other.keys()}}

    def finalize(self, state: Mapping[str, Moments]) -> float:
        """The distance.

        Raises:
            InvalidInputError: samples or references are missing, a single one, or of different features.
        """
        if missing := sorted({"samples", "references"} - state.keys()):
            raise InvalidInputError(f"a Fréchet distance needs samples and references; there are no {' and no '.join(missing)}")
        return frechet_distance(state["samples"], state["references"])


def _moments(features: Any) -> Moments:
    if not np.isfinite(features).all():
        raise InvalidInputError("features have to be finite; leave out the sounds whose are not")
    return moments(features)


FRECHET_DISTANCE = FrechetAudioDistance()
"""As it is registered."""
