"""Whether samples depend on their past, on each other's channels and on frequency as real series do.

A gap (NaN) and what lies after the end of a series are left out of every mean.

Shapes: ``N`` series, ``L`` steps, ``C`` channels, ``K`` lags, ``F`` frequencies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.timeseries.series import filled, lengths_of, padded

__all__ = [
    "autocorrelation",
    "autocorrelation_difference",
    "cross_correlation",
    "cross_correlation_difference",
    "marginal_distribution_difference",
    "power_spectrum",
    "power_spectrum_distance",
]

MOST_LAGS = 64
BINS = 50


def pair(samples: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as padded arrays, once they are known to have the same channels."""
    x, y = padded(samples, name="samples"), padded(references, name="references")
    if x.shape[2] != y.shape[2]:
        raise InvalidInputError(f"samples have {x.shape[2]} channels and references {y.shape[2]}; give both the same")
    return x, y


def autocorrelation(series: Any, max_lag: int) -> np.ndarray:
    """``mean_{n,t}[z_t z_{t+k}]`` for the lags ``k = 0 ... max_lag - 1``, ``(K, C)``, with z standardised over all series.

    NaN for a channel that is constant, or missing throughout.

    >>> autocorrelation(np.array([[1.0, -1.0, 1.0, -1.0]]), 2)[:, 0].tolist()
    [1.0, -1.0]
    """
    x = padded(series)
    if not 1 <= max_lag <= x.shape[1]:
        raise InvalidInputError(f"max_lag is from 1 to the {x.shape[1]} steps of the series, got {max_lag}")
    centred = x - _mean(x)
    variance = np.where(varies(x), _mean(centred**2), 0.0)
    made = [_mean(centred[:, : x.shape[1] - k] * centred[:, k:]) for k in range(max_lag)]
    return np.divide(made, variance, out=np.full((max_lag, x.shape[2]), np.nan), where=variance > 0)


def varies(x: np.ndarray, axis: Any = (0, 1)) -> np.ndarray:
    """Whether what is there is not one value throughout; a variance says so only but for the rounding of a mean."""
    return np.fmax.reduce(x, axis) > np.fmin.reduce(x, axis)


def _mean(x: np.ndarray) -> np.ndarray:
    """Over series and steps, of what is there; NaN where nothing is."""
    there = ~np.isnan(x)
    count = there.sum(axis=(0, 1))
    return np.where(count > 0, np.where(there, x, 0.0).sum(axis=(0, 1)) / np.maximum(count, 1), np.nan)


def autocorrelation_difference(samples: Any, references: Any, *, max_lag: int = MOST_LAGS) -> float:
    """``mean_c sqrt(sum_k (r_kc - s_kc)^2)`` of the autocorrelations; NaN where a channel is constant in either.

    Lags at which gaps leave no pair of values are left out.

    Y. Ang, Q. Huang, Y. Bao, A. K. H. Tung, Z. Huang 2023, "TSGBench" (arXiv:2309.03755), section 4.2, which has it from H. Ni
    et al. 2020 (arXiv:2006.05421).

    Args:
        samples: series.
        references: real ones.
        max_lag: number of lags; fewer where series are shorter.

    >>> autocorrelation_difference(np.array([[1.0, -1.0]]), np.array([[1.0, -1.0]]))
    0.0
    """
    x, y = pair(samples, references)
    lags = min(max_lag, x.shape[1], y.shape[1])
    squares = (autocorrelation(x, lags) - autocorrelation(y, lags)) ** 2
    squares[:, ~np.isnan(squares[0])] = np.nan_to_num(squares[:, ~np.isnan(squares[0])])
    return float(np.mean(np.sqrt(np.sum(squares, axis=0))))


def cross_correlation(series: Any) -> np.ndarray:
    """Correlation of the channels at the same step, over all series and steps where both are there: ``(C, C)``.

    >>> cross_correlation(np.array([[[1.0, -1.0], [2.0, -2.0]]])).round(4).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    flat = padded(series).reshape(-1, padded(series).shape[2])
    n = flat.shape[1]
    made = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            made[i, j] = _correlation(flat[:, i], flat[:, j])
    return made


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    there = ~(np.isnan(a) | np.isnan(b))
    a, b = a[there], b[there]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def cross_correlation_difference(samples: Any, references: Any) -> float:
    """``mean_{i<j} |r_ij - s_ij|`` of the correlations between channels, after TSGBench's; NaN for one channel.

    Pairs in which a channel is constant are left out.
    """
    x, y = pair(samples, references)
    upper = np.triu_indices(x.shape[2], 1)
    differences = np.abs(cross_correlation(x) - cross_correlation(y))[upper]
    there = differences[~np.isnan(differences)]
    return float(there.mean()) if len(there) else float("nan")


def power_spectrum(series: Any, n: int | None = None) -> np.ndarray:
    """Mean over series of the periodogram, each divided by its sum: shares of power ``(F, C)``, the mean of a series taken out.

    Args:
        series: see above; gaps are filled along lines.
        n: length to which series are extended by zeros, by default that of the longest.

    >>> power_spectrum(np.array([[1.0, -1.0, 1.0, -1.0]]))[:, 0].tolist()
    [0.0, 0.0, 1.0]
    """
    x = filled(padded(series))
    inside = (np.arange(x.shape[1]) < lengths_of(x)[:, None])[..., None]
    count = np.maximum(inside.sum(axis=1, keepdims=True), 1)
    inside = inside & varies(x, axis=1)[:, None]
    centred = np.where(inside, x - np.where(inside, x, 0.0).sum(axis=1, keepdims=True) / count, 0.0)
    n = n or int(lengths_of(x).max())
    power = np.abs(np.fft.rfft(centred, n=n, axis=1)) ** 2
    power[:, 1 : (n + 1) // 2] *= 2  # of a one-sided spectrum
    whole = power.sum(axis=1, keepdims=True)
    shares = np.divide(power, whole, out=np.full_like(power, np.nan), where=whole > 0)
    there = np.logical_not(np.any(np.isnan(shares[:, :1]), axis=1))
    return np.where(there[:, None], shares, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)


def power_spectrum_distance(samples: Any, references: Any) -> float:
    """Hellinger's distance between the mean shares of power, ``sqrt(1 - sum_f sqrt(p_f q_f))``, mean of the channels.

    1 from a channel that is constant in one of them alone; one that is constant in both is left out, NaN where all are.

    >>> round(power_spectrum_distance(np.array([[1.0, -1.0, 1.0, -1.0]]), np.array([[1.0, 1.0, -1.0, -1.0]])), 4)
    1.0
    """
    x, y = pair(samples, references)
    n = int(max(lengths_of(x).max(), lengths_of(y).max()))
    p, q = power_spectrum(x, n), power_spectrum(y, n)
    there = (p > 0).any(axis=0) | (q > 0).any(axis=0)
    distances = np.sqrt(np.maximum(1 - np.sum(np.sqrt(p * q), axis=0), 0.0))[there]
    return float(distances.mean()) if len(distances) else float("nan")


def marginal_distribution_difference(samples: Any, references: Any, *, bins: int = BINS) -> float:
    """``mean_{t,c,b} |d_tcb - g_tcb|`` of the densities of values at each step, in the bins of the references' histograms.

    TSGBench's MDD (Ang et al. 2023, arXiv:2309.03755, section 4.2). In units of a density: of one over the data's own. Steps at
    which fewer than two references have a value, or no sample, are left out; NaN where all are.

    Args:
        samples: series.
        references: real ones.
        bins: number of bins between the least and the greatest value at a step.
    """
    x, y = pair(samples, references)
    found = []
    for t in range(min(x.shape[1], y.shape[1])):
        for c in range(y.shape[2]):
            real, made = (side[:, t, c][~np.isnan(side[:, t, c])] for side in (y, x))
            if len(real) < 2 or not len(made):  # one value has no density
                continue
            if real.max() == real.min():  # beside which 1e-5 may be nothing
                real, made = real - real[0], made - real[0]
            low, high = real.min(), real.max()
            edges = np.linspace(low, high if high > low else 1e-5, bins + 1)
            width = edges[1] - edges[0]
            counts = (np.histogram(side, edges)[0] / (len(side) * width) for side in (made, real))
            found.append(np.mean(np.abs(np.subtract(*counts))))
    return float(np.mean(found)) if found else float("nan")
