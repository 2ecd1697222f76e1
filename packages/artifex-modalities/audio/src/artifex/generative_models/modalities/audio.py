"""The documented long path of :mod:`artifex.modalities.audio`: the same objects."""

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

_NAMES = (
    "AudioEvaluationSuite",
    "AudioModality",
    "AudioModalityConfig",
    "AudioModel",
    "AudioModelAdapter",
    "AudioRepresentation",
    "SpectrogramConfig",
    "constraints",
    "datasets",
    "griffin_lim",
    "istft",
    "loudness",
    "mel_spectrogram",
    "metrics",
    "mfcc",
    "mu_law_decode",
    "mu_law_encode",
    "normalize_loudness",
    "resample",
    "save_wav",
    "stft",
    "trim_silence",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.audio"))
