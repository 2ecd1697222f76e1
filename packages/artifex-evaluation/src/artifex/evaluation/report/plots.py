"""Plots of results, as PNG: distributions over examples, models side by side, a figure over time, points in the plane."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from artifex.evaluation.results import MetricResult

__all__ = ["compared", "distribution", "over_time", "scatter"]

LABEL = 40
"""Most characters of a model's name beside a plot, the last ones: a longer one would leave no room for the plot."""
COLOURS = ("#0072b2", "#d55e00", "#007a5a", "#a8447f", "#8a6d00", "#444444")
"""Okabe & Ito 2008 with the pale ones darkened."""


def distribution(result: MetricResult) -> bytes:
    """How a figure is spread over examples, with the figure and its interval."""
    figure, axes = _axes(result.name, result.unit)
    values = np.asarray(result.per_example)
    axes.hist(values[np.isfinite(values)], bins=40, color=COLOURS[0], alpha=0.7)
    axes.axvline(result.value, color=COLOURS[1])
    if math.isfinite(result.low):
        axes.axvspan(result.low, result.high, color=COLOURS[1], alpha=0.25)
    axes.set_ylabel("examples")
    return _png(figure)


def compared(title: str, figures: Mapping[str, MetricResult]) -> bytes:
    """One metric of several models, with intervals."""
    first = next(iter(figures.values()))
    figure, axes = _axes(title, first.unit, height=0.9 + 0.35 * len(figures))
    for i, (_, result) in enumerate(figures.items()):
        reach = [[max(0.0, result.value - result.low)], [max(0.0, result.high - result.value)]]
        known = math.isfinite(result.low)
        axes.errorbar(result.value, i, xerr=reach if known else None, fmt="o", color=COLOURS[i % len(COLOURS)], capsize=3)
    axes.set_yticks(range(len(figures)), [name if len(name) <= LABEL else f"…{name[1 - LABEL :]}" for name in figures])
    axes.set_ylim(len(figures) - 0.5, -0.5)
    axes.set_xlabel(first.unit or ("higher is better" if first.higher_is_better else "lower is better"))
    return _png(figure)


def over_time(metric: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A metric over evaluations, one line a signature."""
    figure, axes = _axes(metric, "", height=3.2)
    signatures = list(dict.fromkeys(row["signature"] for row in rows))
    for i, signature in enumerate(signatures):
        own = [(n, row) for n, row in enumerate(rows) if row["signature"] == signature]
        places, values = [n for n, _ in own], [_number(row["value"]) for _, row in own]
        lows, highs = ([_number(row[end]) for _, row in own] for end in ("low", "high"))
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(places, values, "o-", color=colour, markersize=4)
        axes.fill_between(places, lows, highs, color=colour, alpha=0.2, linewidth=0)
    axes.set_xlabel("evaluation")
    return _png(figure)


def scatter(samples: np.ndarray, references: np.ndarray, most: int = 2000) -> bytes:
    """Points in the plane, samples beside references, on the same axes."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for place, title, points, colour in zip(axes, ("samples", "references"), (samples, references), COLOURS[:2], strict=True):
        place.plot(points[:most, 0], points[:most, 1], ".", color=colour, markersize=2)
        place.set_title(title, fontsize=10)
        place.set_aspect("equal", "box")
    return _png(figure)


def _axes(title: str, unit: str, height: float = 2.6) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit)
    return figure, axes


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()
