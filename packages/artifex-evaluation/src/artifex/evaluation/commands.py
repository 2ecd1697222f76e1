"""``artifex evaluate``, ``benchmark``, ``compare`` and ``history``. What they need of JAX is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    subject: Annotated[Path, typer.Argument(help="A run's folder, or a model's.", metavar="RUN|MODEL_FOLDER")],
    metrics: Annotated[list[str] | None, typer.Option("--metrics", "-m", help="Metrics, by name; may be repeated.")] = None,
) -> None:
    """Measure."""
    from artifex.evaluation.pipeline import EvaluationPipeline
    from artifex.evaluation.subjects import read_subject

    found = read_subject(subject)
    pipeline = EvaluationPipeline(found.evaluation, seed=found.seed)
    d = found.dataset
    result = pipeline.evaluate(
        found.model,
        d.data,
        d.modality,
        metrics=metrics or (),
        holdout=d.holdout,
        density=d.density,
        name=found.name,
        data_name=d.name,
    )
    typer.echo(result.table())
    for r in result.values():
        typer.echo(str(r.signature))
    for k, why in result.skipped.items():
        typer.echo(f"- {k}: {why}")
