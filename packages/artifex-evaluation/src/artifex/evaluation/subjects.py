"""What is evaluated: a run's folder or a model's, with its data, from nothing but what stands in the folder."""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from pydantic import ValidationError

from artifex.core import plugins
from artifex.core.config import explain
from artifex.core.errors import DataError, InvalidInputError, RunError
from artifex.core.measuring.config import EvaluationConfig
from artifex.core.plugins.entries import resolve
from artifex.core.protocols import ArrayDataset, KnowsDensity, SourceDataset
from artifex.core.storage import load_model
from artifex.core.yamlio import load_yaml

__all__ = ["Dataset", "Subject", "built", "evaluating", "read_dataset", "read_subject", "require_folder"]

CONFIG_FILE, WEIGHTS, MODEL, CLASSES = "config.yaml", "weights.safetensors", "model", "classes.json"


@dataclass(slots=True)
class Dataset:
    """References, and what stands beside them."""

    name: str
    """Kind and split, for signatures."""
    data: Any
    """Stored references."""
    modality: Any = None
    holdout: Any = None
    density: Any = None
    train: Any = None
    """What a model was trained on, for its nearest neighbours."""


@dataclass(slots=True)
class Subject:
    """A model to evaluate."""

    name: str
    folder: Path
    model: Any
    dataset: Dataset
    seed: int = 0
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    classes: tuple[str, ...] = ()
    step: int | None = None
    """Of the checkpoint that the model is of, where its run has saved none yet."""


def read_subject(folder: str | Path, *, data: str | None = None, split: str | None = None) -> Subject:
    """The model in a run's folder or in a model's, and its data.

    Args:
        folder: a run's, or what ``save_model`` wrote. Of a run that has no model yet its newest checkpoint is read, by what the
            distribution that trained it registers under the slot ``run_model``.
        data: instead of the run's: a YAML file with ``dataset`` and ``modality``, a preset or run with such data, or arrays in
            model space (``.npy``, ``.npz``). A model's folder needs it.
        split: of the references; by default ``test`` where the data set has one, else ``validation``.

    Raises:
        RunError: it is neither, or the run has neither a model nor a checkpoint yet.
        DataError: there are no held-out data.
    """
    folder = Path(folder)
    require_folder(folder)
    is_model = (folder / WEIGHTS).is_file()
    fields: dict[str, Any] = {} if is_model else _mapping(folder / CONFIG_FILE)
    if data is None and is_model:
        raise InvalidInputError(f"{folder} is a model's folder, which knows of no data; say which: --data FILE|PRESET|RUN")
    config = _checked(EvaluationConfig, fields.get("evaluation") or {}, folder)
    chosen = split or config.split
    dataset = read_dataset(data, split=chosen) if data is not None else _of_run(fields.get("data"), str(folder), chosen)
    model, step = (load_model(folder), None) if is_model else _model_of_run(folder)
    name = str(fields.get("name") or folder.resolve().name)
    return Subject(
        name=name if step is None else f"{name} at step {step}",
        folder=folder,
        model=evaluating(model),
        dataset=dataset,
        seed=int(fields.get("seed") or 0),
        evaluation=config,
        classes=_classes(folder / CLASSES),
        step=step,
    )


def require_folder(folder: Path) -> None:
    """Raise :class:`RunError` unless there is a run's folder or a model's; where it is a preset's name, say what to do."""
    if not (folder / CONFIG_FILE).is_file():
        is_preset = str(folder) in plugins.registry().names("preset")
        fix = f"; {folder} is a preset: train it, and give the run's folder" if is_preset else ""
        raise RunError(f"{folder} is neither a run's folder nor a model's: it has no {CONFIG_FILE}{fix}")


def _model_of_run(folder: Path) -> tuple[Any, int | None]:
    """The trained model, or that of the newest checkpoint and its step."""
    if (folder / MODEL / CONFIG_FILE).is_file():  # which is written last
        return load_model(folder / MODEL), None
    registry = plugins.registry()
    for kind in registry.kinds_with_config("run_model"):
        entry = registry.entry_for_slot("run_model", kind)
        checkpoint = resolve(entry.component)(resolve(entry.config)(folder=folder))
        if checkpoint.step is not None:
            return checkpoint.load(), checkpoint.step
    raise RunError(
        f"{folder} has no model yet, and no checkpoint that an installed package reads: its run goes on, or was cut off; "
        f"`artifex train --resume {shlex.quote(str(folder))}` ends it"
    )


def evaluating(model: Any) -> Any:
    """The model without dropout, and with running averages in the place of a batch's own."""
    return nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)


def read_dataset(source: str, *, split: str | None = None) -> Dataset:
    """Data named on the command line: arrays, a YAML file, a run's folder or a preset.

    Raises:
        DataError: it cannot be read.
    """
    path = Path(source)
    if path.suffix in (".npy", ".npz"):
        return _arrays(path)
    if (path / CONFIG_FILE).is_file():
        path = path / CONFIG_FILE
    if path.is_file():
        fields: Any = _mapping(path)
    elif path.is_dir():
        raise DataError(
            f"{source} is a folder, but no run's: it has no {CONFIG_FILE}. For a folder of files give a YAML file whose "
            "'dataset' reads them"
        )
    elif path.suffix in (".yaml", ".yml") or "/" in source:
        raise DataError(f"there are no data {source}: give .npy, .npz, a YAML file with a data set, a run's folder or a preset")
    else:
        package, _, file = plugins.registry().get("preset", source).file.partition(":")
        text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
        fields = load_yaml(text, source=f"preset {source}")
    return _of_run(fields.get("data", fields), source, split)


def _arrays(path: Path) -> Dataset:
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            found = np.load(file)
            data = {"x": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except ValueError as error:  # NumPy would have it unpickled, which runs whatever the file says
        raise DataError(f"{path} is no whole file of numbers, as np.save and np.savez write them ({error})") from error
    for name, array in data.items():
        _check(array, f"{path}: {name}", may_be_missing="mask" in data)
    return Dataset(path.name, data)


def _check(array: np.ndarray, what: str, *, may_be_missing: bool) -> None:
    """Refuse what is no row of numbers for each example."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} has dtype {array.dtype}; numbers are needed")
    is_x = what.endswith(": x")
    if array.ndim < (2 if is_x else 1):
        one = "; examples of one number each are (N, 1)" if is_x and array.ndim else ""
        raise DataError(f"{what} has shape {array.shape}; the first axis counts examples{one}")
    if may_be_missing or array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
        return
    bad = np.flatnonzero(~finite.reshape(len(array), -1).all(axis=1))
    raise DataError(
        f"{what} has numbers that are not finite in {len(bad)} of {len(array)} examples, the first of them example {bad[0]}; "
        "leave those examples out"
    )


def _of_run(fields: Any, source: str, split: str | None) -> Dataset:
    """The data that a run file describes."""
    if not isinstance(fields, Mapping) or not isinstance(fields.get("dataset"), Mapping):
        raise DataError(f"{source} describes no data: it has no 'dataset'")
    dataset = built("dataset", fields["dataset"], source)
    modality = built("modality", fields["modality"], source) if fields.get("modality") else None
    splits = tuple(dataset.splits)
    chosen = split or next((s for s in ("test", "validation", fields.get("evaluation_split")) if s in splits), None)
    if chosen is None or chosen not in splits:
        what = f"no split {split!r}" if split else "no held-out split"
        raise DataError(f"the data set of {source} has {what}; it has {', '.join(splits)}: choose one with --split")
    train = fields.get("train_split") or "train"
    other = next((s for s in ("test", "validation") if s in splits and s not in (chosen, train)), None)
    return Dataset(
        name=f"{fields['dataset'].get('kind')}/{chosen}",
        data=_read(dataset, chosen),
        modality=modality,
        holdout=None if other is None else _read(dataset, other),
        density=dataset if isinstance(dataset, KnowsDensity) else None,
        train=_read(dataset, train) if train in splits and train != chosen else None,
    )


def built(kind: str, fields: Mapping[str, Any], source: str) -> Any:
    """What ``fields`` describe, the entry of ``kind`` that their key ``kind`` names."""
    rest = dict(fields)
    name = rest.pop("kind", None)
    if not isinstance(name, str):
        raise DataError(f"{source}: the {kind} has no 'kind'; it names one of {', '.join(plugins.registry().names(kind))}")
    registry = plugins.registry()
    try:
        config = registry.config_class(kind, name).from_dict(rest)
    except ValidationError as error:
        raise DataError(explain(error, source=source)) from error
    return resolve(getattr(registry.get(kind, name), kind))(config)


def _read(dataset: Any, split: str) -> Any:
    if isinstance(dataset, ArrayDataset):
        return dataset.arrays(split)
    if isinstance(dataset, SourceDataset):
        return dataset.source(split)
    raise DataError(f"{type(dataset).__name__} is no data set: it has neither arrays(split) nor source(split)")


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = load_yaml(path.read_text(encoding="utf-8"), source=str(path))
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path} is no mapping of fields")
    return found


def _checked(cls: Any, fields: Any, folder: Path) -> Any:
    try:
        return cls.from_dict(fields)
    except ValidationError as error:
        raise RunError(explain(error, source=str(folder / CONFIG_FILE))) from error


def _classes(file: Path) -> tuple[str, ...]:
    try:
        found: Sequence[Any] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return ()
    return tuple(map(str, found))
