"""Sounds: how they reach a model, data sets of them, and how good they are. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.audio import constraints as constraints, datasets as datasets, metrics as metrics
    from artifex.modalities.audio.adapter import AudioModel as AudioModel, AudioModelAdapter as AudioModelAdapter
    from artifex.modalities.audio.companding import mu_law_decode as mu_law_decode, mu_law_encode as mu_law_encode
    from artifex.modalities.audio.config import (
        AudioModalityConfig as AudioModalityConfig,
        AudioRepresentation as AudioRepresentation,
        SpectrogramConfig as SpectrogramConfig,
    )
    from artifex.modalities.audio.files import save_wav as save_wav
    from artifex.modalities.audio.mel import mel_spectrogram as mel_spectrogram, mfcc as mfcc
    from artifex.modalities.audio.metrics.suite import AudioEvaluationSuite as AudioEvaluationSuite
    from artifex.modalities.audio.modality import AudioModality as AudioModality
    from artifex.modalities.audio.processing import (
        loudness as loudness,
        normalize_loudness as normalize_loudness,
        resample as resample,
        trim_silence as trim_silence,
    )
    from artifex.modalities.audio.spectral import griffin_lim as griffin_lim, istft as istft, stft as stft

_HERE = "artifex.modalities.audio"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "AudioEvaluationSuite": f"{_HERE}.metrics.suite",
        "AudioModality": f"{_HERE}.modality",
        "AudioModalityConfig": f"{_HERE}.config",
        "AudioModel": f"{_HERE}.adapter",
        "AudioModelAdapter": f"{_HERE}.adapter",
        "AudioRepresentation": f"{_HERE}.config",
        "SpectrogramConfig": f"{_HERE}.config",
        "constraints": f"{_HERE}.constraints",
        "datasets": f"{_HERE}.datasets",
        "griffin_lim": f"{_HERE}.spectral",
        "istft": f"{_HERE}.spectral",
        "loudness": f"{_HERE}.processing",
        "mel_spectrogram": f"{_HERE}.mel",
        "metrics": f"{_HERE}.metrics",
        "mfcc": f"{_HERE}.mel",
        "mu_law_decode": f"{_HERE}.companding",
        "mu_law_encode": f"{_HERE}.companding",
        "normalize_loudness": f"{_HERE}.processing",
        "resample": f"{_HERE}.processing",
        "save_wav": f"{_HERE}.files",
        "stft": f"{_HERE}.spectral",
        "trim_silence": f"{_HERE}.processing",
    },
)
