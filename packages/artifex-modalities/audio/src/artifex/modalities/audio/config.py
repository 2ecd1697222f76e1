"""Config of the audio modality: the form in which a model is given a signal."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from pydantic import Field

from artifex.core.config import Config, config

__all__ = ["AudioModalityConfig", "AudioRepresentation", "MelForm", "SpectrogramConfig"]

MelForm = Literal["librosa", "torchaudio"]
PositiveInt = Annotated[int, Field(ge=1)]


class AudioRepresentation(Enum):
    """What a model is given of a signal of ``T`` samples, ``F`` frames."""

    RAW_WAVEFORM = "raw_waveform"
    """The samples, ``(T,)`` in [-1, 1]."""
    MU_LAW = "mu_law"
    """Levels of mu-law, whole numbers ``(T,)``."""
    STFT = "stft"
    """Real and imaginary parts of the short-time Fourier transform, ``(F, bins, 2)``."""
    MEL_SPECTROGRAM = "mel_spectrogram"
    """Logarithms of the power in mel bands, ``(F, n_mels)``."""
    MFCC = "mfcc"
    """Mel-frequency cepstral coefficients, ``(F, n_mfcc)``."""


_SPECTRAL = (AudioRepresentation.STFT, AudioRepresentation.MEL_SPECTROGRAM, AudioRepresentation.MFCC)
_OF_MELS = (AudioRepresentation.MEL_SPECTROGRAM, AudioRepresentation.MFCC)


@config
class SpectrogramConfig(Config):
    """Frames of a signal, and what is taken of each.

    >>> SpectrogramConfig(n_fft=512).hop
    128
    """

    n_fft: Annotated[int, Field(ge=4)] = 512
    """Samples of a frame."""
    hop_length: PositiveInt | None = None
    """Samples from one frame to the next; a quarter of a frame by default."""
    n_mels: PositiveInt | None = None
    """Mel bands, 64 by default."""
    form: MelForm | None = None
    """Whose mel bands. ``librosa``, the default: Slaney's scale, bands of equal area, zeros around the signal. ``torchaudio``:
    HTK's scale, bands of equal height, the signal mirrored at its ends. Each with that library's other defaults."""
    n_mfcc: PositiveInt | None = None
    """Cepstral coefficients, 20 by default."""
    iterations: PositiveInt | None = None
    """Rounds of Griffin and Lim's algorithm on the way back to a signal, 32 by default."""

    def __post_init__(self) -> None:
        if self.hop > self.n_fft // 2:
            raise ValueError(f"hop_length {self.hop} is more than half of n_fft {self.n_fft}; frames have to overlap by half")

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self.hop_length or self.n_fft // 4


@config
class AudioModalityConfig(Config):
    """What a model is given as ``x``.

    >>> AudioModalityConfig(representation="mel_spectrogram", spectrogram={"n_mels": 40}).mels
    40
    """

    sample_rate: PositiveInt = 16000
    """Samples a second."""
    length: PositiveInt = 16000
    """Samples of an example. Shorter ones are padded with zeros, of longer ones a part is taken."""
    representation: AudioRepresentation = AudioRepresentation.RAW_WAVEFORM
    """The form of ``x``."""
    levels: Annotated[int, Field(ge=2)] | None = None
    """Levels of ``mu_law``; 256 by default."""
    spectrogram: SpectrogramConfig | None = None
    """Frames of ``stft``, ``mel_spectrogram`` and ``mfcc``."""
    crop: Literal["start", "random"] = "start"
    """Which part of an example that is longer: its beginning; or, in training, a part that is drawn anew at each step."""

    def __post_init__(self) -> None:
        kind = self.representation
        if self.levels is not None and kind is not AudioRepresentation.MU_LAW:
            raise ValueError(f"levels are of 'mu_law', and representation is {kind.value!r}; leave them out")
        if self.spectrogram is not None and kind not in _SPECTRAL:
            raise ValueError(
                f"a spectrogram is of stft, mel_spectrogram and mfcc, and representation is {kind.value!r}; leave it out"
            )
        given = self.spectrogram or SpectrogramConfig()
        of_mels = () if kind in _OF_MELS else ("n_mels", "form", "iterations")
        fields = [name for name in of_mels if getattr(given, name) is not None]
        fields += ["n_mfcc"] if given.n_mfcc is not None and kind is not AudioRepresentation.MFCC else []
        if fields:
            raise ValueError(f"spectrogram.{fields[0]} changes nothing for representation {kind.value!r}; leave it out")
        if kind is AudioRepresentation.MFCC and self.coefficients > self.mels:
            raise ValueError(f"n_mfcc {self.coefficients} is more than n_mels {self.mels}")

    @property
    def number_of_levels(self) -> int:
        """Levels of mu-law."""
        return self.levels or 256

    @property
    def frames(self) -> SpectrogramConfig:
        """How frames are taken."""
        return self.spectrogram or SpectrogramConfig()

    @property
    def mels(self) -> int:
        """Mel bands."""
        return self.frames.n_mels or 64

    @property
    def coefficients(self) -> int:
        """Cepstral coefficients."""
        return self.frames.n_mfcc or 20
