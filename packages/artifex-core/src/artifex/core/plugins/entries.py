"""What a plugin offers: frozen entries of plain strings, so that listing them imports nothing.

A target is written ``"package.module:Name"`` and imported on first use by :func:`resolve`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from artifex.core.errors import PluginError

__all__ = [
    "CallbackEntry",
    "CommandEntry",
    "ComponentEntry",
    "DatasetEntry",
    "Entry",
    "ExtensionEntry",
    "LiveTarget",
    "LossEntry",
    "MetricEntry",
    "ModalityEntry",
    "ModelEntry",
    "PresetEntry",
    "resolve",
]


class LiveTarget(str):
    """A target whose class is at hand already, as it is for what a process registers by itself: nothing is imported for it."""

    __slots__ = ("cls",)
    cls: type

    def __new__(cls, target: type) -> LiveTarget:
        """The target of the class ``target``, which reads like any other."""
        made = super().__new__(cls, f"{target.__module__}:{target.__qualname__}")
        made.cls = target
        return made


def resolve(target: str) -> Any:
    """Import what ``"package.module:Name"`` names.

    Raises:
        PluginError: the string is no target, its module cannot be imported, or the name is not there.
    """
    if isinstance(target, LiveTarget):
        return target.cls
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise PluginError(f"{target!r} is no target; write it as 'package.module:Name'")
    try:
        value: Any = importlib.import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except Exception as error:  # a stranger's module may raise anything at import
        reason = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"cannot import {target!r}: {reason}") from error
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Common to all entries."""

    name: str
    """What users type; unique among the entries of its kind."""
    summary: str = ""
    """One line for listings."""

    def __post_init__(self) -> None:
        """Check the types here, where the plugin that gave them can still be named."""
        if not self.name:
            raise ValueError(f"a {type(self).__name__} needs a name")
        for field in fields(self):
            value, declared = getattr(self, field.name), str(field.type)
            if declared.startswith("tuple"):
                if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                    raise TypeError(f"{type(self).__name__}.{field.name} takes a tuple of strings, got {value!r}")
                object.__setattr__(self, field.name, tuple(value))
            elif not isinstance(value, bool if declared == "bool" else str):
                raise TypeError(f"{type(self).__name__}.{field.name} takes a {declared}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry(Entry):
    """A model and the config it is built from: ``model(config, *, rngs)``."""

    model: str
    """Target of the module: ``package.module:Name``."""
    config: str
    """Target of its config, which belongs to this model alone."""
    family: str
    """What it is listed under: ``vae``, ``flow`` …"""
    capabilities: tuple[str, ...] = ()
    """Names of the capability protocols it follows (``log_prob``, ``encode`` …)."""
    paper: str = ""
    """Authors and year, and where to find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossEntry(Entry):
    """A loss: a pure function."""

    loss: str
    """Target of the function."""
    family: str
    """What it is listed under."""
    paper: str = ""
    """Authors and year, and where to find it."""


Need = Literal["samples", "references", "labels", "log_prob", "log_weights", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEntry(Entry):
    """A metric: a pure function, with what it has to be given and which way is better."""

    metric: str
    """Target of the function, which is given what ``needs`` lists, as arguments of these names; others need a default. It gives
    one number, or one for each example."""
    needs: tuple[Need, ...]
    """What it has to be given."""
    higher_is_better: bool
    """Which way is better."""
    modality: str = ""
    """The kind of data it measures; empty where any will do."""
    paper: str = ""
    """Authors and year, and where to find it."""

    def __post_init__(self) -> None:
        Entry.__post_init__(self)
        if unknown := set(self.needs) - set(get_args(Need)):
            raise ValueError(
                f"metric {self.name!r} needs {', '.join(sorted(unknown))}; it may need {', '.join(get_args(Need))}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityEntry(Entry):
    """A kind of data: ``modality(config)`` prepares batches for a model and turns samples into files."""

    modality: str
    """Target of the modality's class."""
    config: str
    """Target of its config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEntry(Entry):
    """A data set: ``dataset(config)`` gives arrays or a random-access source for each split."""

    dataset: str
    """Target of the data set's class."""
    config: str
    """Target of its config."""
    modality: str = ""
    """The kind of data it holds, by the name of its modality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionEntry(Entry):
    """An extension: ``extension(config)`` reads a model's outputs and may add a loss term."""

    extension: str
    """Target of the extension's class."""
    config: str
    """Target of its config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackEntry(Entry):
    """A training callback: ``callback(config)``."""

    callback: str
    """Target of the callback's class."""
    config: str
    """Target of its config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentEntry(Entry):
    """Something that fills an open field of another config (a backbone, say), found under ``kind`` in its slot."""

    slot: str
    """Which open field it fills, by the name given to ``Registered``."""
    component: str
    """Target of its class."""
    config: str
    """Target of its config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetEntry(Entry):
    """A whole run, named: ``file="artifex.vae:presets/digits.yaml"`` is package data."""

    file: str
    """Package and file of the run file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry(Entry):
    """A sub-command of ``artifex``: ``target`` is a function with typer annotations, or a ``typer.Typer``."""

    target: str
    """Target of the function or application."""
