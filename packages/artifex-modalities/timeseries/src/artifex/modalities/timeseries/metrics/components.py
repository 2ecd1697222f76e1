"""Whether samples keep the trend and the season of real series.

    x_t = T_t + S_t + R_t

T is the moving average over one period, S the mean of what is left at each phase, R the rest (M. G. Kendall, A. Stuart 1983,
"The advanced theory of statistics", volume 3). How strong the two are: R. J. Hyndman, G. Athanasopoulos 2021, "Forecasting:
principles and practice", 3rd edition, section 4.3.

Shapes: ``N`` series, ``L`` steps, ``C`` channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.timeseries.metrics.dependence import pair, power_spectrum
from artifex.modalities.timeseries.series import filled, lengths_of, padded

__all__ = ["dominant_period", "seasonality_preservation", "strengths", "trend_preservation"]


def dominant_period(series: Any) -> int:
    """Steps of the wave that has the greatest share of power, at least 2 and at most half the length.

    >>> dominant_period(np.sin(2 * np.pi * np.arange(48) / 12)[None])
    12
    """
    x = padded(series)
    n = int(lengths_of(x).max())
    if n < 4:
        raise InvalidInputError(f"series of {n} steps have no period that could be seen twice; at least 4 are needed")
    shares = power_spectrum(x).mean(axis=1)
    shares[:2] = 0.0  # the mean, and a wave as long as the series
    return int(np.clip(round(n / max(int(np.argmax(shares)), 1)), 2, n // 2))


def strengths(series: Any, period: int) -> np.ndarray:
    """How strong trend and season are in each series and channel, ``(N, C, 2)``, each in [0, 1].

    ``max(0, 1 - Var(R) / Var(T + R))`` and ``max(0, 1 - Var(R) / Var(S + R))``; NaN for a series shorter than two periods, and
    where there is nothing but a constant.

    Args:
        series: an array ``(N, L, C)`` or a list of arrays; gaps are filled along lines.
        period: steps of a season.

    Raises:
        InvalidInputError: the period is below 2, or no series has two of them.

    >>> wave = np.sin(2 * np.pi * np.arange(48) / 12)
    >>> strengths(wave[None], 12)[0, 0].round(2).tolist()[1]
    1.0
    """
    x = filled(padded(series))
    lengths = lengths_of(x)
    if period < 2 or lengths.max() < 2 * period:
        raise InvalidInputError(f"a period is at least 2 and at most half of the {lengths.max()} steps, got {period}")
    made = np.full((*x.shape[::2], 2), np.nan)
    for row, one, length in zip(made, x, lengths, strict=True):
        if length >= 2 * period:
            row[:] = [_strengths(channel, period) for channel in one[:length].T]
    return made


def _strengths(x: np.ndarray, period: int) -> tuple[float, float]:
    trend, season, rest = decompose(x, period)
    inside = ~np.isnan(trend)
    rest = rest[inside]
    both = (np.var(rest + part[inside]) for part in (trend, season))
    # a variance below rounding is no variance: a constant has neither trend nor season
    least = max(1e-12 * float(np.var(x)), (16 * np.finfo(float).eps * float(np.abs(x).max())) ** 2, 1e-300)
    return tuple(max(0.0, 1 - np.var(rest) / v) if v > least else float("nan") for v in both)  # pyright: ignore[reportReturnType]


def decompose(x: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trend, season and rest of one channel ``(L,)``; trend and rest are NaN for half a period at either end."""
    weights = np.full(period, 1 / period) if period % 2 else np.r_[0.5, np.ones(period - 1), 0.5] / period
    half = len(weights) // 2
    trend = np.full(len(x), np.nan)
    trend[half : len(x) - half] = np.convolve(x, weights, "valid")
    left = x - trend
    phases = np.array([np.nanmean(left[phase::period]) for phase in range(period)])
    season = np.resize(phases - phases.mean(), len(x))
    return trend, season, x - trend - season


def trend_preservation(samples: Any, references: Any, *, period: int | None = None) -> float:
    """One minus the difference between the mean strengths of the trend; in [0, 1]. NaN where either has none to speak of.

    Args:
        samples: series.
        references: real ones.
        period: steps of a season; by default the references' dominant one.
    """
    return _preservation(samples, references, period, 0)


def seasonality_preservation(samples: Any, references: Any, *, period: int | None = None) -> float:
    """One minus the difference between the mean strengths of the season; in [0, 1]. See :func:`trend_preservation`."""
    return _preservation(samples, references, period, 1)


def _preservation(samples: Any, references: Any, period: int | None, which: int) -> float:
    x, y = pair(samples, references)
    period = dominant_period(y) if period is None else period
    means = []
    for side in (x, y):
        found = strengths(side, period)[..., which]
        there = found[~np.isnan(found)]
        means.append(float(there.mean()) if len(there) else float("nan"))
    return 1 - abs(means[0] - means[1])
