"""Metrics of sounds."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.audio.metrics.frechet import (
        FRECHET_DISTANCE as FRECHET_DISTANCE,
        FrechetAudioDistance as FrechetAudioDistance,
        MelStatistics as MelStatistics,
        MelStatisticsConfig as MelStatisticsConfig,
    )
    from artifex.modalities.audio.metrics.pairs import (
        MeanOverPairs as MeanOverPairs,
        log_spectral_distance as log_spectral_distance,
        mel_cepstral_distortion as mel_cepstral_distortion,
        multi_resolution_stft as multi_resolution_stft,
        si_sdr as si_sdr,
        snr as snr,
    )
    from artifex.modalities.audio.metrics.speech import pesq as pesq, stoi as stoi
    from artifex.modalities.audio.metrics.suite import AudioEvaluationSuite as AudioEvaluationSuite

_HERE = "artifex.modalities.audio.metrics"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "AudioEvaluationSuite": f"{_HERE}.suite",
        "FRECHET_DISTANCE": f"{_HERE}.frechet",
        "FrechetAudioDistance": f"{_HERE}.frechet",
        "MeanOverPairs": f"{_HERE}.pairs",
        "MelStatistics": f"{_HERE}.frechet",
        "MelStatisticsConfig": f"{_HERE}.frechet",
        "log_spectral_distance": f"{_HERE}.pairs",
        "mel_cepstral_distortion": f"{_HERE}.pairs",
        "multi_resolution_stft": f"{_HERE}.pairs",
        "pesq": f"{_HERE}.speech",
        "si_sdr": f"{_HERE}.pairs",
        "snr": f"{_HERE}.pairs",
        "stoi": f"{_HERE}.speech",
    },
)
