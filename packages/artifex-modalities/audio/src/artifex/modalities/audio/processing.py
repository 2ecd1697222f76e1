"""What is done to recordings on the host, before they are stored. Shapes: ``... = channels, T = samples``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError

__all__ = ["loud_stretch", "loudness", "normalize_loudness", "resample", "trim_silence"]

STOP_BAND = 10.0
"""Kaiser's beta: 100 decibels of what cannot be kept are taken away."""
CROSSINGS = 64
"""Zero crossings of the interpolating filter on each side."""
SILENT = -math.inf


def resample(x: Float[np.ndarray, "... T"], old_rate: int, new_rate: int) -> Float[np.ndarray, "... T'"]:
    """A signal at another number of samples a second: ``ceil(T new / old)`` of them.

    A polyphase filter, by Kaiser's window: flat up to nine tenths of what the lower rate can hold.

    Raises:
        InvalidInputError: a rate is not positive.

    >>> resample(np.zeros((2, 441)), 44100, 16000).shape
    (2, 160)
    """
    if min(old_rate, new_rate) < 1:
        raise InvalidInputError(f"rates are samples a second, from 1; got {old_rate} and {new_rate}")
    if old_rate == new_rate:
        return x
    from scipy import signal  # imported here: it takes half a second

    common = math.gcd(old_rate, new_rate)
    up, down = new_rate // common, old_rate // common
    most = max(up, down)
    window: Any = ("kaiser", STOP_BAND)
    taps: Any = signal.firwin(2 * CROSSINGS * most + 1, 0.95 / most, window=window)
    return signal.resample_poly(x, up, down, axis=-1, window=taps).astype(x.dtype)


def loudness(x: Float[np.ndarray, "... T"], sample_rate: int) -> float:
    """Integrated loudness in LUFS, of ITU-R Recommendation BS.1770-5 (2023), annex 1.

    It is minus infinity where nothing is above the gate.

    Args:
        x: one signal, ``(T,)``, or channels of equal weight, ``(channels, T)``.
        sample_rate: samples a second.

    Raises:
        InvalidInputError: it is shorter than a block of 0.4 seconds, or the rate is not positive.

    >>> t = np.arange(48000) / 48000
    >>> round(loudness(np.sin(2 * np.pi * 997 * t), 48000), 2)
    -3.01
    """
    from scipy import signal

    if not sample_rate > 0:
        raise InvalidInputError(f"sample_rate is samples a second, from 1; got {sample_rate}")
    x = np.atleast_2d(np.asarray(x, np.float64))
    block, hop = round(0.4 * sample_rate), round(0.1 * sample_rate)
    if x.shape[-1] < block:
        raise InvalidInputError(f"loudness needs 0.4 seconds, {block} samples; got {x.shape[-1]}")
    for b, a in _k_weighting(sample_rate):
        x = np.asarray(signal.lfilter(b, a, x, axis=-1))
    frames = np.lib.stride_tricks.sliding_window_view(np.square(x).sum(axis=0), block)[::hop]
    power = frames.mean(axis=-1)
    with np.errstate(divide="ignore"):
        loud = power[_lufs(power) > -70]
        if loud.size:
            loud = loud[_lufs(loud) > _lufs(loud.mean()) - 10]
        return float(_lufs(loud.mean())) if loud.size else SILENT


def normalize_loudness(x: Float[np.ndarray, "... T"], sample_rate: int, target: float = -23.0) -> Float[np.ndarray, "... T"]:
    """A signal scaled to a loudness, in LUFS; EBU R 128's by default. Silence stays silence; peaks may leave [-1, 1]."""
    now = loudness(x, sample_rate)
    return x if now == SILENT else (x * 10 ** ((target - now) / 20)).astype(x.dtype)


def trim_silence(
    x: Float[np.ndarray, "T"], *, below: float = 60.0, frame: int = 2048, hop: int = 512
) -> Float[np.ndarray, "T'"]:
    """Without the beginning and end whose frames are quieter than the loudest one by more than ``below`` decibels.

    As ``librosa.effects.trim``, but for levels below 1e-5, which are what they are here. Of silence nothing is left.

    Raises:
        InvalidInputError: ``below``, ``frame`` or ``hop`` is not positive.

    >>> trim_silence(np.r_[np.zeros(8192), np.ones(4096), np.zeros(8192)]).size
    5632
    """
    start, stop = loud_stretch(x, below=below, frame=frame, hop=hop)
    return x[start:stop]


def loud_stretch(x: Float[np.ndarray, "T"], *, below: float = 60.0, frame: int = 2048, hop: int = 512) -> tuple[int, int]:
    """First sample that :func:`trim_silence` keeps, and the one after the last.

    >>> loud_stretch(np.r_[np.zeros(8192), np.ones(4096), np.zeros(8192)])
    (7680, 13312)
    """
    if not (below > 0 and frame >= 1 and hop >= 1):
        raise InvalidInputError(f"below, frame and hop have to be positive; got {below}, {frame} and {hop}")
    if not len(x):
        return 0, 0
    padded = np.pad(np.asarray(x, np.float64), frame // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop]
    level = np.sqrt(np.einsum("fn,fn->f", frames, frames))  # of no array as large as all frames
    kept = np.flatnonzero(level > level.max() * 10 ** (-below / 20))
    return (int(kept[0]) * hop, min(len(x), (int(kept[-1]) + 1) * hop)) if len(kept) else (0, 0)


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(power)


def _k_weighting(sample_rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Coefficients of the two filters of BS.1770, a shelf and a high-pass, at any rate: numerator and denominator of each."""
    k, q = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    scale = 1 + k / q + k * k
    shelf = np.array([high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]) / scale
    shelf_poles = np.array([1, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale])
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    scale = 1 + k / q + k * k
    pass_poles = np.array([1, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale])
    return [(shelf, shelf_poles), (np.array([1.0, -2.0, 1.0]), pass_poles)]
