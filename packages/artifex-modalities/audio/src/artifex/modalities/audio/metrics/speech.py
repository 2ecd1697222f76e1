"""Intelligibility and quality of speech, by the libraries that have them. Each needs its extra, and gives one number a pair."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.audio.metrics.pairs import MeanOverPairs, Signals
from artifex.modalities.audio.processing import resample

__all__ = ["PESQ", "STOI", "pesq", "stoi"]


def stoi(samples: Signals, references: Signals, *, sample_rate: int = 16000) -> Float[np.ndarray, "B"]:
    """Short-time objective intelligibility, up to 1, by ``pystoi`` (extra ``stoi``), which resamples to 10 kHz itself.

    Taal et al. 2011, "An Algorithm for Intelligibility Prediction of Time-Frequency Weighted Noisy Speech"
    (doi:10.1109/TASL.2011.2114881).

    Raises:
        DataError: the library is not installed.
        InvalidInputError: the shapes differ, or a reference has less than 30 frames, 0.4 seconds, that are not silent.
    """
    library = _library("pystoi", "stoi")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            pairs = zip(*_signals(samples, references), strict=True)
            return np.array([library.stoi(reference, sample, sample_rate) for sample, reference in pairs])
        except RuntimeWarning as error:
            raise InvalidInputError(
                "STOI needs about 0.4 seconds of speech in each reference; one is shorter, or silent"
            ) from error


def pesq(samples: Signals, references: Signals, *, sample_rate: int = 16000) -> Float[np.ndarray, "B"]:
    """Perceptual evaluation of speech quality, 1 to 4.6, by ``pesq`` (extra ``pesq``).

    ITU-T Recommendations P.862.2 (2007), wide band, of signals from 16 kHz on, which are resampled to 16 kHz; P.862 (2001),
    narrow band, of those from 8 kHz on, at 8 kHz. The two scales are not comparable. NaN where it finds no speech, or one of
    the two is silent.

    Raises:
        DataError: the library is not installed.
        InvalidInputError: the shapes differ, or there are less than 8000 samples a second.
    """
    if sample_rate < 8000:
        raise InvalidInputError(f"PESQ is of 8000 or 16000 samples a second, and these signals have {sample_rate}")
    library = _library("pesq", "pesq")
    rate, mode = (16000, "wb") if sample_rate >= 16000 else (8000, "nb")
    made = []
    for sample, reference in zip(*(resample(x, sample_rate, rate) for x in _signals(samples, references)), strict=True):
        if not (sample.any() and reference.any()):
            made.append(np.nan)
            continue
        try:
            made.append(library.pesq(rate, reference, sample, mode))
        except (library.NoUtterancesError, library.BufferTooShortError):
            made.append(np.nan)
    return np.array(made)


def _signals(samples: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    s, r = np.asarray(samples, np.float64), np.asarray(references, np.float64)
    if s.shape != r.shape or s.ndim != 2:
        raise InvalidInputError(f"signals of one shape, (batch, samples), are needed; got {s.shape} and {r.shape}")
    return s, r


def _library(name: str, extra: str) -> Any:
    try:
        # The library is an extra: a plain import statement would ask type checkers for it.
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(f"this metric needs the library {name!r}: pip install 'artifex-modalities-audio[{extra}]'") from error


STOI = MeanOverPairs(stoi, "stoi|pystoi|rate:the modality's", takes_rate=True)
PESQ = MeanOverPairs(pesq, "pesq|wide band from 16000 samples a second|rate:the modality's", takes_rate=True)
