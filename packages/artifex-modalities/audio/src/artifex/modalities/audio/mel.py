r"""Power in mel bands, cepstral coefficients, and the way back.

Two forms are in use, and they differ: *librosa*'s (Slaney's scale, linear up to 1 kHz, bands of equal area, zeros around the
signal) and *torchaudio*'s (HTK's scale, ``2595 log10(1 + f / 700)``, bands of equal height, the signal mirrored at its ends).

Shapes: ``... = batch, T = samples, F = frames, K = bins, M = mel bands, C = coefficients``.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.audio.config import MelForm
from artifex.modalities.audio.spectral import PadMode, stft

__all__ = [
    "PADS",
    "cepstrum",
    "cosine_basis",
    "decibels",
    "mel_filters",
    "mel_spectrogram",
    "mel_to_power",
    "mfcc",
    "mfcc_to_mel",
]

PADS: dict[str, PadMode] = {"librosa": "constant", "torchaudio": "reflect"}
DYNAMIC_RANGE = 80.0
"""Decibels below the loudest band of a signal, below which cepstra see nothing: both libraries' default."""
FLOOR = 1e-10
"""Least power that has a level."""


def _mel_of(frequency: np.ndarray, form: MelForm) -> np.ndarray:
    if form == "torchaudio":
        return 2595 * np.log10(1 + frequency / 700)
    logarithmic = 15 + np.log(np.maximum(frequency, 1000) / 1000) * 27 / np.log(6.4)
    return np.where(frequency < 1000, frequency * 3 / 200, logarithmic)


def _frequency_of(mel: np.ndarray, form: MelForm) -> np.ndarray:
    if form == "torchaudio":
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def mel_filters(sample_rate: int, n_fft: int, n_mels: int, form: MelForm = "librosa") -> np.ndarray:
    """Weights of bins in bands, ``(M, K)``, from 0 to half the sample rate: triangles whose corners are evenly spaced in mel.

    Raises:
        InvalidInputError: a band holds no bin, because there are too many of them for frames so short.

    >>> mel_filters(8000, 256, 20).shape
    (20, 129)
    """
    highest = float(_mel_of(np.array([sample_rate / 2]), form)[0])
    corners = _frequency_of(np.linspace(0.0, highest, n_mels + 2), form)
    bins = np.linspace(0, sample_rate // 2, n_fft // 2 + 1) if form == "torchaudio" else np.fft.rfftfreq(n_fft, 1 / sample_rate)
    widths = np.diff(corners)
    slopes = corners[:, None] - bins
    weights = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]))
    if form == "librosa":
        weights *= (2 / (corners[2:] - corners[:-2]))[:, None]
    if (empty := np.flatnonzero(weights.max(axis=1) == 0)).size:
        raise InvalidInputError(
            f"mel band {empty[0]} of {n_mels} lies between two bins of frames of {n_fft} samples; take fewer bands or longer "
            "frames"
        )
    return weights


def mel_spectrogram(
    x: Float[Array, "... T"], sample_rate: int, n_fft: int, hop: int, n_mels: int, form: MelForm = "librosa"
) -> Float[Array, "... F M"]:
    """Power in mel bands.

    >>> mel_spectrogram(jnp.ones(800), 8000, 256, 64, 20).shape
    (13, 20)
    """
    spectrum = stft(x, n_fft, hop, pad=PADS[form])
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    return jnp.matmul(
        power, jnp.asarray(mel_filters(sample_rate, n_fft, n_mels, form).T, power.dtype), precision=Precision.HIGHEST
    )


def mel_to_power(
    mel: Float[Array, "... F M"], sample_rate: int, n_fft: int, form: MelForm = "librosa"
) -> Float[Array, "... F K"]:
    """Power of bins that has this power in bands: the least by its squares, what is negative in it taken for zero."""
    inverse = np.linalg.pinv(mel_filters(sample_rate, n_fft, mel.shape[-1], form))
    return jnp.maximum(jnp.matmul(mel, jnp.asarray(inverse.T, mel.dtype), precision=Precision.HIGHEST), 0)


def decibels(power: Float[Array, "... F M"]) -> Float[Array, "... F M"]:
    """``10 log10(power)``, at most 80 below the loudest of each example."""
    level = 10 * jnp.log10(jnp.maximum(power, FLOOR))
    return jnp.maximum(level, jnp.max(level, axis=(-2, -1), keepdims=True) - DYNAMIC_RANGE)


def cosine_basis(n_mels: int, n_coefficients: int) -> np.ndarray:
    """The first rows of the orthonormal cosine transform of the second kind, ``(C, M)``.

    >>> bool(np.allclose(cosine_basis(8, 8) @ cosine_basis(8, 8).T, np.eye(8)))
    True
    """
    k, m = np.arange(n_coefficients)[:, None], np.arange(n_mels)
    basis = np.sqrt(2 / n_mels) * np.cos(np.pi * k * (2 * m + 1) / (2 * n_mels))
    basis[0] /= np.sqrt(2)
    return basis


def cepstrum(level: Float[Array, "... F M"], n_coefficients: int) -> Float[Array, "... F C"]:
    """Cosine transform of levels in bands."""
    basis = jnp.asarray(cosine_basis(level.shape[-1], n_coefficients).T, level.dtype)
    return jnp.matmul(level, basis, precision=Precision.HIGHEST)


def mfcc(
    x: Float[Array, "... T"],
    sample_rate: int,
    n_fft: int,
    hop: int,
    n_mels: int,
    n_coefficients: int,
    form: MelForm = "librosa",
) -> Float[Array, "... F C"]:
    """Mel-frequency cepstral coefficients: :func:`cepstrum` of :func:`decibels` of :func:`mel_spectrogram`.

    Davis and Mermelstein 1980 (doi:10.1109/TASSP.1980.1163420), in either library's form.
    """
    return cepstrum(decibels(mel_spectrogram(x, sample_rate, n_fft, hop, n_mels, form)), n_coefficients)


def mfcc_to_mel(coefficients: Float[Array, "... F C"], n_mels: int) -> Float[Array, "... F M"]:
    """Power in bands whose further coefficients are zero: a smooth version of what they were made of."""
    basis = jnp.asarray(cosine_basis(n_mels, coefficients.shape[-1]), coefficients.dtype)
    return 10 ** (jnp.matmul(coefficients, basis, precision=Precision.HIGHEST) / 10)
