"""What is wrong with a signal, and where: clipping, silence, jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from artifex.core.errors import InvalidInputError

__all__ = ["AudioViolation", "clipping", "discontinuities", "silence"]


@dataclass(frozen=True, slots=True)
class AudioViolation:
    """A place where a signal breaks a rule."""

    start: int
    """The first sample of it, from 0."""
    stop: int
    """Behind its last one."""
    message: str
    """What is wrong."""


def clipping(x: Float[np.ndarray, "T"], *, limit: float = 1.0, shortest: int = 3) -> list[AudioViolation]:
    """Where ``shortest`` samples or more in a row are at ``limit`` or beyond, but for a step of 16 bits.

    >>> clipping(np.array([0.2, 1.0, 1.0, 1.0, 0.3, -1.0]))
    [AudioViolation(start=1, stop=4, message='3 samples in a row reach 1')]
    """
    x = _signal(x)
    if not (limit > 0 and shortest >= 1):
        raise InvalidInputError(f"limit has to be positive and shortest at least 1; got {limit} and {shortest}")
    runs = (run for run in _runs(np.abs(x) >= limit - 1 / 32768) if run[1] - run[0] >= shortest)
    return [AudioViolation(a, b, f"{b - a} samples in a row reach {limit:g}") for a, b in runs]


def silence(
    x: Float[np.ndarray, "T"], sample_rate: int, *, below: float = -60.0, shortest: float = 0.1
) -> list[AudioViolation]:
    """Where ``shortest`` seconds or more are all below a level, in decibels of full scale.

    Raises:
        InvalidInputError: the sample rate or ``shortest`` is not positive, or the level is no number.

    >>> silence(np.r_[np.ones(500), np.zeros(1500)], 1000)
    [AudioViolation(start=500, stop=2000, message='1.500 s are below -60 dB')]
    """
    x = _signal(x)
    if not (sample_rate > 0 and shortest > 0 and np.isfinite(below)):
        raise InvalidInputError(
            "sample_rate and shortest have to be positive, and below a number of decibels; "
            f"got {sample_rate}, {shortest} and {below}"
        )
    runs = (run for run in _runs(np.abs(x) < 10 ** (below / 20)) if run[1] - run[0] >= shortest * sample_rate)
    return [AudioViolation(a, b, f"{(b - a) / sample_rate:.3f} s are below {below:g} dB") for a, b in runs]


def discontinuities(
    x: Float[np.ndarray, "T"], *, times: float = 10.0, least: float = 0.05, around: int = 50
) -> list[AudioViolation]:
    """Steps that stand out: ``times`` the median of those ``around`` it on each side, and at least ``least``.

    Raises:
        InvalidInputError: ``around`` is no whole number from 1, ``times`` is not positive, or ``least`` is negative.

    >>> x = 0.5 * np.sin(np.arange(400) / 20)
    >>> x[200:] += 0.8
    >>> discontinuities(x)
    [AudioViolation(start=199, stop=201, message='a step of 0.779 amid steps of about 0.016')]
    """
    x = _signal(x)
    if not (isinstance(around, (int, np.integer)) and around >= 1 and times > 0 and least >= 0):
        raise InvalidInputError(
            f"around has to be a whole number from 1, times positive and least at least 0; got {around}, {times} and {least}"
        )
    steps = np.abs(np.diff(x))
    if steps.size == 0:
        return []
    padded = np.pad(steps, around, mode="reflect" if steps.size > around else "edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1), axis=-1)
    found = np.flatnonzero((steps > times * usual) & (steps >= least))
    return [AudioViolation(int(i), int(i) + 2, f"a step of {steps[i]:.3f} amid steps of about {usual[i]:.3f}") for i in found]


def _signal(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 1:
        raise InvalidInputError(f"one signal is needed, (samples,); got shape {x.shape}")
    if not np.isfinite(x).all():
        raise InvalidInputError(f"sample {np.flatnonzero(~np.isfinite(x))[0]} is not a finite number")
    return x


def _runs(holds: Bool[np.ndarray, "T"]) -> list[tuple[int, int]]:
    """Where it begins to hold, and where it ceases to."""
    edges = np.flatnonzero(np.diff(np.r_[False, holds, False].astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
