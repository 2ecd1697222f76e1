"""A suite from the command line: which run is measured on which task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artifex.core import plugins
from artifex.core.errors import InvalidInputError
from artifex.core.storage import load_model
from artifex.core.yamlio import load_yaml
from artifex.evaluation.results import EvaluationResult
from artifex.evaluation.subjects import CONFIG_FILE, WEIGHTS, evaluating, read_subject, require_folder
from artifex.evaluation.suites.benchmark import TRAINING_DATA, BenchmarkSuite
from artifex.evaluation.suites.suite import SuiteConfig, TaskConfig

__all__ = ["measured_runs", "measured_training_data"]

Found = dict[str, dict[str, EvaluationResult]]
COUNTS = {"n_train", "n_validation", "n_test", "seed", "name", "description", "tags", "metadata"}
"""Fields that do not make another data set."""


def measured_runs(suite: BenchmarkSuite, models: Sequence[str], metrics: Sequence[str]) -> Found:
    """The figures of each model, by its folder and task. A model's own folder knows no modality: the task's serves.

    Raises:
        InvalidInputError: a run's data set is no task's.
    """
    found: Found = {}
    for given in models:
        task, folder = _which(suite.config, given)
        name = str(folder)
        if (folder / WEIGHTS).is_file():
            model, modality = evaluating(load_model(folder)), None
        else:
            subject = read_subject(folder)
            model, modality = subject.model, subject.dataset.modality
        result = suite.run_benchmark(model, task, metrics or None, modality=modality, name=name)
        found.setdefault(name, {})[task] = result[task]
    return found


def measured_training_data(suite: BenchmarkSuite, metrics: Sequence[str]) -> Found:
    """What the training data of each task get in the place of samples."""
    tasks = [task.name for task in suite.config.tasks]
    return {TRAINING_DATA: {task: suite.measure_training_data(task, metrics or None)[task] for task in tasks}}


def _which(suite: SuiteConfig, given: str) -> tuple[str, Path]:
    task, equals, folder = given.partition("=")
    if equals:
        return suite.task(task).name, Path(folder)
    folder = Path(given)
    require_folder(folder)
    if len(suite.tasks) == 1:
        return suite.tasks[0].name, folder
    file = folder / CONFIG_FILE
    fields: Any = load_yaml(file.read_text(encoding="utf-8"), source=str(file)) if file.is_file() else {}
    described = fields.get("data", {}).get("dataset", {}) if isinstance(fields, dict) else {}
    names = [t.name for t in suite.tasks if _same(t, described)]
    if len(names) != 1:
        tasks = ", ".join(names or (t.name for t in suite.tasks))
        found = "the data set of several tasks" if names else "none of the suite's data sets"
        raise InvalidInputError(f"{given} was trained on {found}; say which: TASK={given}, of {tasks}")
    return names[0], folder


def _same(task: TaskConfig, described: dict[str, Any]) -> bool:
    """Whether this is the task's data set; what a run's file leaves out has its default."""
    if described.get("kind") != plugins.registry().kind_of("dataset", type(task.dataset)):
        return False
    ours, given = task.dataset.to_dict(), {name: value for name, value in described.items() if name != "kind"}
    theirs = type(task.dataset).from_dict(given).to_dict()
    return all(theirs[name] == value for name, value in ours.items() if name not in COUNTS)
