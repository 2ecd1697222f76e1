"""Handwritten digits, 8 x 8 pixels, as scikit-learn ships them: no download.

1797 images of the test part of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, doi:10.24432/C50P49. Each pixel counts the black ones among 4 x 4 of the scan: a level v in 0..16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from artifex.core.config import Config, config
from artifex.core.splits import require_split

__all__ = ["Digits", "DigitsConfig"]

BOUNDS = {"train": (0, 1300), "test": (1497, 1797), "validation": (1300, 1497)}
"""Where each split begins and ends in the permuted order."""


@config
class DigitsConfig(Config):
    """The digits have nothing to choose."""


class Digits:
    """The digits in memory, split into 1300 for training, 197 for validation and 300 for testing; the same ones for ever.

    ``x`` is float32 ``(N, 8, 8, 1)`` and holds v / 16 exactly, for levels v = 0..16: a threshold of 0.5 is ``v >= 8``, and
    dequantisation takes ``dequantize_levels=17``. ``label`` is int32 ``(N,)``, 0..9.

    >>> digits = Digits(DigitsConfig())
    >>> {split: digits.arrays(split)["x"].shape for split in digits.splits}
    {'train': (1300, 8, 8, 1), 'test': (300, 8, 8, 1), 'validation': (197, 8, 8, 1)}
    """

    def __init__(self, config: DigitsConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return tuple(BOUNDS)

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """``x`` and ``label`` of one split. Raises :class:`InvalidInputError` for a split that does not exist."""
        require_split(split, self.splits, "digits")
        from sklearn.datasets import load_digits  # imported here: it takes a second

        stored: Any = load_digits()
        chosen = _order()[slice(*BOUNDS[split])]
        return {
            "x": (stored["images"][chosen] / 16.0).astype(np.float32)[..., None],
            "label": stored["target"][chosen].astype(np.int32),
        }


def _order() -> np.ndarray:
    """The published order. Part of the data set, as the images are: NumPy keeps this generator's stream frozen (NEP 19)."""
    return np.random.RandomState(0).permutation(1797)
