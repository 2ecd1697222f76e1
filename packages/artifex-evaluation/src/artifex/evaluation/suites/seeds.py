r"""One figure of several seeds: their mean, and how far they lie apart.

.. math:: \bar\theta = \frac{1}{K} \sum_s \theta_s,\quad
          \text{spread} = \Big(\frac{1}{K - 1} \sum_s (\theta_s - \bar\theta)^2\Big)^{1/2}

Seeds draw samples and noise; the references are the same. The interval, which is of other examples too, has the means of the
seeds' ends: it is as wide as that of one of them, as if their errors were one, and so on the safe side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from artifex.evaluation.results import EvaluationResult, MetricResult

__all__ = ["mean_over_seeds"]


def mean_over_seeds(results: Mapping[int, EvaluationResult]) -> EvaluationResult:
    """The mean of each metric that every seed has; ``by_seed`` keeps the results as they are.

    Example:
        >>> from artifex.evaluation.results import Signature
        >>> def of(value):
        ...     signature = Signature(metric="m", definition="d", version="1", estimator="streamed over 9")
        ...     figure = MetricResult(name="m", value=value, n=9, signature=signature, higher_is_better=True)
        ...     return EvaluationResult("model", {"m": figure})
        >>> str(mean_over_seeds({0: of(1.0), 1: of(3.0)})["m"])
        '2 ± 1.4142 over seeds'
    """
    each = list(results.values())
    failures = {name: f"seed {seed}: {why}" for seed, result in results.items() for name, why in result.failures.items()}
    names = [name for name in each[0] if name not in failures]
    return EvaluationResult(
        each[0].subject,
        {name: _mean([result[name] for result in each]) for name in names},
        failures=failures,
        skipped=each[0].skipped,
        seconds=sum(result.seconds for result in each),
        seconds_per_sample=float(np.median([result.seconds_per_sample for result in each])),
        by_seed=dict(results),
    )


def _mean(figures: Sequence[MetricResult]) -> MetricResult:
    first, values = figures[0], [figure.value for figure in figures]
    rows = [figure.per_example for figure in figures if figure.per_example is not None]
    alike = len(rows) == len(figures) and len({row.shape for row in rows}) == 1
    return dataclasses.replace(
        first,
        value=float(np.mean(values)),
        low=float(np.mean([figure.low for figure in figures])),
        high=float(np.mean([figure.high for figure in figures])),
        spread=float(np.std(values, ddof=1)),
        seconds=sum(figure.seconds for figure in figures),
        signature=dataclasses.replace(first.signature, estimator=f"{first.signature.estimator}, mean of {len(figures)} seeds"),
        per_example=np.mean(rows, axis=0) if alike else None,
    )
