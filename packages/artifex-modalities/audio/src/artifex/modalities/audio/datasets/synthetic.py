r"""Synthesised sounds: chirps, noises, and notes of plucked strings.

A chirp's frequency goes from one value to another in equal steps of pitch. Pink noise has a power that falls with frequency,
``1 / f``. A note is Karplus and Strong's string (1983, doi:10.2307/3680062): ``y[t] = noise[t] + (y[t - N] + y[t - N - 1]) /
2``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.splits import SPLITS, require_split

__all__ = ["SyntheticAudio", "SyntheticAudioConfig", "chirp", "noise", "note"]

Count = Annotated[int, Field(gt=0)]
Kind = Literal["chirp", "white_noise", "pink_noise", "note"]


@config
class SyntheticAudioConfig(Config):
    """How many sounds, of what kinds, and how long."""

    kinds: tuple[Kind, ...] = ("chirp", "white_noise", "pink_noise", "note")
    """The classes: they take turns."""
    length: Count = 8000
    """Samples of a sound."""
    sample_rate: Annotated[int, Field(ge=2000)] = 8000
    """Samples a second."""
    n_train: Count = 1000
    """Sounds to train on."""
    n_validation: Count = 100
    """Sounds to evaluate on."""
    n_test: Count = 100
    """Sounds that nothing was chosen by."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of pitches, loudness and noise."""

    def __post_init__(self) -> None:
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds are {self.kinds}; name at least one, and none twice")


class SyntheticAudio:
    """``x``: float32 ``(N, length)`` in [-1, 1]; ``label``: the kind, int32 ``(N,)``.

    >>> made = SyntheticAudio(SyntheticAudioConfig(length=100, n_test=6))
    >>> made.arrays("test")["x"].shape, made.classes[1]
    ((6, 100), 'white_noise')
    """

    def __init__(self, config: SyntheticAudioConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS

    @property
    def classes(self) -> tuple[str, ...]:
        """The kinds."""
        return self.config.kinds

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The sounds of one split. Raises :class:`InvalidInputError` for a split that does not exist."""
        require_split(split, SPLITS, "synthetic_audio")
        config = self.config
        n, rng = getattr(config, f"n_{split}"), np.random.default_rng((config.seed, SPLITS.index(split)))
        label = np.arange(n) % len(config.kinds)
        highest = np.log(config.sample_rate / 3)
        makers: dict[str, Callable[[], np.ndarray]] = {
            "chirp": lambda: chirp(config.length, config.sample_rate, *np.exp(rng.uniform(np.log(100), highest, 2))),
            "white_noise": lambda: noise(rng, config.length, 0.0),
            "pink_noise": lambda: noise(rng, config.length, 1.0),
            "note": lambda: note(rng, config.length, config.sample_rate, 110 * 2 ** (rng.integers(0, 25) / 12)),
        }
        sounds = np.stack([makers[config.kinds[kind]]() for kind in label])
        loud = rng.uniform(0.3, 0.9, (n, 1)) / np.maximum(np.abs(sounds).max(axis=1, keepdims=True), 1e-9)
        return {"x": (loud * sounds).astype(np.float32), "label": label.astype(np.int32)}


def chirp(length: int, sample_rate: int, first: float, last: float) -> Float[np.ndarray, "T"]:
    """A tone that glides from one frequency to another, hertz, an equal part of its way in pitch each sample."""
    t = np.arange(length) / length
    frequency = first * (last / first) ** t
    return np.sin(2 * np.pi * np.cumsum(frequency) / sample_rate)


def noise(rng: np.random.Generator, length: int, slope: float) -> Float[np.ndarray, "T"]:
    """Noise whose power falls as ``1 / f^slope``: 0 is white, 1 pink."""
    spectrum = np.fft.rfft(rng.normal(size=length))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (slope / 2)
    spectrum[0] = 0
    return np.fft.irfft(spectrum, n=length)


def note(rng: np.random.Generator, length: int, sample_rate: int, frequency: float) -> Float[np.ndarray, "T"]:
    """A plucked string of about that frequency, hertz."""
    from scipy import signal

    period = max(2, round(sample_rate / frequency - 0.5))  # the mean of two samples delays by half of one
    pluck = np.zeros(length)
    pluck[: min(period, length)] = rng.uniform(-1, 1, min(period, length))
    return np.asarray(signal.lfilter([1.0], np.r_[1.0, np.zeros(period - 1), -0.5, -0.5], pluck))
