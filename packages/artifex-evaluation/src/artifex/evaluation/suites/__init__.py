"""Suites: data sets with fixed splits, metrics, budgets and seeds, in a YAML file; models measured on them and compared."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.evaluation.suites.benchmark import BenchmarkResult as BenchmarkResult, BenchmarkSuite as BenchmarkSuite
    from artifex.evaluation.suites.comparison import ComparisonResult as ComparisonResult
    from artifex.evaluation.suites.suite import SuiteConfig as SuiteConfig, TaskConfig as TaskConfig, read_suite as read_suite

_HOMES = {
    "benchmark": ("BenchmarkResult", "BenchmarkSuite"),
    "comparison": ("ComparisonResult",),
    "suite": ("SuiteConfig", "TaskConfig", "read_suite"),
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}
)
