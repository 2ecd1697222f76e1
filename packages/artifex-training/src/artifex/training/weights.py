"""Weights to start from: of a run, a model's folder or a safetensors file, under other names where need be."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from artifex.core.config import Config, config
from artifex.core.errors import RunError
from artifex.core.lora import is_lora_factor, merged_weights
from artifex.core.patterns import covered, covers, renamed
from artifex.core.storage import WEIGHTS_FILE, flat_weights, read_weights, set_weights
from artifex.training.checkpoints import CHECKPOINTS, Checkpoints, latest_step

__all__ = ["InitFrom", "InitFromField", "checkpoint_weights", "evaluation_weights", "load_weights", "saved_weights"]

MODEL = "model"
"""Sub-folder of a run with its trained model."""


@config
class InitFrom(Config):
    """Weights that a model starts from, and which of them become which of its own.

    All of the model's variables have to be among the weights and the other way round, in the same shapes, but for what
    ``skip`` names.
    """

    folder: Path
    """A run folder (its trained model, or the newest checkpoint where it has none yet; averaged parameters where it averages),
    a model's folder, or a safetensors file."""
    rename: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)
    """Names in the folder and what they are called in this model: ``{encoder: backbone, "layers.*": "blocks.*"}``. What is
    below a name moves with it, stars of both are the same; the first that covers a name holds."""
    skip: tuple[str, ...] = ()
    """Names, after renaming, that are left alone: the model keeps what it has, and the folder may have what it likes."""


InitFromField = Annotated[
    InitFrom | None, BeforeValidator(lambda given: {"folder": given} if isinstance(given, str | Path) else given)
]
"""Type of a config's field: a folder alone, or all of :class:`InitFrom`."""


def load_weights(model: Any, init: InitFrom) -> None:
    """Put the weights that ``init`` names into ``model``, in place. LoRA factors of the model stay as they are.

    Raises:
        RunError: there are no weights, or they do not fit; the message tells how to map or skip what differs.
        InvalidInputError: a pattern names nothing.
    """
    own = {name: value for name, value in flat_weights(model).items() if not is_lora_factor(name)}
    found = _under_new_names(saved_weights(init.folder), init)
    covered(init.skip, [*own, *found], what="training.init_from.skip")
    wanted = {name for name in own if not _skipped(name, init)}
    given = {name: value for name, value in found.items() if not _skipped(name, init)}
    if wanted != given.keys() or _other_shapes(given, own):
        raise RunError(_difference(type(model).__name__, init, given, {name: own[name] for name in wanted}))
    set_weights(model, {**flat_weights(model), **given})


def saved_weights(folder: Path) -> dict[str, Any]:
    """The weights in a run folder, a model's folder or a safetensors file, as a plain model has them.

    Raises:
        RunError: there are none, or they cannot be read.
    """
    folder = folder.expanduser()
    for place in (folder, folder / MODEL):
        if place.is_file() or (place / WEIGHTS_FILE).is_file():
            return read_weights(place)
    if latest_step(folder / CHECKPOINTS) is None:
        raise RunError(
            f"{folder} holds no weights; give a run folder with a model or a checkpoint in it, a model's folder "
            f"({WEIGHTS_FILE}), or a safetensors file"
        )
    return checkpoint_weights(folder)


def checkpoint_weights(folder: Path) -> dict[str, Any]:
    """The weights to evaluate in the newest whole checkpoint of a run, as a plain model has them.

    Raises:
        RunError: there is none.
    """
    from artifex.training.run_config import read_run_config

    checkpoints = Checkpoints(folder / CHECKPOINTS)
    weights = evaluation_weights(checkpoints.arrays("params", "model_state", "ema")[1]) | checkpoints.frozen_arrays()
    if not any(map(is_lora_factor, weights)):
        return weights
    lora = read_run_config(str(folder)).training.lora
    assert lora is not None
    return merged_weights(weights, lora.scale)


def evaluation_weights(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Of a training state's arrays by dotted name, the model's weights to evaluate: averaged parameters where there are any."""
    by_part: dict[str, dict[str, Any]] = {"params": {}, "model_state": {}, "ema": {}}
    for name, array in arrays.items():
        part, _, key = name.partition(".")
        by_part[part][key] = array
    return by_part["params"] | by_part["ema"] | by_part["model_state"]


def _under_new_names(weights: Mapping[str, Any], init: InitFrom) -> dict[str, Any]:
    covered(init.rename, weights, what="training.init_from.rename")
    found: dict[str, Any] = {}
    for name, value in weights.items():
        new, _ = renamed(name, init.rename)
        if new in found:
            raise RunError(f"training.init_from.rename gives two weights of {init.folder} the name {new}, {name} for one")
        found[new] = value
    return found


def _skipped(name: str, init: InitFrom) -> bool:
    return any(covers(pattern, name) for pattern in init.skip)


def _other_shapes(given: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    return [name for name in given if name in own and np.shape(given[name]) != np.shape(own[name])]


def _difference(kind: str, init: InitFrom, given: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """What does not fit, and the setting with which it would."""
    missing = sorted(name for name in own if name not in given)
    unused = sorted(name for name in given if name not in own)
    other = _other_shapes(given, own)
    told = [
        _few("it lacks", missing),
        _few("of no use is", unused),
        _few("of another shape is", [f"{n} {np.shape(given[n])}, not {np.shape(own[n])}" for n in other]),
    ]
    changes = _likely_changes(missing, unused, given, own)
    left = {*other, *missing, *unused} - changes.keys() - set(changes.values())
    rename = init.rename | _modules(changes)
    skip = [*init.skip, *_outermost(left, {*given, *own})]
    setting = [f"folder: {init.folder}"]
    setting += [f"rename: {{{', '.join(f'{old}: {new}' for old, new in rename.items())}}}"] if rename else []
    setting += [f"skip: [{', '.join(skip)}]"] if skip else []
    return (
        f"training.init_from: the weights in {init.folder} do not fit {kind}: {'; '.join(filter(None, told))}\n"
        f"  Say what becomes what, and what is left alone. This would load the rest, if it is what you mean:\n"
        f"  init_from: {{{', '.join(setting)}}}"
    )


def _few(what: str, names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what} {', '.join(names[:3])}{more}" if names else ""


def _likely_changes(
    missing: Iterable[str], unused: Iterable[str], given: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, str]:
    """Old names and the new ones that they may have got: of one shape, with the same last names."""
    left, changes = list(unused), {}
    for name in missing:
        alike = [u for u in left if np.shape(given[u]) == np.shape(own[name]) and _common_end(u, name)]
        if alike:
            best = max(alike, key=lambda u: _common_end(u, name))
            left.remove(best)
            changes[best] = name
    return changes


def _common_end(one: str, other: str) -> int:
    """How many last names two dotted names share."""
    count = 0
    for a, b in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if a != b:
            break
        count += 1
    return count


def _modules(changes: Mapping[str, str]) -> dict[str, str]:
    """The same changes, said of modules where their whole contents move."""
    found: dict[str, str] = {}
    for old, new in changes.items():
        n = min(_common_end(old, new), old.count("."), new.count("."))
        short = (old.rsplit(".", n)[0], new.rsplit(".", n)[0]) if n else (old, new)
        inside = [(o, other) for o, other in changes.items() if covers(short[0], o)]
        if all(renamed(o, {short[0]: short[1]})[0] == other for o, other in inside):
            found[short[0]] = short[1]
        else:
            found[old] = new
    return found


def _outermost(bad: Collection[str], names: Collection[str]) -> list[str]:
    """The outermost modules with nothing but ``bad`` names in them that cover all of those."""
    found: dict[str, None] = {}
    for name in sorted(bad):
        parts = name.split(".")
        prefixes = [".".join(parts[: i + 1]) for i in range(len(parts))]
        found[next(p for p in prefixes if all(n in bad for n in names if covers(p, n)))] = None
    return list(found)
