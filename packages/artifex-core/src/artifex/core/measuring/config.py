"""``evaluation:`` of a run file: with what a run is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from artifex.core.config import Config, config

__all__ = ["EvaluationConfig"]

Count = Annotated[int, Field(ge=1)]


@config
class EvaluationConfig(Config):
    """Which metrics of a run, over how much.

    Example:
        >>> EvaluationConfig(metrics=["elbo"], every=2).metrics
        ('elbo',)
    """

    metrics: tuple[str, ...] = ()
    """Names of registered metrics; empty for those that apply to the model, its modality and its data."""
    every: Count | None = None
    """The trainer measures too, at every so many of its evaluations; left out, ``artifex evaluate`` alone does."""
    n_samples: Count | None = None
    """Samples drawn; left out, as many as there are references, 2048 at most."""
    n_references: Count | None = None
    """References taken, the first ones; left out, all of the split. The trainer takes 2048 at most unless told."""
    batch_size: Count = 256
    """Examples worked on at a time. It changes no figure."""
    split: str | None = None
    """Split of the references; left out, ``test`` where the data set has one, else ``validation``."""
