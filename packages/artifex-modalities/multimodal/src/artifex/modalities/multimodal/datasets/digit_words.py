"""Digits with their words and tones: three views of one number, in memory, without a download.

The images are scikit-learn's handwritten digits (E. Alpaydin & C. Kaynak 1998, doi:10.24432/C50P49), in the split that the
data set ``digits`` has. The word is the English one. The tone of digit d has a frequency of its own on a scale of ten, 500 ·
2^(d / 5) Hz, a random phase, loudness and noise: the same ones for ever.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.splits import require_split
from artifex.modalities.multimodal.config import LettersConfig
from artifex.modalities.multimodal.simple import Letters

__all__ = ["WORDS", "DigitWords", "DigitWordsConfig"]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BOUNDS = {"train": (0, 1300), "test": (1497, 1797), "validation": (1300, 1497)}
RATE, SAMPLES = 8000, 64


@config
class DigitWordsConfig(Config):
    """Three views of a digit."""

    missing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of examples that lack their word, and of those that lack their tone, drawn independently; all have images."""


class DigitWords:
    """Images ``x``, float32 ``(N, 8, 8, 1)`` in [0, 1]; ``word``, uint8 ``(N, 5)``; ``tone``, float32 ``(N, 64)``; ``label``.

    >>> arrays = DigitWords(DigitWordsConfig(missing=0.5)).arrays("test")
    >>> {name: array.shape for name, array in arrays.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'x': (300, 8, 8, 1), 'word': (300, 5), 'tone': (300, 64), 'label': (300,), 'word.present': (300,), 'tone.present': (300,)}
    """

    def __init__(self, config: DigitWordsConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return tuple(BOUNDS)

    @property
    def classes(self) -> tuple[str, ...]:
        """The words."""
        return WORDS

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """One split. Raises :class:`InvalidInputError` for one that does not exist."""
        require_split(split, self.splits, "digit_words")
        from sklearn.datasets import load_digits  # imported here: it takes a second

        stored: Any = load_digits()
        chosen = np.random.RandomState(0).permutation(1797)[slice(*BOUNDS[split])]
        label = stored["target"][chosen].astype(np.int32)
        rng = np.random.RandomState(1 + list(BOUNDS).index(split))  # part of the data: NumPy keeps its stream for ever (NEP 19)
        arrays = {
            "x": (stored["images"][chosen] / 16.0).astype(np.float32)[..., None],
            "word": Letters(LettersConfig()).codes([WORDS[d] for d in label]),
            "tone": _tones(label, rng),
            "label": label,
        }
        if self.config.missing:
            for part in ("word", "tone"):
                arrays[f"{part}.present"] = rng.uniform(size=len(label)) >= self.config.missing
        return arrays


def _tones(digits: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """A sine of each digit's frequency."""
    n = len(digits)
    frequency = 500.0 * 2.0 ** (digits[:, None] / 5.0)
    phase, loudness = rng.uniform(0, 2 * np.pi, (n, 1)), rng.uniform(0.5, 0.9, (n, 1))
    clean = loudness * np.sin(2 * np.pi * frequency * np.arange(SAMPLES) / RATE + phase)
    return (clean + 0.02 * rng.standard_normal((n, SAMPLES)).clip(-4, 4)).astype(np.float32)
