"""Series that are made: sines, ARMA processes and switches between regimes, each with what is known of them."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.splits import SPLITS, require_split

__all__ = ["MadeSeries", "MadeSeriesConfig", "arma", "regimes", "sines"]

Count = Annotated[int, Field(ge=1)]


@config
class MadeSeriesConfig(Config):
    """Which process, and how many draws of it."""

    process: Literal["sines", "arma", "regimes"]
    """``sines``: waves of a random frequency and phase in each channel. ``arma``: ARMA(2, 1). ``regimes``: a calm and a lively
    autoregression that take turns."""
    length: Annotated[int, Field(ge=2)] = 24
    """Steps of a series."""
    n_channels: Count = 1
    """Channels of a series."""
    n_train: Count = 4000
    """Series to train on."""
    n_validation: Count = 500
    """Series to evaluate on."""
    n_test: Count = 1000
    """Series that nothing was chosen by."""
    data_seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""


class MadeSeries:
    """``x``: draws, float32 ``(N, length, n_channels)``, others for each split.

    >>> made = MadeSeries(MadeSeriesConfig(process="sines", n_train=10))
    >>> made.arrays("train")["x"].shape, made.channels
    ((10, 24, 1), ('channel_0',))
    """

    def __init__(self, config: MadeSeriesConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(f"channel_{i}" for i in range(self.config.n_channels))

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The draws of one split. Raises :class:`InvalidInputError` for a split that does not exist."""
        require_split(split, SPLITS, "made series")
        config, rng = self.config, np.random.default_rng([self.config.data_seed, SPLITS.index(split)])
        process = {"sines": sines, "arma": arma, "regimes": regimes}[config.process]
        return {"x": process(rng, getattr(config, f"n_{split}"), config.length, config.n_channels).astype(np.float32)}


def sines(rng: np.random.Generator, n: int, length: int, n_channels: int) -> np.ndarray:
    """``sin(2 pi f t + p)`` with f uniform on 1/24 to 1/6 cycles a step and p on a whole turn; ``(n, length, n_channels)``.

    As in J. Yoon, D. Jarrett, M. van der Schaar 2019, "Time-series generative adversarial networks", section 5.1, with
    frequencies at which a wave can be told within the series.
    """
    frequency, phase = rng.uniform(1 / 24, 1 / 6, (n, 1, n_channels)), rng.uniform(0, 2 * np.pi, (n, 1, n_channels))
    return np.sin(2 * np.pi * frequency * np.arange(length)[None, :, None] + phase)


AR, MA = (0.75, -0.25), 0.65
"""Of :func:`arma`: the autocorrelation follows from them."""


def arma(rng: np.random.Generator, n: int, length: int, n_channels: int) -> np.ndarray:
    """``x_t = 0.75 x_{t-1} - 0.25 x_{t-2} + e_t + 0.65 e_{t-1}`` with e standard normal, once it has settled."""
    settle = 200
    noise = rng.normal(size=(n, length + settle, n_channels))
    made = np.zeros_like(noise)
    for t in range(2, noise.shape[1]):
        made[:, t] = AR[0] * made[:, t - 1] + AR[1] * made[:, t - 2] + noise[:, t] + MA * noise[:, t - 1]
    return made[:, settle:]


STAY, CALM, LIVELY = 0.95, (0.9, 0.1), (0.3, 1.0)
"""Of :func:`regimes`: the probability to stay, and coefficient and noise of each."""


def regimes(rng: np.random.Generator, n: int, length: int, n_channels: int) -> np.ndarray:
    """``x_t = a_s x_{t-1} + b_s e_t``, where the state s, one for all channels, changes with a probability of 0.05 a step.

    J. D. Hamilton 1989, "A new approach to the economic analysis of nonstationary time series", doi:10.2307/1912559.
    """
    settle = 100
    changes = rng.random((n, length + settle)) > STAY
    state = (np.cumsum(changes, axis=1) + rng.integers(0, 2, (n, 1))) % 2
    noise = rng.normal(size=(n, length + settle, n_channels))
    made = np.zeros_like(noise)
    a, b = (np.array(pair)[state][..., None] for pair in zip(CALM, LIVELY, strict=True))
    for t in range(1, noise.shape[1]):
        made[:, t] = a[:, t] * made[:, t - 1] + b[:, t] * noise[:, t]
    return made[:, settle:]
