"""Checks of what a model declares: protocols, capabilities, its registry entry, its config, its documentation."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import plugins, protocols as known
from artifex.core.config import Config
from artifex.core.objectives import Objective
from artifex.core.testing.conformance.subject import Subject, finite, taken
from artifex.core.value_ranges import check_values

CAPABILITIES: dict[str, type] = {
    "decode": known.Decodes,
    "embed_parts": known.EmbedsParts,
    "encode": known.Encodes,
    "energy": known.HasEnergy,
    "interpolate": known.Interpolates,
    "log_prob": known.HasLogProb,
    "reconstruct": known.Reconstructs,
    "score": known.HasScore,
}
PROTOCOLS = (
    known.GenerativeModelProtocol,
    known.TrainableGenerativeModelProtocol,
    known.AdversarialModelProtocol,
    known.DeclaresObjectives,
    known.DeclaresValues,
    known.ChoosesConditions,
    *CAPABILITIES.values(),
)
STEPS = 3


def protocols(subject: Subject) -> None:
    """The model is generative, and trainable, adversarial or with objectives of its own; methods take what engines give.

    The case's batch holds values that the model says it takes.
    """
    model = subject.model()
    declares = isinstance(model, known.DeclaresObjectives)
    trainable = isinstance(model, known.TrainableGenerativeModelProtocol)
    adversarial = isinstance(model, known.AdversarialModelProtocol)
    assert trainable or adversarial or declares, (
        f"{type(model).__name__} cannot be trained: it needs __call__, generate and loss_fn, or generator, discriminator, "
        "generate, generator_objective and discriminator_objective, or objectives"
    )
    if declares:
        _objectives(model)
    _accepts(subject.model_class.generate, 1, "n_samples", "rngs")
    if trainable:
        _accepts(type(model).__call__, 1, "rngs")
        _accepts(type(model).loss_fn, 2)
    if adversarial:
        _accepts(type(model).generator_objective, 1, "rngs")
        _accepts(type(model).discriminator_objective, 1, "rngs")
    if isinstance(model, known.DeclaresValues):
        batch = {key: np.asarray(values) for key, values in subject.case.batch.items()}
        check_values(batch, model.value_ranges(batch), type(model).__name__)


def _objectives(model: Any) -> None:
    """Declared objectives have names of their own, and losses that do not hold on to the model that declares them."""
    objectives = model.objectives()
    assert objectives, f"{type(model).__name__}.objectives gives none"
    for objective in objectives:
        assert isinstance(objective, Objective), f"{type(model).__name__}.objectives gives a {type(objective).__name__}"
        held = getattr(objective.loss, "__self__", None) is model
        assert not held, (
            f"objective {objective.name!r} descends a method of this very model; give the function, as a class has it"
        )
    names = [objective.name for objective in objectives]
    assert len(set(names)) == len(names), f"{type(model).__name__}.objectives have the names {names}; each needs one of its own"


def _accepts(method: Callable[..., Any], positional: int, *names: str) -> None:
    arguments = [None] * (positional + 1 - ("n_samples" in names))
    try:
        inspect.signature(method).bind(*arguments, **dict.fromkeys(names))
    except TypeError as error:
        raise AssertionError(f"{method.__qualname__} has to take {positional} by position and {names}: {error}") from error


def capabilities(subject: Subject) -> None:
    """Every declared capability is there and gives the right shape; none is there undeclared."""
    declared, model = set(subject.entry.capabilities), subject.model()
    unknown = declared - CAPABILITIES.keys()
    assert not unknown, f"the entry declares {sorted(unknown)}; the capabilities are {sorted(CAPABILITIES)}"
    present = {name for name, protocol in CAPABILITIES.items() if isinstance(model, protocol)}
    assert declared <= present, f"declared in the entry and missing from the model: {sorted(declared - present)}"
    assert present <= declared, f"methods of the model that the entry does not declare: {sorted(present - declared)}"
    x = subject.batch["x"]
    n, shape = len(x), subject.example_shape
    order = np.arange(n)[::-1] % len(subject.case.batch["x"])
    calls: dict[str, tuple[tuple[Any, ...], tuple[int, ...]]] = {
        "energy": ((x,), (n,)),
        "interpolate": ((x, subject.rows(order)["x"], STEPS), (n, STEPS, *shape)),
        "log_prob": ((x,), (n,)),
        "reconstruct": ((x,), x.shape),
        "score": ((x,), x.shape),
    }
    for name in sorted(declared & calls.keys()):
        arguments, wanted = calls[name]
        method = getattr(model, name)
        value = method(*arguments, **taken(method, subject.batch))
        assert jnp.shape(value) == wanted, f"{name} of x with shape {x.shape} has shape {jnp.shape(value)} instead of {wanted}"
        assert finite(value), f"{name} gives values that are not finite"
    if "embed_parts" in declared:
        embedded = model.embed_parts(x, **taken(model.embed_parts, subject.batch))
        assert embedded.ndim == 3, f"embed_parts gives the shape {embedded.shape}; (batch, parts, width) is wanted"
        assert embedded.shape[0] == n, f"embed_parts of {n} examples has shape {embedded.shape}"
        assert finite(embedded), "embed_parts gives values that are not finite"
    if "encode" in declared:
        assert jax.tree.leaves(model.encode(x, **taken(model.encode, subject.batch))), "encode gives no array"


def registered(subject: Subject) -> None:
    """The registry entry is complete, and its targets are the model and the config."""
    entry = subject.entry
    empty = [field for field in ("summary", "family") if not getattr(entry, field).strip()]
    assert not empty, f"the entry of {entry.name!r} leaves out {' and '.join(empty)}"
    assert re.fullmatch(r"[a-z0-9_]+(-[a-z0-9_]+)*", entry.name), f"{entry.name!r}: write a name in small letters"
    assert plugins.resolve(entry.config) is type(subject.case.config)
    assert issubclass(subject.model_class, nnx.Module), f"{entry.model} is no flax.nnx.Module"
    assert isinstance(subject.model(), subject.model_class)
    assert getattr(subject.model(), "config", None) == subject.case.config, "the model does not keep its config as model.config"


def documented(subject: Subject) -> None:
    """Model, config and every method that no protocol describes have docstrings; they cite the entry's paper, with its year."""
    cls, made_from, paper = subject.model_class, type(subject.case.config), subject.entry.paper
    own = _docstring(cls)
    assert own, f"{cls.__name__} has no docstring of its own"
    assert _docstring(made_from), f"{made_from.__name__} has no docstring of its own"
    silent = sorted(name for name in _methods(cls) if not (inspect.getdoc(getattr(cls, name)) or "").strip())
    assert not silent, f"methods of {cls.__name__} without a docstring: {', '.join(silent)}"
    assert re.search(r"\b(1[6-9]|20)\d\d\b", paper), (
        f"the entry of {subject.entry.name!r} names no paper with a year: {paper!r}"
    )
    author = re.split(r"[\s,;&]+", paper.strip())[0]
    text = f"{own}\n{sys.modules[cls.__module__].__doc__ or ''}"
    assert author in text, f"neither {cls.__name__}'s docstring nor its module's cites {paper!r}"


def _docstring(cls: type) -> str:
    """The class's own docstring; the signature that a dataclass gets in the place of one is none."""
    text = (cls.__dict__.get("__doc__") or "").strip()
    return "" if text.startswith(f"{cls.__name__}(") else text


def _methods(cls: type) -> set[str]:
    """Public methods of a model, but for those that Flax or a protocol of ours describes."""
    models = [base for base in cls.__mro__ if issubclass(base, nnx.Module) and base is not nnx.Module]
    described = {name for protocol in PROTOCOLS for name in vars(protocol)}
    return {
        name
        for base in models
        for name, value in vars(base).items()
        if inspect.isfunction(value) and not name.startswith("_") and name not in described
    }


def config_round_trip(subject: Subject) -> None:
    """A config comes back equal, and with an equal hash, from a dict, from JSON and from YAML."""
    config = subject.case.config
    cls, plain = type(config), config.to_dict()
    ways: dict[str, Callable[[], Config]] = {
        "a dict": lambda: cls.from_dict(plain),
        "JSON": lambda: cls.from_dict(json.loads(json.dumps(plain))),
        "YAML": lambda: cls.from_yaml(config.to_yaml()),
    }
    for way, back in ways.items():
        made = back()
        assert made == config, f"back from {way} it is another config: {made} instead of {config}"
        assert hash(made) == hash(config), f"back from {way} the equal config has another hash"


def config_schema(subject: Subject) -> None:
    """The config's JSON Schema is JSON, and describes every field."""
    cls = type(subject.case.config)
    schema = json.loads(json.dumps(cls.json_schema()))
    properties = schema.get("properties") or schema["$defs"][cls.__name__]["properties"]
    names = {field.name for field in dataclasses.fields(cls)}
    silent = sorted(name for name in names if "description" not in properties.get(name, {}))
    assert not silent, (
        f"fields of {cls.__name__} that its JSON Schema does not describe: {silent}; write a docstring below each"
    )
