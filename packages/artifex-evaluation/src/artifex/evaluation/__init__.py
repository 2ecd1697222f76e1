"""Evaluation: every registered metric with its interval and signature; suites, comparisons, regressions, reports."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.measuring.config import EvaluationConfig as EvaluationConfig
    from artifex.evaluation.intervals import Interval as Interval, bootstrap_interval as bootstrap_interval
    from artifex.evaluation.metrics_registry import MetricsRegistry as MetricsRegistry
    from artifex.evaluation.pipeline import EvaluationPipeline as EvaluationPipeline
    from artifex.evaluation.regression import Change as Change, compare_results as compare_results
    from artifex.evaluation.results import (
        EvaluationResult as EvaluationResult,
        MetricResult as MetricResult,
        Signature as Signature,
    )
    from artifex.evaluation.store import ResultIndex as ResultIndex, read_results as read_results
    from artifex.evaluation.subjects import Subject as Subject, read_subject as read_subject
    from artifex.evaluation.suites import (
        BenchmarkResult as BenchmarkResult,
        BenchmarkSuite as BenchmarkSuite,
        ComparisonResult as ComparisonResult,
        SuiteConfig as SuiteConfig,
    )

_HOMES = {
    "intervals": ("Interval", "bootstrap_interval"),
    "metrics_registry": ("MetricsRegistry",),
    "pipeline": ("EvaluationPipeline",),
    "regression": ("Change", "compare_results"),
    "results": ("EvaluationResult", "MetricResult", "Signature"),
    "store": ("ResultIndex", "read_results"),
    "subjects": ("Subject", "read_subject"),
    "suites": ("BenchmarkResult", "BenchmarkSuite", "ComparisonResult", "SuiteConfig"),
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "EvaluationConfig": "artifex.core.measuring.config",
        **{name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names},
    },
)
