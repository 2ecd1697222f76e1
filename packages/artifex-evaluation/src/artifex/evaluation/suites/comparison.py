"""Models side by side: figures with intervals, and ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from artifex.evaluation.results import EvaluationResult, MetricResult, check_comparable

__all__ = ["ComparisonResult"]


@dataclass(slots=True)
class ComparisonResult:
    """Figures of several models on the same tasks.

    Example:
        >>> ComparisonResult({"a": {}, "b": {}}).ranks()
        {}
    """

    results: dict[str, dict[str, EvaluationResult]]
    """By model, then task."""

    @property
    def models(self) -> list[str]:
        """Their names."""
        return list(self.results)

    def figures(self, task: str, metric: str) -> dict[str, MetricResult]:
        """The figure of each model that has it.

        Raises:
            InvalidInputError: signatures differ; the message shows two.
        """
        found = {model: tasks[task][metric] for model, tasks in self.results.items() if metric in tasks.get(task, ())}
        first = next(iter(found.values()), None)
        for figure in found.values():
            assert first is not None
            check_comparable(first, figure)
        return found

    def columns(self) -> list[tuple[str, str]]:
        """Every task and metric that some model has a figure of."""
        pairs = ((task, metric) for tasks in self.results.values() for task, result in tasks.items() for metric in result)
        return list(dict.fromkeys(pairs))

    def ranks(self) -> dict[tuple[str, str], dict[str, int]]:
        """By task and metric, each model's place: 1 is best; models whose intervals hold each other's figure share one."""
        return {column: _ranked(self.figures(*column)) for column in self.columns()}

    def mean_ranks(self) -> dict[str, float]:
        """Over all tasks and metrics, best first."""
        ranks = self.ranks().values()
        means = {}
        for model in self.models:
            places = [of_models[model] for of_models in ranks if model in of_models]
            means[model] = sum(places) / len(places) if places else math.nan
        return dict(sorted(means.items(), key=lambda item: item[1]))

    def best(self, task: str, metric: str) -> str:
        """The model with the best figure."""
        figures = self.figures(task, metric)
        return max(figures, key=lambda model: _goodness(figures[model]))

    def table(self) -> str:
        """The figures as lines of text: one a task and metric, one column a model, with intervals and ranks."""
        ranks = self.ranks()
        head = ("", *self.models)
        rows = [head, *((_label(*column), *self._cells(column, ranks[column])) for column in self.columns())]
        means = self.mean_ranks()
        rows.append(("mean rank", *(f"{means[model]:.2f}" for model in self.models)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)

    def _cells(self, column: tuple[str, str], ranks: dict[str, int]) -> list[str]:
        figures = self.figures(*column)
        return [f"{figures[m]} #{ranks[m]}" if m in figures else "-" for m in self.models]


def _label(task: str, metric: str) -> str:
    return f"{task} {metric}" if task else metric


def _goodness(result: MetricResult) -> float:
    value = result.value if result.higher_is_better else -result.value
    return value if math.isfinite(value) else -math.inf


def _ranked(figures: dict[str, MetricResult]) -> dict[str, int]:
    ordered = sorted(figures, key=lambda model: -_goodness(figures[model]))
    ranks: dict[str, int] = {}
    for place, model in enumerate(ordered, start=1):
        ahead = ordered[place - 2] if place > 1 else model
        tied = place > 1 and _indistinct(figures[ahead], figures[model])
        ranks[model] = ranks[ahead] if tied else place
    return ranks


def _indistinct(one: MetricResult, other: MetricResult) -> bool:
    return one.low <= other.value <= one.high and other.low <= one.value <= other.high
