"""Two kinds of images of the same thing, without pairs: handwritten digits, and digits inverted on coloured ground.

The digits are those of :mod:`~artifex.modalities.image.datasets.digits`. Translation between the two kinds is right where the
digit stays the same; the labels tell.
"""

from __future__ import annotations

import colorsys

import numpy as np

from artifex.core.config import Config, config
from artifex.modalities.image.datasets.digits import BOUNDS, Digits, DigitsConfig

__all__ = ["ColouredDigits", "ColouredDigitsConfig"]


@config
class ColouredDigitsConfig(Config):
    """Which of the two kinds."""

    conditions: bool = True
    """Whether the white digits are there too, as what is translated from; a model of coloured digits alone takes none."""


class ColouredDigits:
    """``x``: black digits on grounds of many hues, ``(N, 8, 8, 3)``; ``condition``: white digits on black ``(N, 8, 8, 1)``.

    Float32 in [0, 1]. ``label`` and ``condition_label``, int32 ``(N,)``, tell the digit of each. Both kinds have every digit of
    the split once, in orders that have nothing to do with each other. The splits are those of the digits. Without
    ``conditions`` there are ``x`` and ``label`` alone, the same.

    >>> made = ColouredDigits(ColouredDigitsConfig()).arrays("test")
    >>> {name: array.shape for name, array in made.items()}
    {'x': (300, 8, 8, 3), 'label': (300,), 'condition': (300, 8, 8, 1), 'condition_label': (300,)}
    """

    def __init__(self, config: ColouredDigitsConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return tuple(BOUNDS)

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The images of one split, and their labels. Raises :class:`InvalidInputError` for an unknown split."""
        digits = Digits(DigitsConfig()).arrays(split)
        random = np.random.RandomState(self.splits.index(split))  # part of the data set, as the digits' own order is
        order = random.permutation(len(digits["x"]))
        hues = random.uniform(size=len(order))
        grounds = np.array([colorsys.hsv_to_rgb(hue, 0.6, 1.0) for hue in hues], np.float32)
        coloured = {"x": (1 - digits["x"][order]) * grounds[:, None, None], "label": digits["label"][order]}
        white = {"condition": digits["x"], "condition_label": digits["label"]}
        return {**coloured, **white} if self.config.conditions else coloured
