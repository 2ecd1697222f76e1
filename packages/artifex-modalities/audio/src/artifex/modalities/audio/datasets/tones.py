r"""Synthesised tones: a fundamental and its overtones, rising and fading, of one of several pitches.

.. math:: x(t) = a\, e^{-t / \tau} \sum_h \frac{1}{h} \sin(2 \pi h f t + \phi_h)
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.splits import SPLITS, require_split

__all__ = ["Tones", "TonesConfig"]

Count = Annotated[int, Field(gt=0)]


@config
class TonesConfig(Config):
    """How many, how long and how high.

    Example:
        >>> round(TonesConfig(num_pitches=4).frequency(2))  # half of an octave of four steps
        311
    """

    length: Count = 1000
    """Samples of a tone."""
    sample_rate: Count = 8000
    """Samples a second."""
    num_pitches: Count = 8
    """Evenly spaced steps of one octave, the classes."""
    lowest: Annotated[float, Field(gt=0)] = 220.0
    """Frequency of the first, hertz."""
    overtones: Annotated[int, Field(ge=0)] = 3
    """Multiples of the frequency beside it."""
    n_train: Count = 2000
    """Tones to train on."""
    n_validation: Count = 200
    """Tones to evaluate on."""
    n_test: Count = 200
    """Tones that nothing was chosen by."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of loudness, phases and decay."""

    def __post_init__(self) -> None:
        highest = self.frequency(self.num_pitches - 1) * (1 + self.overtones)
        if highest * 2 >= self.sample_rate:
            raise ValueError(
                f"the highest overtone has {highest:.0f} hertz, which {self.sample_rate} samples a second cannot hold; take "
                "fewer overtones, or more samples"
            )

    def frequency(self, pitch: int) -> float:
        """Of a class, hertz."""
        return self.lowest * 2 ** (pitch / self.num_pitches)


class Tones:
    """``x``: float32 ``(N, length)`` in [-1, 1]; ``label``: the pitch, int32 ``(N,)``.

    Example:
        >>> made = Tones(TonesConfig(length=100, n_test=3))
        >>> made.arrays("test")["x"].shape
        (3, 100)
    """

    def __init__(self, config: TonesConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS

    @property
    def classes(self) -> tuple[str, ...]:
        """Frequencies, in hertz."""
        return tuple(f"{self.config.frequency(i):.1f} Hz" for i in range(self.config.num_pitches))

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The tones of one split.

        Raises:
            InvalidInputError: there is no such split.
        """
        require_split(split, SPLITS, "tones")
        config = self.config
        n, rng = getattr(config, f"n_{split}"), np.random.default_rng((config.seed, SPLITS.index(split)))
        label = np.arange(n) % config.num_pitches
        frequency = config.lowest * 2 ** (label / config.num_pitches)
        harmonics = np.arange(1, config.overtones + 2)
        phases = rng.uniform(0, 2 * np.pi, (n, len(harmonics), 1))
        t = np.arange(config.length) / config.sample_rate
        waves = np.sin(2 * np.pi * frequency[:, None, None] * harmonics[:, None] * t + phases) / harmonics[:, None]
        fade = np.exp(-t * config.sample_rate / config.length / rng.uniform(0.5, 2.0, (n, 1)))
        x = rng.uniform(0.4, 0.9, (n, 1)) * fade * waves.sum(axis=1) / np.sum(1 / harmonics)
        return {"x": x.astype(np.float32), "label": label.astype(np.int32)}
