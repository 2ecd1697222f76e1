"""The documented long path of :mod:`artifex.evaluation`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.evaluation.metrics_registry import MetricsRegistry as MetricsRegistry
    from artifex.evaluation.pipeline import EvaluationPipeline as EvaluationPipeline
    from artifex.evaluation.results import EvaluationResult as EvaluationResult, MetricResult as MetricResult
    from artifex.evaluation.suites import (
        BenchmarkResult as BenchmarkResult,
        BenchmarkSuite as BenchmarkSuite,
        ComparisonResult as ComparisonResult,
    )

_NAMES = (
    "BenchmarkResult",
    "BenchmarkSuite",
    "ComparisonResult",
    "EvaluationPipeline",
    "EvaluationResult",
    "MetricResult",
    "MetricsRegistry",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.evaluation"))
