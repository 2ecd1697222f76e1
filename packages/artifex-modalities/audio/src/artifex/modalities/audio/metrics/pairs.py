r"""How near signals are to their references, sample by sample and spectrum by spectrum.

Every function takes samples and references ``(B, T)`` and gives one number for each, float64; :class:`MeanOverPairs` makes a
metric of one. Shapes: ``B = examples, T = samples, F = frames, K = bins``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.audio.mel import cosine_basis, mel_filters
from artifex.modalities.audio.spectral import PadMode, hann

__all__ = [
    "LOG_SPECTRAL_DISTANCE",
    "MEL_CEPSTRAL_DISTORTION",
    "MULTI_RESOLUTION_STFT",
    "SI_SDR",
    "SNR",
    "MeanOverPairs",
    "log_spectral_distance",
    "mel_cepstral_distortion",
    "multi_resolution_stft",
    "power_spectrum",
    "sample_rate_of",
    "si_sdr",
    "snr",
]

Signals = Float[np.ndarray, "B T"]
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""Samples of a frame, from one to the next, and of the window, in Parallel WaveGAN."""
FLOOR = 1e-10
"""Least power that has a level: 100 decibels below a full one."""
CLAMP = 1e-7
"""Least power in Parallel WaveGAN's spectra."""


def snr(samples: Signals, references: Signals) -> Float[np.ndarray, "B"]:
    r"""Signal-to-noise ratio, decibels: :math:`10 \log_{10}(\sum r^2 / \sum (s - r)^2)`.

    Infinite for equal signals; minus infinity where silence should be and something is.

    >>> snr(np.full((1, 9), 1.1), np.ones((1, 9))).round(6).tolist()
    [20.0]
    """
    s, r = _pair(samples, references)
    return _ratio(np.square(r).sum(axis=-1), np.square(s - r).sum(axis=-1))


def si_sdr(samples: Signals, references: Signals) -> Float[np.ndarray, "B"]:
    r"""Scale-invariant signal-to-distortion ratio, decibels: :math:`10 \log_{10}(|a r|^2 / |a r - s|^2)`.

    Le Roux et al. 2019, "SDR - Half-Baked or Well Done?" (arXiv:1811.02508), equation 3; means are not taken away. NaN where
    the reference is silent, which has no direction.

    >>> si_sdr(np.array([[3.0, 1.0]]), np.array([[1.0, 0.0]])).round(4).tolist()
    [9.5424]
    """
    s, r = _pair(samples, references)
    power = np.square(r).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = (s * r).sum(axis=-1) / power
    target = scale[:, None] * r
    ratio = _ratio(np.square(target).sum(axis=-1), np.square(target - s).sum(axis=-1))
    return np.where(power > 0, np.where(np.square(s).sum(axis=-1) > 0, ratio, -np.inf), np.nan)


def log_spectral_distance(
    samples: Signals, references: Signals, *, n_fft: int = 1024, hop: int = 256
) -> Float[np.ndarray, "B"]:
    r"""Decibels, :math:`\mathrm{mean}_f \sqrt{\mathrm{mean}_k (10 \log_{10} P_{fk} / P'_{fk})^2}` of powers, of at least 1e-10.

    Gray and Markel 1976, "Distance Measures for Speech Processing" (doi:10.1109/TASSP.1976.1162849), frame by frame.

    >>> x = np.random.default_rng(0).normal(size=(1, 2000))
    >>> log_spectral_distance(0.1 * x, x).round(3).tolist()
    [20.0]
    """
    levels = [10 * np.log10(np.maximum(power_spectrum(x, n_fft, hop), FLOOR)) for x in _pair(samples, references)]
    return np.sqrt(np.square(levels[0] - levels[1]).mean(axis=-1)).mean(axis=-1)


def mel_cepstral_distortion(
    samples: Signals,
    references: Signals,
    *,
    sample_rate: int = 16000,
    n_fft: int = 1024,
    hop: int = 256,
    n_mels: int = 40,
    n_coefficients: int = 13,
) -> Float[np.ndarray, "B"]:
    r"""Decibels, :math:`\frac{10}{\ln 10} \mathrm{mean}_f \sqrt{2 \sum_{d=1}^{D} (c_{fd} - c'_{fd})^2}` of mel cepstra.

    Kubichek 1993, "Mel-Cepstral Distance Measure for Objective Speech Quality Assessment" (doi:10.1109/PACRIM.1993.407206).
    Coefficients are those of the natural logarithm of the power in librosa's mel bands, ``c_d = sum_m log(P_m) cos(...) / M``
    from the first on, without that of loudness; frames are compared one by one, unaligned.

    >>> x = np.random.default_rng(0).normal(size=(1, 4000))
    >>> mel_cepstral_distortion(0.1 * x, x).round(6).tolist()
    [0.0]
    """
    filters = mel_filters(sample_rate, n_fft, n_mels)
    basis = cosine_basis(n_mels, n_coefficients + 1)[1:] / np.sqrt(2 * n_mels)
    cepstra = [
        np.log(np.maximum(power_spectrum(x, n_fft, hop) @ filters.T, FLOOR)) @ basis.T for x in _pair(samples, references)
    ]
    distance = np.sqrt(2 * np.square(cepstra[0] - cepstra[1]).sum(axis=-1))
    return 10 / np.log(10) * distance.mean(axis=-1)


def multi_resolution_stft(samples: Signals, references: Signals) -> Float[np.ndarray, "B"]:
    r"""Mean over three resolutions of :math:`|M' - M|_F / |M'|_F + \mathrm{mean} |\log M' - \log M|`, ``M`` of magnitudes.

    Yamamoto et al. 2020, "Parallel WaveGAN" (arXiv:1910.11480), equations 4 to 6, for each pair by itself; ``M'`` is the
    reference's.

    >>> x = np.random.default_rng(0).normal(size=(1, 4000))
    >>> multi_resolution_stft(0.5 * x, x).round(4).tolist()
    [1.1931]
    """
    s, r = _pair(samples, references)
    total = np.zeros(len(s))
    for n_fft, hop, width in RESOLUTIONS:
        mine, theirs = (np.sqrt(np.maximum(power_spectrum(x, n_fft, hop, width, "reflect"), CLAMP)) for x in (s, r))
        convergence = np.sqrt(np.square(theirs - mine).sum(axis=(1, 2)) / np.square(theirs).sum(axis=(1, 2)))
        total += convergence + np.abs(np.log(theirs) - np.log(mine)).mean(axis=(1, 2))
    return total / len(RESOLUTIONS)


def power_spectrum(
    x: Signals, n_fft: int, hop: int, width: int | None = None, pad: PadMode = "constant"
) -> Float[np.ndarray, "B F K"]:
    """Power of each frame and bin, float64, on the host."""
    around = n_fft // 2
    if pad == "reflect" and x.shape[-1] <= around:
        raise InvalidInputError(f"signals of {x.shape[-1]} samples are too short for frames of {n_fft}; they need {around + 1}")
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (around, around)), mode=pad)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)[:, ::hop]
    spectrum = np.fft.rfft(frames * hann(n_fft, width), axis=-1)
    return np.square(spectrum.real) + np.square(spectrum.imag)


@dataclass(frozen=True, slots=True)
class MeanOverPairs:
    """The mean of a measure of pairs; a :class:`artifex.core.metrics.StreamedMetric`. Pairs of which it is NaN are left out.

    >>> metric = MeanOverPairs(snr, "snr")
    >>> float(metric(np.full((2, 9), 1.1), np.ones((2, 9))).round(6))
    20.0
    """

    measure: Callable[..., Float[np.ndarray, "B"]]
    """Gives one number for each pair."""
    signature: str
    """All that figures depend on."""
    takes_rate: bool = False
    """Whether the measure is given ``sample_rate``, that of the batch's ``modality``."""

    def statistics(self, batch: Mapping[str, Any]) -> np.ndarray:
        """``(B, 2)``: the number, and whether there is one.

        Raises:
            InvalidInputError: the measure takes a sample rate, and there is no ``modality`` that says it.
        """
        given = {"sample_rate": sample_rate_of(batch.get("modality"))} if self.takes_rate else {}
        values = self.measure(np.asarray(batch["samples"]), np.asarray(batch["references"]), **given)
        there = ~np.isnan(values)
        return np.stack([np.where(there, values, 0), there], axis=-1)

    def finalize(self, total: Any) -> Any:
        """The mean, ``(...)``, of sums ``(..., 2)``; NaN of none."""
        total = np.asarray(total, float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return total[..., 0] / total[..., 1]

    def __call__(self, samples: Signals, references: Signals, *, modality: Any = None) -> Any:
        """The mean over all pairs."""
        batch = {"samples": samples, "references": references, "modality": modality}
        return self.finalize(self.statistics(batch).sum(axis=0))


def sample_rate_of(modality: Any) -> int:
    """Samples a second of what a modality restores.

    Raises:
        InvalidInputError: it does not say.
    """
    rate = getattr(getattr(modality, "config", None), "sample_rate", None)
    if rate is None:
        raise InvalidInputError(
            f"this figure depends on the sample rate, and {type(modality).__name__} has none; give the audio modality"
        )
    return int(rate)


def _pair(samples: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, once they are known to be signals of one shape."""
    s, r = (np.asarray(x, np.float64) for x in (samples, references))
    if s.shape != r.shape or s.ndim != 2 or s.shape[-1] == 0:
        raise InvalidInputError(
            f"two batches of signals of one shape, (batch, samples), are needed; got {s.shape} and {r.shape}"
        )
    return s, r


def _ratio(power: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """In decibels; infinite where there is no noise."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(noise > 0, 10 * (np.log10(power) - np.log10(noise)), np.inf)


SNR = MeanOverPairs(snr, "snr")
SI_SDR = MeanOverPairs(si_sdr, "si-sdr|means kept")
LOG_SPECTRAL_DISTANCE = MeanOverPairs(log_spectral_distance, "lsd|n_fft:1024|hop:256|hann|floor:1e-10")
MEL_CEPSTRAL_DISTORTION = MeanOverPairs(
    mel_cepstral_distortion,
    "mcd|rate:the modality's|n_fft:1024|hop:256|mels:40 librosa|coefficients:1-13|unaligned",
    takes_rate=True,
)
MULTI_RESOLUTION_STFT = MeanOverPairs(multi_resolution_stft, "mr-stft|1024/120/600,2048/240/1200,512/50/240|hann|per pair")
