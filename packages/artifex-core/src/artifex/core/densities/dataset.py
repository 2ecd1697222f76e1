"""Draws of a known density as a data set.

In a run file::

    data:
      dataset: {kind: density, density: two_moons, n_train: 1_536_000}

A model of it reaches at best the density's entropy as its loss:

    >>> round(DENSITIES["checkerboard"]().entropy(), 4)
    3.4657
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import jax
import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.densities.curves import SwissRoll, TwoMoons, TwoSpirals
from artifex.core.densities.density import Density
from artifex.core.densities.gaussians import EightGaussians, GridOfGaussians
from artifex.core.densities.radial import Pinwheel, Rings
from artifex.core.densities.warped import Banana, Checkerboard, Funnel
from artifex.core.splits import SPLITS, require_split

__all__ = ["DENSITIES", "DensitySamples", "DensitySamplesConfig"]

DENSITIES: dict[str, Callable[[], Density]] = {
    "banana": Banana,
    "checkerboard": Checkerboard,
    "eight_gaussians": EightGaussians,
    "funnel": Funnel,
    "grid_of_gaussians": GridOfGaussians,
    "pinwheel": Pinwheel,
    "rings": Rings,
    "swiss_roll": SwissRoll,
    "two_moons": TwoMoons,
    "two_spirals": TwoSpirals,
}
"""Every density by name."""

Count = Annotated[int, Field(gt=0)]


@config
class DensitySamplesConfig(Config):
    """Of which density, and how many draws.

    Example:
        >>> DensitySamplesConfig(density="rings").n_train
        100000
    """

    density: Literal[
        "banana",
        "checkerboard",
        "eight_gaussians",
        "funnel",
        "grid_of_gaussians",
        "pinwheel",
        "rings",
        "swiss_roll",
        "two_moons",
        "two_spirals",
    ]
    """Which."""
    n_train: Count = 100_000
    """Draws to train on; as many as a run has steps times its batch size, and no point is seen twice."""
    n_validation: Count = 10_000
    """Draws to evaluate on."""
    n_test: Count = 10_000
    """Draws that nothing was chosen by."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""


class DensitySamples:
    """``x``: draws, float32 ``(N, 2)``, others for each split.

    Example:
        >>> made = DensitySamples(DensitySamplesConfig(density="two_moons", n_train=100))
        >>> made.arrays("train")["x"].shape
        (100, 2)
    """

    def __init__(self, config: DensitySamplesConfig) -> None:
        self.config = config
        self.density = DENSITIES[config.density]()

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The draws of one split.

        Raises:
            InvalidInputError: there is no such split.
        """
        require_split(split, SPLITS, self.config.name)
        key = jax.random.fold_in(jax.random.key(self.config.seed), SPLITS.index(split))
        return {"x": np.asarray(self.density.sample(key, getattr(self.config, f"n_{split}")))}

    def log_prob(self, x: jax.Array) -> jax.Array:
        """Log density of points ``(N, 2)``, nats, ``(N,)``: no model reaches more on average."""
        return self.density.log_prob(x)
