r"""Confidence intervals: how far a figure would move with other examples of the same law.

- A figure of a sum over examples: the bootstrap, all replicates in one matrix product, counts ``(R, N)`` times statistics
  ``(N, S)``; bias-corrected and accelerated (BCa), Efron 1987 (doi:10.1080/01621459.1987.10478410):

  .. math:: \alpha_{\mathrm{low}} = \Phi\Big(z_0 + \frac{z_0 + z_{\alpha}}{1 - a (z_0 + z_{\alpha})}\Big),\quad
            z_0 = \Phi^{-1}\big(\Pr(\hat\theta^* < \hat\theta)\big),\quad
            a = \frac{\sum_i d_i^3}{6 (\sum_i d_i^2)^{3/2}},\quad d_i = \bar\theta_{(\cdot)} - \theta_{(i)}

- A figure of a state that merges: the jackknife that leaves out one of ``G`` groups (Efron & Tibshirani 1993, section 11.5),
  Student's t with ``G - 1`` degrees of freedom.
- A figure of the whole set: random halves, the jackknife that leaves out half (Shao & Wu 1989, doi:10.1214/aos/1176347263): the
  variance of the figure of a random half about its mean is that of the figure itself. Resampling with replacement would put
  equal examples into the set, which nearest neighbours take for perfect agreement.

Shapes: ``N`` examples, ``S`` statistics, ``R`` replicates, ``G`` groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy import stats

from artifex.core.errors import InvalidInputError
from artifex.core.measuring.measurement import Measurement

__all__ = ["Interval", "bootstrap_interval", "interval_of", "jackknife_interval", "leave_one_out", "resampled_totals"]

AT_ONCE = 2**24
"""Counts held at a time."""
HALVES = 20
"""Random halves."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``."""

    low: float
    high: float
    method: str
    """``BCa``, ``jackknife`` or ``halves``; empty where there is no interval."""


NONE = Interval(float("nan"), float("nan"), "")


def interval_of(measurement: Measurement, *, level: float = 0.95, replicates: int = 1000, rng: np.random.Generator) -> Interval:
    """The interval of a measured figure, by the method that its form allows.

    Args:
        measurement: the figure.
        level: of confidence.
        replicates: of the bootstrap.
        rng: of resampling.
    """
    if not np.isfinite(measurement.value):
        return NONE
    if measurement.rows is not None and measurement.finalize is not None:
        if len(measurement.rows) < 2:
            return NONE
        return bootstrap_interval(measurement.rows, measurement.finalize, level=level, replicates=replicates, rng=rng)
    if measurement.without_group is not None:
        return jackknife_interval(measurement.value, measurement.without_group, level=level)
    if measurement.at_a_half is not None and measurement.n >= 4:
        return _halves_interval(measurement.value, measurement.at_a_half, level, rng)
    return NONE


def bootstrap_interval(
    rows: Float[np.ndarray, "N S"],
    finalize: Callable[[Any], Any],
    *,
    level: float = 0.95,
    replicates: int = 1000,
    rng: np.random.Generator,
) -> Interval:
    """The BCa interval of ``finalize(sum_i rows_i)``.

    Args:
        rows: statistics of each example.
        finalize: the figure of sums ``(..., S)``.
        level: of confidence.
        replicates: ``R``.
        rng: of resampling.

    Raises:
        InvalidInputError: ``level`` is no probability, or there are fewer than two examples.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values = rng.normal(size=400)
        >>> found = bootstrap_interval(np.stack([values, np.ones(400)], 1), lambda t: t[..., 0] / t[..., 1], rng=rng)
        >>> found.method, bool(found.low < values.mean() < found.high)
        ('BCa', True)
    """
    if not 0 < level < 1 or len(rows) < 2:
        raise InvalidInputError(f"level is {level} and there are {len(rows)} examples; a level in (0, 1) and two are needed")
    total = rows.sum(axis=0)
    value = float(finalize(total))
    found = np.sort(np.asarray(finalize(resampled_totals(rows, replicates, rng)), np.float64))
    found = found[np.isfinite(found)]
    if len(found) == 0 or found[0] == found[-1]:
        return Interval(value, value, "BCa")
    below = (np.sum(found < value) + np.sum(found == value) / 2) / len(found)
    bias = stats.norm.ppf(np.clip(below, 0.5 / len(found), 1 - 0.5 / len(found)))
    steps = np.asarray(leave_one_out(rows, finalize), np.float64)
    steps = steps.mean() - steps
    square = float(np.sum(steps**2))
    acceleration = float(np.sum(steps**3)) / (6 * square**1.5) if square > 0 else 0.0
    z = bias + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(found, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return Interval(float(low), float(high), "BCa")


def resampled_totals(rows: Float[np.ndarray, "N S"], replicates: int, rng: np.random.Generator) -> Float[np.ndarray, "R S"]:
    """Sums of ``N`` examples drawn with replacement: one matrix product on the device for as many replicates as fit."""
    n = len(rows)
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    centred = jnp.asarray((rows - mean) / scale, jnp.float32)  # so that float32 loses nothing that matters
    step = max(1, AT_ONCE // n)
    parts = [_product(_counts(min(step, replicates - r), n, rng), centred) for r in range(0, replicates, step)]
    return n * mean + np.concatenate([np.asarray(part, np.float64) for part in parts]) * scale


@jax.jit
def _product(counts: jax.Array, rows: jax.Array) -> jax.Array:
    return jnp.matmul(counts, rows, precision=jax.lax.Precision.HIGHEST)


def _counts(replicates: int, n: int, rng: np.random.Generator) -> Float[np.ndarray, "R N"]:
    """How often each example is drawn in each replicate."""
    drawn = rng.integers(0, n, (replicates, n), dtype=np.int32)
    drawn += (np.arange(replicates, dtype=np.int32) * n)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * n).astype(np.float32).reshape(replicates, n)


def leave_one_out(rows: Float[np.ndarray, "N S"], finalize: Callable[[Any], Any]) -> Float[np.ndarray, "N"]:
    """The figure without each example in turn."""
    return np.asarray(finalize(rows.sum(axis=0)[None] - rows), np.float64)


def jackknife_interval(value: float, without: Float[np.ndarray, "G"], *, level: float = 0.95) -> Interval:
    """``value ± t sqrt((G - 1) / G sum_g (without_g - mean)^2)``.

    Args:
        value: the figure.
        without: the figure without each group.
        level: of confidence.

    Example:
        >>> found = jackknife_interval(2.0, np.array([1.9, 2.0, 2.1]))
        >>> round(found.low, 3), round(found.high, 3)
        (1.503, 2.497)
    """
    groups = len(without)
    error = np.sqrt((groups - 1) / groups * np.sum((without - without.mean()) ** 2))
    reach = float(stats.t.ppf((1 + level) / 2, groups - 1) * error)
    return Interval(value - reach, value + reach, "jackknife")


def _halves_interval(
    value: float, at_a_half: Callable[[np.random.Generator], float], level: float, rng: np.random.Generator
) -> Interval:
    try:
        found = np.array([at_a_half(rng) for _ in range(HALVES)])
    except Exception:  # a stranger's metric may want more examples than a half: the figure stands, without an interval
        return NONE
    if not np.isfinite(found).all():
        return NONE
    reach = float(stats.t.ppf((1 + level) / 2, HALVES - 1) * found.std(ddof=1))
    return Interval(value - reach, value + reach, "halves")
