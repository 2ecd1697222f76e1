r"""How much signal and noise there is at each time of a diffusion, as tables in float64.

``z_t = a_t x + s_t e`` with ``a_t^2 + s_t^2 = 1``, for times ``t = 0 ... T`` (Kingma et al. 2021, arXiv:2107.00630):

    polynomial_2    a_t^2 = (1 - 2 p) (1 - (t / T)^2)^2 + p          Hoogeboom et al. 2022, arXiv:2203.17003, appendix B
    cosine          a_t^2 = cos^2((t / T + c) / (1 + c) pi / 2)      Nichol & Dhariwal 2021, arXiv:2102.09672, equation 17

where a step never takes more than 99.9 % of the signal's variance.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["Schedule", "ScheduleName", "Transitions", "noise_schedule", "transitions"]

ScheduleName = Literal["polynomial_2", "cosine"]
MOST_TAKEN = 0.001
COSINE_OFFSET = 0.008


class Schedule(NamedTuple):
    """``a_t`` and ``s_t`` for ``t = 0 ... T``, float64 ``(T + 1,)``."""

    signal: np.ndarray
    noise: np.ndarray

    @property
    def snr(self) -> np.ndarray:
        """``a_t^2 / s_t^2``."""
        return np.square(self.signal / self.noise)


class Transitions(NamedTuple):
    """Of each step from ``t`` down to an earlier ``s``, the first step first: arrays ``(S,)``, float64 but for the times.

    ``z_s = keep z_t - take e(z_t, t) + spread noise`` (arXiv:2203.17003, equation 8).
    """

    time: np.ndarray
    """``t``, int32."""
    keep: np.ndarray
    take: np.ndarray
    spread: np.ndarray


@cache
def noise_schedule(name: ScheduleName, timesteps: int, precision: float = 1e-5) -> Schedule:
    """The schedule called ``name``.

    Args:
        name: which.
        timesteps: ``T``.
        precision: ``p``, the least variance of signal and of noise.

    >>> schedule = noise_schedule("polynomial_2", 1000)
    >>> [round(float(v), 4) for v in schedule.signal[[0, 500, 1000]]]
    [1.0, 0.75, 0.0032]
    """
    t = np.linspace(0, 1, timesteps + 1)
    cosine = np.cos((t + COSINE_OFFSET) / (1 + COSINE_OFFSET) * np.pi / 2) ** 2
    squared = cosine if name == "cosine" else (1 - t**2) ** 2
    ratios = np.clip(squared[1:] / squared[:-1], MOST_TAKEN, 1)
    squared = np.concatenate([squared[:1], squared[0] * np.cumprod(ratios)])
    squared = (1 - 2 * precision) * squared + precision
    return Schedule(np.sqrt(squared), np.sqrt(1 - squared))


@cache
def transitions(schedule_name: ScheduleName, timesteps: int, steps: int, precision: float = 1e-5) -> Transitions:
    """The steps of ancestral sampling from ``T`` to 0, over ``steps`` about equal parts of the times."""
    schedule = noise_schedule(schedule_name, timesteps, precision)
    times = np.unique(np.round(np.linspace(0, timesteps, steps + 1)).astype(np.int32))[::-1]
    t, s = times[:-1], times[1:]
    kept = schedule.signal[t] / schedule.signal[s]
    variance = schedule.noise[t] ** 2 - (kept * schedule.noise[s]) ** 2
    spread = np.sqrt(variance) * schedule.noise[s] / schedule.noise[t]
    return Transitions(t, 1 / kept, variance / (kept * schedule.noise[t]), spread)
