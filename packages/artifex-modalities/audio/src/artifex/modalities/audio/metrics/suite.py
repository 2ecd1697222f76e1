"""All that there is to say of a set of sounds, in one call."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.audio.constraints import clipping, discontinuities, silence
from artifex.modalities.audio.metrics.frechet import FRECHET_DISTANCE, MelStatistics, MelStatisticsConfig
from artifex.modalities.audio.metrics.pairs import (
    LOG_SPECTRAL_DISTANCE,
    MULTI_RESOLUTION_STFT,
    SI_SDR,
    SNR,
    MeanOverPairs,
    mel_cepstral_distortion,
)

__all__ = ["AudioEvaluationSuite"]


class AudioEvaluationSuite:
    """Figures of samples, alone and beside references.

    Args:
        sample_rate: samples a second.

    Raises:
        InvalidInputError: the sample rate is not positive.

    >>> x = np.random.default_rng(0).normal(size=(4, 8000)) / 8
    >>> figures = AudioEvaluationSuite(sample_rate=8000).evaluate(1.1 * x, x)
    >>> round(figures["snr"], 4), figures["clipped"], round(figures["mel_cepstral_distortion"], 6)
    (20.0, 0.0, 0.0)
    """

    def __init__(self, sample_rate: int = 16000) -> None:
        if sample_rate < 1:
            raise InvalidInputError(f"sample_rate is samples a second, from 1; got {sample_rate}")
        self.sample_rate = sample_rate
        self.features = MelStatistics(MelStatisticsConfig(sample_rate=sample_rate))
        distortion = partial(mel_cepstral_distortion, sample_rate=sample_rate)
        self.pairs = {
            "snr": SNR,
            "si_sdr": SI_SDR,
            "log_spectral_distance": LOG_SPECTRAL_DISTANCE,
            "mel_cepstral_distortion": MeanOverPairs(distortion, f"mcd|rate:{sample_rate}"),
            "multi_resolution_stft": MULTI_RESOLUTION_STFT,
        }

    def evaluate(
        self, samples: Float[np.ndarray, "N T"], references: Float[np.ndarray, "M T"] | None = None, *, paired: bool = True
    ) -> dict[str, float]:
        """Shares of samples that are ``clipped``, ``silent`` in part, or have ``jumps``; beside references how near they are.

        Args:
            samples: signals in [-1, 1].
            references: others; of the same number where each sample has its own.
            paired: whether each sample has its own reference. If not, only the sets are compared.

        Raises:
            InvalidInputError: these are no signals, or a pair's other half is missing.
        """
        samples = np.asarray(samples)
        if samples.ndim != 2 or 0 in samples.shape:
            raise InvalidInputError(f"samples have shape (examples, samples), at least one of each; got {samples.shape}")
        figures = {
            "clipped": _share(clipping(x) for x in samples),
            "silent": _share(silence(x, self.sample_rate) for x in samples),
            "jumps": _share(discontinuities(x) for x in samples),
        }
        if references is None:
            return figures
        if paired:
            figures |= {name: float(metric(samples, references)) for name, metric in self.pairs.items()}
        if min(len(samples), len(references)) > 1:
            features = {"samples": self.features(samples), "references": self.features(references)}
            figures["frechet_mel_statistics"] = FRECHET_DISTANCE.finalize(FRECHET_DISTANCE.state(features))
        return figures


def _share(violations: Any) -> float:
    return float(np.mean([bool(found) for found in violations]))
