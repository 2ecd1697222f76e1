"""The pages, on those of :mod:`artifex.core.report`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from artifex.core.measuring.material import Material
from artifex.core.protocols import DrawsSamples
from artifex.core.report import embedded_image, page, shown_file, table, text
from artifex.core.storage import write_atomically
from artifex.evaluation.regression import Change
from artifex.evaluation.report import plots
from artifex.evaluation.results import EvaluationResult, MetricResult
from artifex.evaluation.suites.comparison import ComparisonResult

__all__ = ["COMPARISON", "EVALUATION", "write_comparison", "write_evaluation", "write_history"]

EVALUATION, COMPARISON = "evaluation.html", "comparison.html"
SHOWN, NEIGHBOURS, WORST = 32, 12, 12
"""Samples, samples with a neighbour, and worst examples that are shown."""
MOST_TRAINING = 10_000
"""Training examples that are looked through for neighbours."""
PLOTS = 6
"""Metrics whose distribution over examples is drawn."""
SAME, NEAR = 1e-6, 1e-3
"""Relative differences that are rounding: of a value, and of a mean of differences of many."""


def write_evaluation(
    folder: Path,
    result: EvaluationResult,
    material: Material | None = None,
    *,
    train: Material | None = None,
    changes: Sequence[Change] = (),
) -> Path:
    """Make ``evaluation.html``.

    Args:
        folder: where.
        result: the figures.
        material: samples and references to show.
        train: what the model was trained on, as references.
        changes: since a baseline.

    Returns:
        The file, which is written whole or not at all.
    """
    sections = {
        "Figures": _figures(result),
        "Changes": _changes(changes),
        "Over the examples": _distributions(result),
        "Samples beside data": _samples(material),
        "Nearest neighbours in the training set": _neighbours(material, train),
        "Worst examples": _worst(result, material),
        "What failed": _pairs(("metric", "why"), result.failures),
        "What does not apply": _pairs(("why", "metrics"), {why: ", ".join(names) for why, names in result.reasons().items()}),
        "Signatures": _pairs(("metric", "signature"), {name: str(r.signature) for name, r in result.items()}),
    }
    path = folder / EVALUATION
    write_atomically(path, page(result.subject, f"<p>Measured in {result.seconds:.1f} s.</p>", sections).encode())
    return path


def write_comparison(path: Path, comparison: ComparisonResult, changes: Mapping[str, Sequence[Change]] | None = None) -> Path:
    """Make a page of models with intervals, ranks and plots; returns the file."""
    ranks = comparison.ranks()
    rows = []
    for column in comparison.columns():
        figures = comparison.figures(*column)
        cells = [f"{figures[m]} (rank {ranks[column][m]})" if m in figures else "" for m in comparison.models]
        rows.append((" ".join(part for part in column if part), *cells))
    means = comparison.mean_ranks()
    rows.append(("mean rank", *(f"{means[m]:.2f}" for m in comparison.models)))
    pictures = [
        embedded_image(plots.compared(" ".join(filter(None, column)), comparison.figures(*column)), "png", column[1])
        for column in comparison.columns()
    ]
    sections = {
        "Models": table(("metric", *comparison.models), rows),
        "Plots": _grid(pictures),
        **{f"Changes in {model}": _changes(found) for model, found in (changes or {}).items()},
    }
    write_atomically(path, page("Comparison", "", sections).encode())
    return path


def write_history(path: Path, metric: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Make a page of one metric over all evaluations; returns the file."""
    picture = embedded_image(plots.over_time(metric, rows), "png", metric)
    shown = [
        (row["run"], row["subject"], row["evaluation"], math.nan if row["value"] is None else row["value"], row["signature"])
        for row in rows
    ]
    sections = {"Plot": picture, "Figures": table(("run", "subject", "evaluation", "value", "signature"), shown)}
    write_atomically(path, page(metric, "", sections).encode())
    return path


def _figures(result: EvaluationResult) -> str:
    rows = [
        (
            r.name,
            r.value,
            f"{r.low:.5g} to {r.high:.5g}" if math.isfinite(r.low) else "",
            r.method,
            r.unit,
            r.n,
            "higher" if r.higher_is_better else "lower",
            f"{r.seconds:.2f}",
        )
        for r in result.values()
    ]
    levels = " or ".join(dict.fromkeys(f"{100 * r.level:g} %" for r in result.values()))
    return (
        table(("metric", "figure", f"{levels} interval", "by", "unit", "examples", "better", "seconds"), rows) if rows else ""
    )


def _changes(changes: Sequence[Change]) -> str:
    return "<p>" + "<br/>".join(text(change) for change in changes) + "</p>" if changes else ""


def _pairs(head: tuple[str, str], pairs: Mapping[str, str]) -> str:
    return table(head, pairs.items()) if pairs else ""


def _distributions(result: EvaluationResult) -> str:
    chosen = [r for r in result.values() if _is_a_mean(r)][:PLOTS]
    return _grid([embedded_image(plots.distribution(r), "png", r.name) for r in chosen])


def _grid(pictures: Sequence[str]) -> str:
    if not pictures:
        return ""
    figures = "\n".join(f"<figure>{picture}</figure>" if "<figure" not in picture else picture for picture in pictures)
    return f'<div class="samples">\n{figures}\n</div>'


def _samples(material: Material | None) -> str:
    if material is None or "samples" not in material.facts.available:
        return ""
    samples = material.model_space("samples", 0, min(_shown(material), material.n_samples))
    references = material.model_space("references", 0, min(_shown(material), material.n_references))
    if material.modality is None:
        if samples.shape[1:] != (2,) or references.shape[1:] != (2,):
            return ""
        return embedded_image(plots.scatter(samples, references), "png", "samples beside references")
    return _grid([_picture(material, samples, "samples"), _picture(material, references, "references")])


def _shown(material: Material) -> int:
    return 2000 if material.modality is None else SHOWN


def _neighbours(material: Material | None, train: Material | None) -> str:
    """Samples, and below each the training example next to it in model space: a copy would be seen."""
    if material is None or train is None or material.modality is None or "samples" not in material.facts.available:
        return ""
    samples = material.model_space("samples", 0, min(NEIGHBOURS, material.n_samples))
    n = min(MOST_TRAINING, train.n_references)
    best = np.full(len(samples), np.inf)
    found = np.array(samples)
    for start in range(0, n, 1000):
        rows = train.model_space("references", start, min(n, start + 1000))
        distances = cdist(samples.reshape(len(samples), -1), rows.reshape(len(rows), -1))
        nearest, at = distances.min(axis=1), distances.argmin(axis=1)
        closer = nearest < best
        best, found[closer] = np.where(closer, nearest, best), rows[at[closer]]
    pictures = [_picture(material, samples, "samples"), _picture(material, found, "their nearest training examples")]
    said = ", ".join(f"{d:.3g}" for d in best)
    return _grid(pictures) + f"<p>Euclidean distances in the model's space: {said}</p>"


def _worst(result: EvaluationResult, material: Material | None) -> str:
    """The references that the first metric with a value for each of them finds worst."""
    if material is None:
        return ""
    first = next((r for r in result.values() if _is_of_references(r, material)), None)
    if first is None:
        return ""
    values = np.asarray(first.per_example)
    order = np.argsort(values if first.higher_is_better else -values)[:WORST]
    rows = [(int(i), float(values[i])) for i in order]
    picture = ""
    if material.modality is not None:
        examples = np.concatenate([material.model_space("references", int(i), int(i) + 1) for i in order])
        picture = _grid([_picture(material, examples, f"worst by {first.name}")])
    return picture + table(("example", first.name), rows)


def _is_of_references(result: MetricResult, material: Material) -> bool:
    return result.per_example is not None and len(result.per_example) == material.n_references and _is_a_mean(result)


def _is_a_mean(result: MetricResult) -> bool:
    """Whether the values of the examples differ and their mean is the figure.

    Of a count of units, say, they are shares of nothing, and what they differ by is rounding.
    """
    values = result.per_example
    if values is None or not np.isfinite(values).any():
        return False
    there = values[np.isfinite(values)]
    scale = float(np.abs(there).max())
    return float(np.ptp(there)) > SAME * scale and abs(float(values.mean()) - result.value) <= NEAR * scale


def _picture(material: Material, examples: np.ndarray, caption: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        modality = material.modality
        write = modality.draw_samples if isinstance(modality, DrawsSamples) else modality.save_samples
        return shown_file(write(examples, Path(folder) / "shown"), caption, caption)
