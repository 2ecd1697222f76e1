r"""Whether a change of figures is real, and whether it matters.

- Where both figures have per-example values of the same examples: the paired randomisation test. Under no change the sign of
  each difference is a coin's; with ``R`` draws of all signs ``p = (1 + #{|t_r| >= |t|}) / (R + 1)`` (Fisher 1935; Noreen
  1989), all draws in one matrix product.
- Otherwise the step test over the history of a figure: under no step the newest figure is one more draw of the law of those
  before it, and ``(x - mean) / (s sqrt(1 + 1/n))`` is Student's t with ``n - 1`` degrees of freedom.
- Where neither can be had: a normal test of two independent figures with the errors that their intervals show.
- Over several metrics: Benjamini & Hochberg 1995 (doi:10.1111/j.2517-6161.1995.tb02031.x), which bounds the share of false
  alarms.

A change for the worse is a regression where it is significant *and* beyond the metric's tolerance. Timings only advise, unless
they were taken on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy import stats

from artifex.core.errors import InvalidInputError
from artifex.evaluation.results import EvaluationResult, MetricResult, check_comparable

__all__ = [
    "Change",
    "benjamini_hochberg",
    "compare_results",
    "compare_timings",
    "paired_randomisation_test",
    "step_test",
]

RATE = 0.05
"""Share of false alarms."""
DRAWS = 4000
"""Of all signs."""
LEAST_HISTORY = 4
"""Earlier figures without which a step cannot be told."""
SAME = 1e-6
"""Relative difference up to which figures are of one model, measured again."""
AT_ONCE = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One metric, before and now."""

    name: str
    before: float
    now: float
    p_value: float
    """Of no change; NaN where it cannot be told."""
    q_value: float = math.nan
    """``p_value`` adjusted for the number of metrics (Benjamini & Hochberg)."""
    test: str = ""
    """``paired randomisation``, ``step`` or ``intervals``; empty where there is none."""
    higher_is_better: bool
    tolerance: float = 0.0
    rate: float = RATE

    @property
    def difference(self) -> float:
        """``now - before``."""
        return self.now - self.before

    @property
    def significant(self) -> bool:
        """Whether the change is more than chance."""
        return self.q_value <= self.rate

    @property
    def worse(self) -> bool:
        """Whether it is for the worse."""
        return self.difference < 0 if self.higher_is_better else self.difference > 0

    @property
    def lost(self) -> bool:
        """Whether there was a finite figure, and now there is none, or an infinitely bad one."""
        return math.isfinite(self.before) and (math.isnan(self.now) or (math.isinf(self.now) and self.worse))

    @property
    def regression(self) -> bool:
        """Whether it is for the worse, more than chance, and beyond the tolerance; or lost altogether."""
        return self.lost or (self.significant and self.worse and abs(self.difference) > self.tolerance)

    def __str__(self) -> str:
        verdict = "regression" if self.regression else self._verdict()
        untested = "no longer a finite number" if self.lost else "cannot be tested"
        sure = f"q={self.q_value:.3g}" if math.isfinite(self.q_value) else untested
        return f"{self.name}: {self.before:.5g} -> {self.now:.5g} ({self.difference:+.3g}, {sure}): {verdict}"

    def _verdict(self) -> str:
        if not self.significant:
            return "no change that is more than chance" if math.isfinite(self.q_value) else "unknown"
        if abs(self.difference) <= self.tolerance:
            return f"a change within the tolerance of {self.tolerance:g}"
        return "worse" if self.worse else "improved"


def paired_randomisation_test(
    before: Float[np.ndarray, "N"], now: Float[np.ndarray, "N"], *, draws: int = DRAWS, rng: np.random.Generator
) -> float:
    """The p-value of equal means, two-sided, from per-example values of the same examples.

    Args:
        before: values.
        now: values of the same examples.
        draws: of all signs.
        rng: of the draws.

    Raises:
        InvalidInputError: there are not as many of both.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=200)
        >>> paired_randomisation_test(x, x + 0.1, rng=rng) < 0.001  # every example is better
        True
    """
    before, now = np.asarray(before, np.float64), np.asarray(now, np.float64)
    if before.shape != now.shape or before.ndim != 1 or len(before) < 1:
        raise InvalidInputError(f"values of the same examples are compared; got shapes {before.shape} and {now.shape}")
    differences = now - before
    scale = np.abs(differences).max()
    if scale == 0 or not np.isfinite(scale):
        return 1.0 if scale == 0 else math.nan
    column = jnp.asarray(differences / scale, jnp.float32)
    observed = abs(float(_signed(jnp.ones((1, len(differences)), jnp.int8), column)[0]))
    step = max(1, AT_ONCE // len(differences))
    extreme = 0
    for first in range(0, draws, step):
        bits = rng.integers(0, 2, (min(step, draws - first), len(differences)), dtype=np.int8)
        extreme += int(np.sum(np.abs(np.asarray(_signed(2 * bits - 1, column))) >= observed * (1 - 1e-6)))
    return (1 + extreme) / (draws + 1)


@jax.jit
def _signed(signs: jax.Array, differences: jax.Array) -> jax.Array:
    return jnp.matmul(signs.astype(jnp.float32), differences, precision=jax.lax.Precision.HIGHEST)


def step_test(history: Sequence[float], now: float) -> float:
    """The p-value, two-sided, of the newest figure being one more draw of the law of those before it.

    Args:
        history: figures before it, of equal signature; four at least.
        now: the newest.

    Returns:
        The p-value; NaN with a shorter history, or one without any spread: one model measured again and again says nothing of
        how far others lie apart.

    Example:
        >>> step_test([1.0, 1.1, 0.9, 1.0, 1.05], 2.0) < 0.001
        True
    """
    found = np.asarray(history, np.float64)
    found = found[np.isfinite(found)]
    if len(found) < LEAST_HISTORY or not math.isfinite(now):
        return math.nan
    spread = float(found.std(ddof=1))
    if spread <= SAME * abs(found.mean()):
        return 1.0 if math.isclose(now, found[0], rel_tol=SAME) else math.nan
    t = (now - found.mean()) / (spread * math.sqrt(1 + 1 / len(found)))
    return float(2 * stats.t.sf(abs(t), len(found) - 1))


def benjamini_hochberg(p_values: Float[np.ndarray, "M"]) -> Float[np.ndarray, "M"]:
    """Adjusted p-values: of those at most ``q``, a share ``q`` at most is false. NaN stays, and is not counted.

    Example:
        >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(4).tolist()
        [0.03, 0.04, 0.04]
    """
    p = np.asarray(p_values, np.float64)
    found = np.full(p.shape, math.nan)
    there = np.flatnonzero(np.isfinite(p))
    order = there[np.argsort(p[there])]
    if len(order):
        adjusted = p[order] * len(order) / np.arange(1, len(order) + 1)
        found[order] = np.minimum(1, np.minimum.accumulate(adjusted[::-1])[::-1])
    return found


def compare_results(
    before: EvaluationResult,
    now: EvaluationResult,
    *,
    history: Mapping[str, Sequence[float]] | None = None,
    rate: float = RATE,
    seed: int = 0,
) -> list[Change]:
    """What has changed in the metrics that both have.

    Args:
        before: the baseline.
        now: the newer one.
        history: earlier figures by metric, for those without per-example values.
        rate: share of false alarms.
        seed: of the draws.

    Raises:
        InvalidInputError: a metric has different signatures in the two; the message shows both.
    """
    rng = np.random.default_rng(seed)
    tested: list[tuple[MetricResult, MetricResult, float, str]] = []
    for name in (name for name in now if name in before):
        one, other = before[name], now[name]
        check_comparable(one, other)
        tested.append((one, other, *_tested(one, other, (history or {}).get(name, ()), rng)))
    adjusted = benjamini_hochberg(np.array([p for _, _, p, _ in tested])) if tested else []
    return [
        Change(
            name=other.name,
            before=one.value,
            now=other.value,
            p_value=p,
            q_value=float(q),
            test=test,
            higher_is_better=other.higher_is_better,
            tolerance=other.tolerance,
            rate=rate,
        )
        for (one, other, p, test), q in zip(tested, adjusted, strict=True)
    ]


def _tested(one: MetricResult, other: MetricResult, history: Sequence[float], rng: np.random.Generator) -> tuple[float, str]:
    a, b = one.per_example, other.per_example
    if a is not None and b is not None and a.shape == b.shape:
        return paired_randomisation_test(a, b, rng=rng), "paired randomisation"
    known = _of_different_models(history)
    if len(known) >= LEAST_HISTORY:
        return step_test(known, other.value), "step"
    return _from_intervals(one, other)


def _of_different_models(history: Sequence[float]) -> list[float]:
    """The history without repeats: a model that is measured again gets the same figure, which is no second draw."""
    known: list[float] = []
    for figure in filter(math.isfinite, history):
        if not any(math.isclose(figure, other, rel_tol=SAME) for other in known):
            known.append(figure)
    return known


def _from_intervals(one: MetricResult, other: MetricResult) -> tuple[float, str]:
    """A normal test of two independent figures, as far as their intervals tell."""
    # the longer side: the other may end at the metric's lowest or highest value, and not where the error does
    reach = [max(r.high - r.value, r.value - r.low) / stats.norm.ppf((1 + r.level) / 2) for r in (one, other)]
    error = math.hypot(*reach)
    if not math.isfinite(error) or error == 0:
        return math.nan, ""
    return float(2 * stats.norm.sf(abs(other.value - one.value) / error)), "intervals"


def compare_timings(before: Sequence[float], now: float, *, same_machine: bool, tolerance: float = 0.1) -> tuple[bool, str]:
    """Whether something has become slower: ``(is a regression, what to say)``.

    Args:
        before: earlier seconds.
        now: seconds.
        same_machine: whether they were taken on the same one; otherwise it only advises.
        tolerance: relative change that matters to nobody.

    Example:
        >>> compare_timings([1.0, 1.01, 0.99, 1.0], 2.0, same_machine=False)
        (False, '2 s instead of 1 s, on another machine: no verdict')
    """
    if not before:
        return False, "no earlier timing"
    usual = float(np.median(before))
    said = f"{now:.3g} s instead of {usual:.3g} s"
    if not same_machine:
        return False, f"{said}, on another machine: no verdict"
    slower = now > usual * (1 + tolerance) and step_test(before, now) <= RATE
    return slower, f"{said}: {'slower' if slower else 'no change that is more than chance'}"
