"""Registered metrics at every n-th evaluation: what a run file's ``evaluation`` asks the trainer for.

They go through the core's :mod:`artifex.core.measuring`, as ``artifex evaluate`` does, so that the figures are the same;
intervals, signatures and reports are that command's.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from artifex.core import plugins
from artifex.core.errors import RunWarning
from artifex.core.measuring import EvaluationConfig, Material, applicable, evaluation_key, measure
from artifex.core.plugins.entries import MetricEntry
from artifex.training.callbacks.base import Callback, Training

__all__ = ["RegisteredMetrics"]

MOST_REFERENCES = 2048
"""References taken unless the config says how many."""


class RegisteredMetrics(Callback):
    """Logs ``metric/NAME`` for each metric, with the parameters that an evaluation uses.

    Args:
        config: which metrics, over how much, how often.
        data: held-out data, in stored form.
        density: the law that they were drawn from, where it is known.
    """

    def __init__(self, config: EvaluationConfig, data: Any, density: Any = None):
        self.config, self._data, self._density = config, data, density
        self._evaluations = 0
        for name in config.metrics:
            plugins.registry().get("metric", name)  # a misspelt name is found out before training

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        del metrics  # those of the objective
        self._evaluations += 1
        if self.config.every is None or self._evaluations % self.config.every:
            return
        material = Material(
            trainer.evaluation_model(),
            self._data,
            key=evaluation_key(trainer.seed),
            modality=trainer.modality,
            density=self._density,
            n_samples=self.config.n_samples,
            n_references=self.config.n_references or MOST_REFERENCES,
            batch_size=self.config.batch_size,
            extractors=self.config.extractors,
        )
        trainer.log({f"metric/{entry.name}": value for entry in self._chosen(material) for value in _figure(entry, material)})

    def _chosen(self, material: Material) -> list[MetricEntry]:
        registry = plugins.registry()
        names = self.config.metrics or registry.names("metric")
        entries = [registry.get("metric", name) for name in names]
        if self.config.metrics:
            return entries
        return [entry for entry in applicable(entries, material.facts) if not material.extractor_obstacle(entry)]

    def state(self) -> dict[str, Any]:
        return {"evaluations": self._evaluations}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._evaluations = int(state["evaluations"])


def _figure(entry: MetricEntry, material: Material) -> list[float]:
    """The figure, or none with a warning: a stranger's metric does not end a training."""
    try:
        return [measure(entry, material, rows=False).value]
    except Exception as error:  # it may raise anything
        warnings.warn(f"metric {entry.name!r} failed: {error}", RunWarning, stacklevel=2)
        return []
