"""``evaluation:`` of a run file: with what a run is measured."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from artifex.core import plugins
from artifex.core.config import Config, config, explain
from artifex.core.errors import ArtifexError

__all__ = ["EXTRACTOR", "EvaluationConfig", "Extractors"]

Count = Annotated[int, Field(ge=1)]
EXTRACTOR = "feature_extractor"
"""The slot of extractors of features."""


def _checked(extractors: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The fields as they are, once each extractor's own config has taken them."""
    registry = plugins.registry()
    for name, fields in extractors.items():
        known = registry.kinds_with_config(EXTRACTOR)
        if name not in known:
            text = f"there is no extractor {name!r}; installed: {', '.join(known) or 'none'}"
            raise PydanticCustomError("extractor", "{text}", {"text": text})
        try:
            registry.config_class(EXTRACTOR, name).from_dict(fields)
        except ValidationError as error:
            raise PydanticCustomError("extractor", "{text}", {"text": explain(error, source=name)}) from error
        except ArtifexError as error:
            raise PydanticCustomError("extractor", "{text}", {"text": f"{name}: {error}"}) from error
    return extractors


Extractors = Annotated[dict[str, dict[str, Any]], AfterValidator(_checked)]
"""Fields of extractors' configs, by the extractors' names."""


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
    """Samples drawn; left out, as many as there are references, 100 at least and 2048 at most."""
    n_references: Count | None = None
    """References taken, the first ones; left out, all of the split. The trainer takes 2048 at most unless told."""
    batch_size: Count = 256
    """Examples worked on at a time. It changes no figure."""
    split: str | None = None
    """Split of the references; left out, ``test`` where the data set has one, else ``validation``."""
    extractors: Extractors = dataclasses.field(default_factory=dict, hash=False)
    """Fields of the networks whose features metrics compare: ``{inception: {weights: FILE}}``. Those that figures depend on are
    part of their signatures."""
