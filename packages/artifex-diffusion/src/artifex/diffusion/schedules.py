r"""Noise schedules of variance-preserving diffusion: how much of an example is left after each of ``T`` steps.

    x_t = alpha_t x_0 + sigma_t e,   alpha_t^2 = abar_t = prod_{s <= t} (1 - beta_s),   sigma_t^2 = 1 - abar_t

    linear          beta from 1e-4 to 0.02 in equal steps                         Ho et al. 2020, arXiv:2006.11239
    scaled_linear   sqrt(beta) from sqrt(8.5e-4) to sqrt(0.012) in equal steps    Rombach et al. 2022, arXiv:2112.10752
    cosine          abar(u) = cos^2((u + 0.008) / 1.008 pi / 2), beta <= 0.999     Nichol & Dhariwal 2021, arXiv:2102.09672

Tables are made in float64: a product of a thousand factors in float32 is wrong in its fifth digit.

Shapes: ``T = steps``.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config

__all__ = ["NoiseScheduleConfig", "ProcessConfig", "Table", "noise_table"]

Beta = Annotated[float, Field(gt=0, lt=1)]
ENDS = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}
"""First and last beta where a config says nothing."""
MOST = 0.999
"""Largest beta of the cosine schedule, which would end at 1."""


@config
class ProcessConfig(Config):
    """Base of the configs of noising processes; the registered name is the ``kind`` under ``noise_schedule``."""


@config
class NoiseScheduleConfig(ProcessConfig):
    """A variance-preserving process in ``T`` steps.

    Example:
        >>> NoiseScheduleConfig(schedule_type="linear").beta_end
        0.02
    """

    schedule_type: Literal["linear", "cosine", "scaled_linear"] = "linear"
    """How the noise grows."""
    num_timesteps: Annotated[int, Field(ge=2)] = 1000
    """Steps ``T`` from an example to noise; the values of beta are for 1000 of them."""
    beta_start: Beta | None = None
    """Variance that the first step adds; None for the paper's. The cosine schedule has none."""
    beta_end: Beta | None = None
    """Variance that the last step adds; None for the paper's. The cosine schedule has none."""
    zero_terminal_snr: bool = False
    """Rescale so that nothing of the example is left at the end, as sampling takes for granted (Lin et al. 2023,
    arXiv:2305.08891, algorithm 1). Wants a parameterisation that can be noise alone: ``v``, ``x0``, ``velocity``."""
    continuous_times: bool = False
    """Train at times between the steps too, where the table is interpolated, as the stochastic differential equation has it
    (Song et al. 2020, arXiv:2011.13456)."""

    def __post_init__(self) -> None:
        given = (self.beta_start, self.beta_end)
        if self.schedule_type == "cosine":
            if given != (None, None):
                raise ValueError(
                    f"the cosine schedule has no betas to choose, got beta_start={given[0]}, beta_end={given[1]}; "
                    "leave them out"
                )
            return
        ends = [chosen if chosen is not None else usual for chosen, usual in zip(given, ENDS[self.schedule_type], strict=True)]
        if ends[0] >= ends[1]:
            raise ValueError(f"beta_start is {ends[0]} and beta_end {ends[1]}; the noise has to grow")
        object.__setattr__(self, "beta_start", ends[0])
        object.__setattr__(self, "beta_end", ends[1])


class Table(NamedTuple):
    """A schedule in float64, ``(T,)`` each."""

    alpha: np.ndarray
    """What is left of the example."""
    sigma: np.ndarray
    """Standard deviation of the noise."""

    @property
    def log_ratio(self) -> np.ndarray:
        """``log sigma / alpha``, half of minus the log signal-to-noise ratio; infinite where no signal is left."""
        with np.errstate(divide="ignore"):
            return np.log(self.sigma) - np.log(self.alpha)


@cache
def noise_table(config: NoiseScheduleConfig) -> Table:
    """``alpha_t`` and ``sigma_t`` of every step, in float64.

    Example:
        >>> table = noise_table(NoiseScheduleConfig(num_timesteps=1000))
        >>> round(float(table.alpha[-1]), 6), bool(np.allclose(table.alpha**2 + table.sigma**2, 1))
        (0.006353, True)
    """
    log_alpha = 0.5 * np.cumsum(np.log1p(-_betas(config)))
    alpha = np.exp(log_alpha)
    if config.zero_terminal_snr:
        alpha = _without_signal_at_the_end(alpha)
        return Table(alpha, np.sqrt(1 - alpha**2))
    return Table(alpha, np.sqrt(-np.expm1(2 * log_alpha)))


def _betas(config: NoiseScheduleConfig) -> np.ndarray:
    steps = config.num_timesteps
    if config.schedule_type == "cosine":
        left = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
        return np.minimum(1 - left[1:] / left[:-1], MOST)
    assert config.beta_start is not None and config.beta_end is not None  # noqa: PT018  # set when the config was made
    if config.schedule_type == "linear":
        return np.linspace(config.beta_start, config.beta_end, steps)
    return np.linspace(config.beta_start**0.5, config.beta_end**0.5, steps) ** 2


def _without_signal_at_the_end(alpha: np.ndarray) -> np.ndarray:
    """Shifted to end at 0, then scaled to begin where it began (arXiv:2305.08891, algorithm 1)."""
    return (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
