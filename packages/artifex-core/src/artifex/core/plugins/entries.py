"""What a plugin offers: frozen entries of plain strings, so that listing them imports nothing.

A target is written ``"package.module:Name"`` and imported on first use by :func:`resolve`.
"""

from __future__ import annotations

import importlib
import math
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
    "SuiteEntry",
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


_TYPES: dict[str, Any] = {"bool": bool, "int": int, "float": (int, float)}


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
            elif isinstance(value, bool) != (declared == "bool") or not isinstance(value, _TYPES.get(declared, str)):
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


Need = Literal[
    "samples",
    "references",
    "training",
    "holdout",
    "labels",
    "mask",
    "condition",
    "log_prob",
    "data_log_prob",
    "embeddings",
    "log_weights",
    "model",
    "modality",
    "rngs",
]
Space = Literal["model", "restored", "host"]
Comparison = Literal["", "pairs", "sets", "samples", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEntry(Entry):
    """A metric, with what it has to be given and which way is better.

    Its target is a pure function of what ``needs`` lists, as arguments of these names, that gives one number, or one for each
    example; or an object that follows :class:`artifex.core.metrics.StreamedMetric` or
    :class:`~artifex.core.metrics.MergedMetric`, which is never given more than a batch at once.
    """

    metric: str
    """Target of the function or object. Arguments that ``needs`` does not list have a default."""
    needs: tuple[Need, ...]
    """What it has to be given. ``references`` are data that the model was not trained on, ``holdout`` a second set of such
    data, ``training`` those that it was trained on, ``labels`` and ``condition`` what is known of each reference, ``mask``
    where references of unequal length stand, ``log_prob`` nats of each reference under the model, ``data_log_prob`` under the
    law that it was drawn from, ``embeddings`` what the model's ``embed_parts`` makes of each reference, ``(N, M, W)``. ``rngs``
    are streams of each example's own: a metric that asks for them, and is no function of the whole set, is traced with one
    example at a time. ``modality`` is the object that prepared the data, whose config says what arrays alone do not: a sample
    rate."""
    higher_is_better: bool
    """Which way is better."""
    takes: tuple[Need, ...] = ()
    """What it is given too, where there is any; the arguments have a default."""
    modality: str = ""
    """The kind of data it measures; empty where any will do."""
    representations: tuple[str, ...] = ()
    """Values of ``representation`` in the modality's config that it can be computed from; empty where any will do."""
    family: str = ""
    """The family whose models it measures; empty where any will do."""
    models: tuple[str, ...] = ()
    """Names of the models that it measures, where not all of the family will do."""
    capabilities: tuple[str, ...] = ()
    """Capability protocols that a model has to follow to be measured (``log_prob``, ``encode`` ...)."""
    space: Space = "model"
    """The form in which samples and references are wanted: the model's own, restored by the modality, or its host objects."""
    compares: Comparison = ""
    """Samples with their own references (``pairs``), two ``sets``, ``samples`` alone, or what the ``model`` says of data. Left
    out, it follows from ``needs``, except between pairs and sets: such a metric is only computed where it is asked for."""
    features: str = ""
    """Extractor of features that the metric is given in the place of samples and references: a name of the slot
    ``feature_extractor``. Metrics that name the same one share its work."""
    min_examples: int = 1
    """The fewest examples of which it means anything."""
    min_extent: int = 0
    """The least length that an example's axes, the last one aside, have to have: height and width of images."""
    max_examples: int = 0
    """The most examples that it is given, the first ones, because it is expensive; 0 for all."""
    of_a_half: str = ""
    """Target of the function that the interval of a whole set's figure is made of, in the metric's place, where that is too
    expensive to be computed of every random half: the same figure with more noise, so that the interval is wider at worst. One
    network, say, where the metric is the mean over several."""
    unit: str = ""
    """Of its figure: ``nats``, ``dB``; empty where it has none."""
    tolerance: float = 0.0
    """The smallest change of the figure that matters to anybody."""
    lowest: float = -math.inf
    """The least value that the figure can have, where no interval goes below: 0 of a share or a distance that is never less."""
    highest: float = math.inf
    """The greatest value that the figure can have: 1 of a share."""
    paper: str = ""
    """Authors and year, and where to find it."""

    def __post_init__(self) -> None:
        Entry.__post_init__(self)
        _check_choice(self, "needs", self.needs, Need)
        _check_choice(self, "takes", self.takes, Need)
        _check_choice(self, "space", (self.space,), Space)
        _check_choice(self, "compares", (self.compares,), Comparison)
        if self.min_examples < 1 or not self.tolerance >= 0:
            raise ValueError(
                f"metric {self.name!r} has min_examples {self.min_examples} and tolerance {self.tolerance}; "
                "at least 1 and 0 are needed"
            )
        if not self.lowest < self.highest:
            raise ValueError(f"metric {self.name!r} has figures from {self.lowest} to {self.highest}, which is no range")
        if self.max_examples and self.max_examples < self.min_examples:
            raise ValueError(f"metric {self.name!r} needs {self.min_examples} examples and takes {self.max_examples} at most")
        if not self.compares and not {"samples", "references"} <= set(self.needs):
            object.__setattr__(self, "compares", "samples" if "samples" in self.needs else "model")


def _check_choice(entry: Entry, field: str, values: tuple[str, ...], choices: Any) -> None:
    if unknown := set(values) - set(get_args(choices)):
        allowed = ", ".join(choice or "nothing" for choice in get_args(choices))
        raise ValueError(f"metric {entry.name!r}: {field} takes {allowed}; got {', '.join(sorted(unknown))}")


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
class SuiteEntry(Entry):
    """A benchmark suite, named: ``file="artifex.evaluation.suites:digits.yaml"`` is package data."""

    file: str
    """Package and file of the suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry(Entry):
    """A sub-command of ``artifex``: ``target`` is a function with typer annotations, or a ``typer.Typer``."""

    target: str
    """Target of the function or application."""
