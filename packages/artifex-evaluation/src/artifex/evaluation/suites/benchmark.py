"""Models measured on a suite, one or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from artifex.core import plugins
from artifex.core.config import Config
from artifex.core.errors import ArtifexError, DataError, InvalidInputError
from artifex.core.measuring.config import EvaluationConfig
from artifex.core.plugins.entries import resolve
from artifex.core.protocols import ArrayDataset, FitsData, KnowsDensity, SourceDataset
from artifex.evaluation.pipeline import EvaluationPipeline, Progress
from artifex.evaluation.results import EvaluationResult
from artifex.evaluation.suites.comparison import ComparisonResult
from artifex.evaluation.suites.seeds import mean_over_seeds
from artifex.evaluation.suites.suite import SuiteConfig, TaskConfig, read_suite

__all__ = ["BenchmarkResult", "BenchmarkSuite"]

TRAINING_DATA = "training data"
"""What stands in the place of samples to show what a perfect model would get."""


@dataclass(slots=True)
class BenchmarkResult:
    """Figures of one model on tasks of a suite."""

    suite: str
    model: str
    tasks: dict[str, EvaluationResult] = field(default_factory=dict)

    def __getitem__(self, task: str) -> EvaluationResult:
        return self.tasks[task]

    @property
    def ok(self) -> bool:
        """Whether every metric was computed."""
        return all(result.ok for result in self.tasks.values())

    def table(self) -> str:
        """The figures as lines of text."""
        return "\n\n".join(f"{task}\n{result.table()}" for task, result in self.tasks.items())


class BenchmarkSuite:
    """A suite at work.

    Args:
        suite: a suite, the name of a registered one, or its file.
        folder: where what is computed is kept, for every model; None for memory.
        progress: told how far it is.
        extractors: fields of extractors of features, by name.

    Example:
        >>> task = {"name": "moons", "dataset": {"kind": "density", "density": "two_moons", "n_train": 200, "n_test": 200}}
        >>> suite = BenchmarkSuite(SuiteConfig.from_dict({"name": "mine", "tasks": [{**task, "metrics": ["energy_distance"]}]}))
        >>> suite.measure_training_data("moons")["moons"]["energy_distance"].n
        200
    """

    def __init__(
        self,
        suite: SuiteConfig | str | Path,
        *,
        folder: str | Path | None = None,
        progress: Progress | None = None,
        extractors: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.config = suite if isinstance(suite, SuiteConfig) else read_suite(suite)
        self._folder, self._progress = folder, progress
        self._extractors = extractors
        self._datasets: dict[str, Any] = {}

    def run_benchmark(
        self,
        model: Any,
        dataset: Any,
        metrics: Sequence[str] | None = None,
        *,
        modality: Any = None,
        name: str = "",
    ) -> BenchmarkResult:
        """Measure a model on one data set.

        Args:
            model: the model.
            dataset: a task of the suite by name, a data set, or its config.
            metrics: names; by default the task's, else those that apply.
            modality: of the model, where it is not the task's.
            name: of the model, for people.

        Raises:
            InvalidInputError: there is no such task.
            DataError: it is no data set, or none that the model takes.
        """
        task, made = self._task(dataset)
        name = name or type(model).__name__
        try:
            return self._measured(task, made, model, metrics, modality, name)
        except ArtifexError as error:
            raise type(error)(f"{name} on {task.name}: {error}") from error

    def measure_training_data(self, task: str, metrics: Sequence[str] | None = None) -> BenchmarkResult:
        """What the training data get in the place of samples: what a model that has learnt everything would."""
        config, dataset = self._task(task)
        modality = _modality(config, dataset)
        train = _split(dataset, dataset.splits[0], config.name)
        stored = train if isinstance(train, Mapping) else {"x": np.stack([np.asarray(row["x"]) for row in train])}
        most = config.n_samples or 2048
        pipeline = self._pipeline(config, self._seeds[0])
        material = pipeline.material(None, {key: value[:most] for key, value in stored.items()}, modality)
        samples = material.model_space("references", 0, material.n_references)
        return self._measured(config, dataset, None, metrics, None, TRAINING_DATA, samples=samples)

    def compare_models(
        self,
        models: Mapping[str, Any],
        *,
        metrics: Sequence[str] | None = None,
        modalities: Mapping[str, Any] | None = None,
    ) -> ComparisonResult:
        """Measure several models on the tasks and compare them.

        Args:
            models: by name: a model for all tasks, or a mapping from tasks to models.
            metrics: names; by default the tasks'.
            modalities: of models, by name, where they are not the tasks'.
        """
        results: dict[str, dict[str, EvaluationResult]] = {}
        for name, given in models.items():
            by_task = given if isinstance(given, Mapping) else {task.name: given for task in self.config.tasks}
            modality = (modalities or {}).get(name)
            results[name] = {
                task: self.run_benchmark(model, task, metrics, modality=modality, name=name)[task]
                for task, model in by_task.items()
            }
        return ComparisonResult(results)

    def _task(self, dataset: Any) -> tuple[TaskConfig, Any]:
        if isinstance(dataset, str):
            task = self.config.task(dataset)
            if dataset not in self._datasets:
                self._datasets[dataset] = _made("dataset", task.dataset)
            return task, self._datasets[dataset]
        made = _made("dataset", dataset) if isinstance(dataset, Config) else dataset
        config = getattr(made, "config", None)
        if not isinstance(config, Config):
            raise DataError(f"{type(dataset).__name__} is no task of the suite, no data set and no config of one")
        kind = plugins.registry().kind_of("dataset", type(config))
        split = "test" if "test" in made.splits else made.splits[-1]
        return TaskConfig(name=kind, dataset=config, split=split), made

    @property
    def _seeds(self) -> tuple[int, ...]:
        return self.config.seeds or (self.config.seed,)

    def _pipeline(self, task: TaskConfig, seed: int) -> EvaluationPipeline:
        config = EvaluationConfig(metrics=task.metrics, n_samples=task.n_samples, n_references=task.n_references)
        folder = None if self._folder is None else Path(self._folder) / "columns"
        return EvaluationPipeline(config, seed=seed, folder=folder, progress=self._progress, extractors=self._extractors)

    def _measured(
        self,
        task: TaskConfig,
        dataset: Any,
        model: Any,
        metrics: Sequence[str] | None,
        modality: Any,
        name: str,
        samples: np.ndarray | None = None,
    ) -> BenchmarkResult:
        other = next((s for s in ("validation", "test") if s in dataset.splits and s != task.split), None)
        given: dict[str, Any] = {
            "metrics": self._asked(task, metrics, samples is None),
            "holdout": None if other is None else _split(dataset, other, task.name),
            "training": _split(dataset, "train", task.name) if "train" in dataset.splits and task.split != "train" else None,
            "density": dataset if isinstance(dataset, KnowsDensity) else None,
            "samples": samples,
            "name": name,
            "data_name": f"{self.config.name}/{task.name}/{task.split}",
            "budget_seconds": None if task.budget_seconds is None else task.budget_seconds / len(self._seeds),
        }
        references = _split(dataset, task.split, task.name)
        prepares = modality if modality is not None else _modality(task, dataset)
        results = {s: self._pipeline(task, s).evaluate(model, references, prepares, **given) for s in self._seeds}
        result = mean_over_seeds(results) if len(results) > 1 else results[self._seeds[0]]
        return BenchmarkResult(self.config.name, name, {task.name: result})

    def _asked(self, task: TaskConfig, metrics: Sequence[str] | None, has_model: bool) -> tuple[str, ...]:
        """Without a model, the metrics that look at samples alone."""
        names = tuple(metrics or task.metrics)
        entries = {name: plugins.registry().get("metric", name) for name in names}
        return names if has_model else tuple(n for n, e in entries.items() if not {"model", "log_prob"} & set(e.needs))


def _made(kind: str, config: Config | None) -> Any:
    if config is None:
        return None
    entry = plugins.registry().entry_of_config(kind, type(config))
    return resolve(getattr(entry, kind))(config)


def _modality(task: TaskConfig, dataset: Any) -> Any:
    """The task's modality, which has learnt from the training split where it has to."""
    made = _made("modality", task.modality)
    return made.fitted(dataset, dataset.splits[0]) if isinstance(made, FitsData) else made


def _split(dataset: Any, split: str, task: str) -> Any:
    if split not in dataset.splits:
        raise InvalidInputError(f"task {task!r}: the data set has no split {split!r}; it has {', '.join(dataset.splits)}")
    if isinstance(dataset, ArrayDataset):
        return dataset.arrays(split)
    if isinstance(dataset, SourceDataset):
        return dataset.source(split)
    raise DataError(f"{type(dataset).__name__} is no data set: it has neither arrays(split) nor source(split)")
