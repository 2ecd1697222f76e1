"""A run in one YAML file: model, data, training, devices, extensions, callbacks."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from artifex.core import plugins
from artifex.core.config import Config, Registered, config, explain
from artifex.core.errors import InvalidInputError, RunError
from artifex.core.measuring.config import EvaluationConfig
from artifex.core.mesh import ShardingConfig
from artifex.core.yamlio import load_yaml
from artifex.training.callbacks import CheckpointConfig, MetricsFileConfig, ProgressConfig, SampleGridConfig, TensorBoardConfig
from artifex.training.environment import differences
from artifex.training.trainer_config import TrainerConfig

__all__ = ["CONFIG_FILE", "DataConfig", "RunConfig", "apply_settings", "read_run_config", "with_absolute_paths"]

CONFIG_FILE = "config.yaml"
DEFAULT_CALLBACKS = (ProgressConfig(), MetricsFileConfig(), TensorBoardConfig(), CheckpointConfig(), SampleGridConfig())


@config
class DataConfig(Config):
    """What is modelled."""

    dataset: Annotated[Config, Registered("dataset")]
    """The data set, with the ``kind`` it is registered under."""
    modality: Annotated[Config, Registered("modality")] | None = None
    """How stored examples become the model's input; left out, they are the input as they are."""
    train_split: str = "train"
    """Split to train on."""
    evaluation_split: str | None = None
    """Split to evaluate on; left out, ``validation`` where the data set has one, else ``test``."""


@config
class RunConfig(Config):
    """A whole run."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Root of all randomness of the run: initialisation, data order, noise, samples."""
    model: Annotated[Config, Registered("model")]
    """The model, with the ``kind`` it is registered under."""
    data: DataConfig
    """The data."""
    training: TrainerConfig
    """How to train."""
    mesh: ShardingConfig | None = None
    """Devices and their roles; left out, all accelerators share the batch, as do the devices of several processes, and a CPU
    poses as the number that suits the model."""
    extensions: tuple[Annotated[Config, Registered("extension")], ...] = ()
    """What adds to the model's outputs and loss."""
    evaluation: EvaluationConfig | None = None
    """Registered metrics: which, over how much, and whether the trainer computes them too; left out, ``artifex evaluate``
    computes those that apply."""
    callbacks: tuple[Annotated[Config, Registered("callback")], ...] = DEFAULT_CALLBACKS
    """What happens along the way."""


def with_absolute_paths(config: Any) -> Any:
    """``config`` with every relative path in it taken from the current folder, so that it means the same everywhere."""
    if isinstance(config, Path):
        return config if config.is_absolute() or str(config).startswith("~") else Path.cwd() / config
    if isinstance(config, tuple):
        return tuple(with_absolute_paths(item) for item in config)
    if not isinstance(config, Config):
        return config
    old = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    changed = {name: new for name, value in old.items() if (new := with_absolute_paths(value)) is not value and new != value}
    return config.replace(**changed) if changed else config


def read_run_config(source: str, settings: Sequence[str] = ()) -> RunConfig:
    """The run that ``source`` names: a YAML file, a run folder or a preset, changed by ``settings`` (``a.b=c`` each).

    Raises:
        RunError: it cannot be read, or is not a valid run; the message names the file and each wrong field.
        UnknownNameError: there is neither a file nor a preset of that name.
    """
    text, where, default_name = _read_source(source)
    try:
        fields = load_yaml(text, source=where)
    except InvalidInputError as error:
        raise RunError(f"not valid YAML: {error}") from error
    if not isinstance(fields, dict):
        raise RunError(f"{where} holds no run; a run file is a mapping with model, data and training")
    fields.setdefault("name", default_name)
    if fields.get("callbacks") is None and any(setting.strip().startswith("callbacks.") for setting in settings):
        fields["callbacks"] = [{"kind": kind} for kind in _default_callbacks()]
    apply_settings(fields, settings)
    try:
        return RunConfig.from_dict(fields)
    except ValidationError as error:
        folder = Path(where).parent if Path(where).name == CONFIG_FILE else None
        notes = [] if folder is None else differences(folder)
        raise RunError("\n".join([explain(error, source=where), *(f"  {note}" for note in notes)])) from error


def _read_source(source: str) -> tuple[str, str, str]:
    """Text, what to call it in messages, and a name for the run."""
    path = Path(source)
    name = path.stem
    if (path / CONFIG_FILE).is_file():
        path, name = path / CONFIG_FILE, path.resolve().name
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8"), str(path), name
        except UnicodeDecodeError as error:
            raise RunError(f"{path} is not a text file; a run file is YAML in UTF-8") from error
    if path.suffix in (".yaml", ".yml") or {"/", os.sep} & set(source):
        what = f"{source} is a folder without {CONFIG_FILE}" if path.is_dir() else f"there is no run file {source}"
        raise RunError(f"{what}; give a YAML file, a run folder, or the name of a preset (`artifex list preset`)")
    package, _, file = plugins.registry().get("preset", source).file.partition(":")
    return resources.files(package).joinpath(file).read_text(encoding="utf-8"), f"preset {source}", source


def apply_settings(fields: dict[str, Any], settings: Sequence[str]) -> None:
    """Put ``a.b=c`` settings into nested ``fields``; values are read as YAML.

    An item of a list is named by its number, from 0, or by its kind: ``callbacks.sample_grid.every=100``; null takes it out.

    Raises:
        InvalidInputError: a setting is malformed, or its path runs through something that has no fields.
    """
    for setting in settings:
        path, equals, value = setting.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise InvalidInputError(f"--set {setting!r} cannot be read; write it as --set training.log_every=10")
        place: Any = fields
        for i, key in enumerate(keys[:-1]):
            place = _child(place, key, ".".join(keys[: i + 1]), setting)
        try:
            parsed = load_yaml(value, source=f"the value of --set {setting!r}")
        except InvalidInputError as error:
            raise InvalidInputError(f"{error}; put it in quotes if it is text") from error
        if isinstance(place, list):
            at = _index(place, keys[-1], path, setting)
            place[at : at + 1] = [] if parsed is None else [parsed]
        elif not isinstance(place, dict):
            raise InvalidInputError(f"--set {setting!r}: {'.'.join(keys[:-1])} is {place!r}, which has no fields")
        else:
            place[keys[-1]] = parsed


def _child(place: Any, key: str, where: str, setting: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, key, where, setting)]
    if not isinstance(place, dict):
        raise InvalidInputError(f"--set {setting!r}: {where.rpartition('.')[0]} is {place!r}, which has no fields")
    if place.get(key) is None:
        place[key] = {}
    if not isinstance(place[key], dict | list):
        raise InvalidInputError(f"--set {setting!r}: {where} is {place[key]!r}, which has no fields")
    return place[key]


def _index(items: list[Any], key: str, where: str, setting: str) -> int:
    """Which item of a list ``key`` names: a number, or a kind."""
    if key.isdecimal() and int(key) < len(items):
        return int(key)
    kinds = [item.get("kind") if isinstance(item, dict) else None for item in items]
    found = [i for i, kind in enumerate(kinds) if kind == key]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = " and ".join(map(str, found))
        raise InvalidInputError(f"--set {setting!r}: {key!r} is the kind of several items; name one by its number, {numbers}")
    named = ", ".join(f"{i} {kind}" if kind else str(i) for i, kind in enumerate(kinds))
    if key.isdecimal() or not any(kinds):
        which = f" ({named})" if any(kinds) else ""
        raise InvalidInputError(f"--set {setting!r}: {where} is one of {len(items)} list items, numbered from 0{which}")
    what = where.rpartition(".")[0]
    close = difflib.get_close_matches(key, [kind for kind in kinds if kind], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    raise InvalidInputError(
        f"--set {setting!r}: {what} has no item {key!r}{hint} it has {named}; to add one, write the list out"
    )


def _default_callbacks() -> list[str]:
    """The kinds of callbacks that a run has which says nothing of them."""
    return [plugins.registry().entry_of_config("callback", type(c)).name for c in DEFAULT_CALLBACKS]
