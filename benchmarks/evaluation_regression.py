"""False alarms and power of the regression gate, over simulated pairs of evaluations.

    python benchmarks/evaluation_regression.py [--pairs 2000] [--examples 1000] [--seed N] [--quick]

Needs `artifex-evaluation`. Minutes. Each pair goes through `compare_results`, as `artifex evaluate --baseline` does: paired
randomisation with 4000 draws, Benjamini-Hochberg, no tolerance. *Paired* values are of the same examples, whose difference
has a standard deviation of 1 and a mean of 0 or 0.2; *independent* ones have a standard deviation of 1 each, which is the
harder case. *Significant* counts changes for better or worse, *regression* those that end with exit code 1. Fresh random
numbers unless a seed is given.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from artifex.evaluation.regression import Change, compare_results
from artifex.evaluation.results import EvaluationResult, MetricResult, Signature

SHIFT = 0.2


def main() -> None:
    """Simulate and print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--quick", action="store_true", help="20 pairs: shows that it runs, not how often")
    arguments = parser.parse_args()
    pairs, n = 20 if arguments.quick else arguments.pairs, arguments.examples
    rng = np.random.default_rng(arguments.seed)
    print(f"{pairs} pairs of {n} examples; standard error of a share p: sqrt(p (1 - p) / {pairs})")
    for case in ("paired", "independent"):
        for shift in (0.0, SHIFT):
            changes = [_compared(case, n, shift, rng) for _ in range(pairs)]
            significant, regression = (sum(getattr(c, field) for c in changes) for field in ("significant", "regression"))
            what = "false alarms" if shift == 0 else f"power at {shift:g}"
            print(f"{case:12} {what:13} significant {_share(significant, pairs)}   regression {_share(regression, pairs)}")


def _share(count: int, of: int) -> str:
    p = count / of
    return f"{100 * p:6.2f} % ± {100 * math.sqrt(p * (1 - p) / of):.2f}"


def _compared(case: str, n: int, shift: float, rng: np.random.Generator) -> Change:
    """One metric before and after it became worse by ``shift``."""
    before, noise = rng.normal(size=(2, n))
    now = (before + noise if case == "paired" else noise) - shift
    (change,) = compare_results(_result(before), _result(now), seed=int(rng.integers(2**31)))
    return change


def _result(values: np.ndarray) -> EvaluationResult:
    signature = Signature(metric="m", definition="simulated", version="0", estimator=f"streamed over {len(values)}")
    figure = MetricResult(
        name="m", value=float(values.mean()), n=len(values), signature=signature, higher_is_better=True, per_example=values
    )
    return EvaluationResult("simulated", {"m": figure})


if __name__ == "__main__":
    main()
