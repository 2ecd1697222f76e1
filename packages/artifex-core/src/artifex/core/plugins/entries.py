"""What a plugin offers: frozen entries of plain strings, so that listing them imports nothing.

A target is written ``"package.module:Name"`` and imported on first use by :func:`resolve`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from artifex.core.errors import PluginError

__all__ = [
    "CallbackEntry",
    "CommandEntry",
    "ComponentEntry",
    "DatasetEntry",
    "Entry",
    "ExtensionEntry",
    "LossEntry",
    "MetricEntry",
    "ModalityEntry",
    "ModelEntry",
    "PresetEntry",
    "resolve",
]


def resolve(target: str) -> Any:
    """Import what ``"package.module:Name"`` names. Raises :class:`PluginError` when the string or what it names is wrong."""
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise PluginError(f"{target!r} is no target; write it as 'package.module:Name'")
    try:
        value: Any = importlib.import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"cannot import {target!r}: {error}") from error
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Common to all entries."""

    name: str
    """What users type; unique among the entries of its kind."""
    summary: str = ""
    """One line for listings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry(Entry):
    """A model and the config it is built from: ``model(config, *, rngs)``."""

    model: str
    config: str
    family: str
    capabilities: tuple[str, ...] = ()
    """Names of the capability protocols it follows (``log_prob``, ``encode`` …)."""
    paper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossEntry(Entry):
    """A loss: a pure function."""

    loss: str
    family: str
    paper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEntry(Entry):
    """A metric: a pure function, with what it has to be given and which way is better."""

    metric: str
    needs: tuple[Literal["samples", "references", "log_prob", "model"], ...]
    higher_is_better: bool
    modality: str = ""
    """The kind of data it measures; empty where any will do."""
    paper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityEntry(Entry):
    """A kind of data: ``modality(config)`` prepares batches for a model and turns samples into files."""

    modality: str
    config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEntry(Entry):
    """A data set: ``dataset(config)`` gives arrays or a random-access source for each split."""

    dataset: str
    config: str
    modality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionEntry(Entry):
    """An extension: ``extension(config)`` reads a model's outputs and may add a loss term."""

    extension: str
    config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackEntry(Entry):
    """A training callback: ``callback(config)``."""

    callback: str
    config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentEntry(Entry):
    """Something that fills an open field of another config (a backbone, say), found under ``kind`` in its slot."""

    slot: str
    component: str
    config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetEntry(Entry):
    """A whole run, named: ``file="artifex.vae:presets/digits.yaml"`` is package data."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry(Entry):
    """A sub-command of ``artifex``: ``target`` is a function with typer annotations, or a ``typer.Typer``."""

    target: str
