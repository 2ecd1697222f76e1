"""The hooks a plugin may implement: one for each kind of entry, each returning an iterable of entries.

Hooks evolve by gaining optional arguments, entries by gaining fields with defaults; either raises the minor number of the API.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from artifex.core.plugins.entries import (
    CallbackEntry,
    CommandEntry,
    ComponentEntry,
    DatasetEntry,
    Entry,
    ExtensionEntry,
    LossEntry,
    MetricEntry,
    ModalityEntry,
    ModelEntry,
    PresetEntry,
    SuiteEntry,
)

hookspec = pluggy.HookspecMarker("artifex")
hookimpl = pluggy.HookimplMarker("artifex")
"""Decorator of a plugin's hooks."""

KINDS: dict[str, type[Entry]] = {
    "model": ModelEntry,
    "loss": LossEntry,
    "metric": MetricEntry,
    "modality": ModalityEntry,
    "dataset": DatasetEntry,
    "extension": ExtensionEntry,
    "callback": CallbackEntry,
    "component": ComponentEntry,
    "preset": PresetEntry,
    "suite": SuiteEntry,
    "command": CommandEntry,
}
"""Kind of entry, as users write it, and its class."""


def hook_name(kind: str) -> str:
    """Name of the hook that supplies entries of ``kind``: ``artifex_models`` for ``model``."""
    return "artifex_modalities" if kind == "modality" else "artifex_losses" if kind == "loss" else f"artifex_{kind}s"


@hookspec
def artifex_models() -> Iterable[ModelEntry]:
    """Models, each with its config."""
    raise NotImplementedError


@hookspec
def artifex_losses() -> Iterable[LossEntry]:
    """Losses."""
    raise NotImplementedError


@hookspec
def artifex_metrics() -> Iterable[MetricEntry]:
    """Metrics, saying what they need and which way is better."""
    raise NotImplementedError


@hookspec
def artifex_modalities() -> Iterable[ModalityEntry]:
    """Kinds of data."""
    raise NotImplementedError


@hookspec
def artifex_datasets() -> Iterable[DatasetEntry]:
    """Data sets."""
    raise NotImplementedError


@hookspec
def artifex_extensions() -> Iterable[ExtensionEntry]:
    """Extensions."""
    raise NotImplementedError


@hookspec
def artifex_callbacks() -> Iterable[CallbackEntry]:
    """Training callbacks."""
    raise NotImplementedError


@hookspec
def artifex_components() -> Iterable[ComponentEntry]:
    """Fillings of open config fields."""
    raise NotImplementedError


@hookspec
def artifex_presets() -> Iterable[PresetEntry]:
    """Whole runs, by name."""
    raise NotImplementedError


@hookspec
def artifex_suites() -> Iterable[SuiteEntry]:
    """Benchmark suites, by name."""
    raise NotImplementedError


@hookspec
def artifex_commands() -> Iterable[CommandEntry]:
    """Sub-commands of ``artifex``."""
    raise NotImplementedError
