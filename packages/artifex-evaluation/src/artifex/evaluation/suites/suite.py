"""A suite in a YAML file.

In ``densities.yaml``::

    name: densities
    tasks:
      - name: two_moons
        dataset: {kind: density, density: two_moons, n_train: 10000}
        split: test
        metrics: [divergence, energy_distance]
        n_samples: 2000
    seeds: [0, 1, 2]
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from artifex.core import plugins
from artifex.core.config import Config, Registered, config, explain
from artifex.core.errors import DataError, InvalidInputError
from artifex.core.yamlio import load_yaml

__all__ = ["SuiteConfig", "TaskConfig", "read_suite"]

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _check_folder(name: str, what: str) -> None:
    """Results lie in a folder of that name, and nowhere else."""
    if "/" in name or "\\" in name or name in (".", ".."):
        raise ValueError(f"the name of a {what} is that of a folder of results, without slashes; got {name!r}")


@config
class TaskConfig(Config):
    """One data set of a suite, and what is measured on it. Its ``name`` is the task's."""

    dataset: Annotated[Config, Registered("dataset")]
    """The data set."""
    modality: Annotated[Config, Registered("modality")] | None = None
    """How its examples are prepared for models that bring no modality of their own."""
    split: str = "test"
    """Split of the references."""
    metrics: tuple[str, ...] = ()
    """Names of metrics; empty for those that apply."""
    n_samples: Count | None = None
    """Samples drawn; left out, as many as there are references, 100 at least and 2048 at most."""
    n_references: Count | None = None
    """References taken, the first ones; left out, all."""
    budget_seconds: Annotated[float, Field(gt=0)] | None = None
    """No metric is begun after so long; several seeds share it equally."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a task needs a name")
        _check_folder(self.name, "task")


@config
class SuiteConfig(Config):
    """Tasks that models are measured on.

    Example:
        >>> task = {"name": "moons", "dataset": {"kind": "density", "density": "two_moons"}}
        >>> SuiteConfig.from_dict({"name": "mine", "tasks": [task]}).tasks[0].split
        'test'
    """

    seed: Seed = 0
    """Of samples, noise and resampling."""
    seeds: tuple[Seed, ...] = ()
    """In the place of ``seed``: everything is measured with each, the figure is the mean, and the spread is shown."""
    tasks: tuple[TaskConfig, ...]
    """The tasks."""

    def __post_init__(self) -> None:
        _check_folder(self.name, "suite")
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a suite has one task at least, each with a name of its own; got {', '.join(names) or 'none'}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"a seed that is given twice gives the same figures twice; got seeds {list(self.seeds)}")
        if self.seeds and self.seed:
            raise ValueError(f"seeds {list(self.seeds)} take the place of seed {self.seed}; give one of the two")

    def task(self, name: str) -> TaskConfig:
        """The task called ``name``.

        Raises:
            InvalidInputError: there is none.
        """
        found = next((task for task in self.tasks if task.name == name), None)
        if found is None:
            raise InvalidInputError(
                f"the suite {self.name!r} has no task {name!r}; it has {', '.join(t.name for t in self.tasks)}"
            )
        return found


def read_suite(source: str | Path) -> SuiteConfig:
    """The suite in a YAML file, or the registered one of that name.

    Raises:
        DataError: the file cannot be read, or is no suite.
        UnknownNameError: there is neither a file nor a suite of that name.
    """
    path = Path(source)
    if path.is_file():
        try:
            text, where = path.read_text(encoding="utf-8"), str(path)
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is no text in UTF-8, and so no suite: {error}") from error
    elif path.suffix in (".yaml", ".yml"):
        raise DataError(f"there is no suite file {path}")
    else:
        package, _, file = plugins.registry().get("suite", str(source)).file.partition(":")
        text, where = resources.files(package).joinpath(file).read_text(encoding="utf-8"), f"suite {source}"
    fields: Any = load_yaml(text, source=where)
    if not isinstance(fields, dict):
        raise DataError(f"{where} holds no suite; it is a mapping with name and tasks")
    try:
        return SuiteConfig.from_dict({"name": path.stem, **fields})
    except ValidationError as error:
        raise DataError(explain(error, source=where)) from error
