"""What metrics are given: references prepared, samples drawn, features extracted, each once, a block at a time.

Whatever draws random numbers draws them by example or by block of :data:`BLOCK`, never by batch: no figure depends on how many
examples are worked on at a time. What was computed is kept in columns, which may be on disk.
"""

from __future__ import annotations

import inspect
import math
import statistics
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, wraps
from typing import Any, TypeVar

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from artifex.core import plugins
from artifex.core.errors import ArtifexError
from artifex.core.measuring.choice import Facts
from artifex.core.measuring.columns import Column, Columns, MemoryColumns
from artifex.core.measuring.config import EXTRACTOR
from artifex.core.measuring.prepared import BLOCK, Prepared
from artifex.core.measuring.programs import Programs, filled
from artifex.core.metrics import FitsModality
from artifex.core.plugins.entries import MetricEntry, resolve
from artifex.core.protocols import (
    AdversarialModelProtocol,
    ChoosesConditions,
    DeclaresObjectives,
    EmbedsParts,
    HasHostForm,
    HasLogProb,
    KnowsDensity,
    Reconstructs,
    Restores,
    TrainableGenerativeModelProtocol,
)

__all__ = ["BLOCK", "Material", "evaluation_key"]

LEAST_SAMPLES, MOST_SAMPLES = 100, 2048
"""Samples that are drawn, as many as there are references within these, unless another number is asked for."""
VECTOR = 128
"""Numbers of an example up to which data without a modality are plain vectors."""
KNOWN = {"labels": "label", "mask": "mask", "condition": "condition"}
"""What metrics call an array that stands beside ``x``."""
SAMPLES, REFERENCES, HOLDOUT, RECONSTRUCTIONS = "samples", "references", "holdout", "reconstructions"
TRAINING = "training"


def evaluation_key(seed: int) -> jax.Array:
    """The key of all draws of an evaluation with a seed: in training and after it they are the same."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(b"measure"))


F = TypeVar("F", bound=Callable[..., Any])


def _one_thread(method: F) -> F:
    """Let one thread at a time in: what is made for one metric, the others find."""

    @wraps(method)
    def locked(self: Material, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            return method(self, *arguments, **named)

    return locked  # type: ignore[return-value]


class Material:
    """A model and data, as metrics see them. Several threads may ask for batches, and are answered one at a time.

    Args:
        model: what is measured; None where samples are given instead.
        data: references in stored form: a dict of arrays, ``x`` among them, one array, or a sequence of examples.
        modality: prepares them, and leads samples back.
        key: of all draws.
        holdout: a second set of references.
        training: what the model was trained on, all of which is taken.
        samples: given instead of drawn, in model space.
        density: the law that the references were drawn from, where it is known.
        n_samples: how many are drawn; by default as many as there are references, 100 at least and 2048 at most. Metrics that
            compare sets are then given as many of both, for many of them are of sets of one size.
        n_references: how many are taken, the first ones; by default all.
        batch_size: examples worked on at a time. It changes no figure.
        modality_name: what the examples are, where no modality prepares them.
        mesh: devices that share a batch.
        columns: where what was computed is kept; by default in memory.
        identities: of ``model`` and ``data``, for keys of columns that outlive the process.
        extractors: fields of extractors' configs, by name; what is left out keeps its default.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        *,
        key: jax.Array,
        modality: Any = None,
        holdout: Any = None,
        training: Any = None,
        samples: np.ndarray | None = None,
        density: Any = None,
        n_samples: int | None = None,
        n_references: int | None = None,
        batch_size: int = BLOCK,
        modality_name: str | None = None,
        mesh: Mesh | None = None,
        columns: Columns | None = None,
        identities: Mapping[str, str] | None = None,
        extractors: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.model, self.modality, self.batch_size = model, modality, batch_size
        self.columns: Columns = MemoryColumns() if columns is None else columns
        self.key, self._identities = key, dict(identities or {})
        keys = {name: jax.random.fold_in(key, i) for i, name in enumerate(("prepare", "draw", "examples", "whole"))}
        self._keys = keys
        self.programs = Programs(model, keys["examples"], mesh)
        self._density, self._given, self._named = density, samples, modality_name
        self._sets = {REFERENCES: Prepared(data, modality, keys["prepare"], n_references)}
        if holdout is not None:
            self._sets[HOLDOUT] = Prepared(holdout, modality, keys["prepare"], n_references)
        if training is not None:
            self._sets[TRAINING] = Prepared(training, modality, keys["prepare"], None)
        self.n_references = len(self._sets[REFERENCES])
        drawn = max(LEAST_SAMPLES, min(self.n_references, MOST_SAMPLES)) if n_samples is None else n_samples
        self._as_many = n_samples is None and samples is None
        self.n_samples = drawn if samples is None else len(samples)
        self._lock = threading.RLock()
        self._extractors: dict[str, Any] = {}
        self._extractor_fields = dict(extractors or {})
        self._drawing: list[float] = []

    @cached_property
    def facts(self) -> Facts:
        """What metrics apply by."""
        entry = _entry("model", self.model)
        capabilities = set() if entry is None else set(entry.capabilities)
        protocols = {"log_prob": HasLogProb, "reconstruct": Reconstructs, "embed_parts": EmbedsParts}
        capabilities |= {name for name, protocol in protocols.items() if entry is None and isinstance(self.model, protocol)}
        others = DeclaresObjectives | AdversarialModelProtocol
        if isinstance(self.model, TrainableGenerativeModelProtocol) and not isinstance(self.model, others):
            capabilities.add("loss_fn")
        return Facts(
            modality=self._modality_name(),
            representation=str(getattr(getattr(self.modality, "config", None), "representation", "")),
            family="" if entry is None else entry.family,
            model="" if entry is None else entry.name,
            capabilities=frozenset(capabilities),
            available=frozenset(self._available(capabilities)),
            spaces=frozenset(self._spaces()),
            paired=self.paired,
            extent=min(self._restored_shape[:-1], default=0),
            examples=min(self.n_references, self.n_samples),
        )

    @property
    def paired(self) -> bool:
        """Whether samples have references of their own: the model reconstructs, or makes one example of another."""
        return isinstance(self.model, Reconstructs) or self._translates

    @property
    def _translates(self) -> bool:
        stored = self._sets[REFERENCES].example
        return self._takes("generate", "condition") and np.ndim(stored.get("condition", 0)) == np.ndim(stored["x"]) > 1

    @cached_property
    def _condition(self) -> str:
        """The array that conditions the model: a class-conditional one takes ``label`` for it; empty where there is none."""
        stored = self._sets[REFERENCES].example
        if "condition" in stored or "label" not in stored or not isinstance(self.model, ChoosesConditions):
            return "condition" if "condition" in stored else ""
        chosen = self.model.conditions_for(1)
        return "label" if chosen is not None and np.issubdtype(np.asarray(chosen).dtype, np.integer) else ""

    def _available(self, capabilities: set[str]) -> set[str]:
        stored = self._sets[REFERENCES].example
        there = {REFERENCES, "rngs"} | {name for name, key in KNOWN.items() if key in stored}
        there |= {"condition"} if self._condition else set()
        conditions = {
            "model": self.model is not None,
            "modality": self.modality is not None,
            "log_prob": "log_prob" in capabilities,
            "embeddings": "embed_parts" in capabilities,
            "data_log_prob": isinstance(self._density, KnowsDensity),
            HOLDOUT: HOLDOUT in self._sets,
            TRAINING: TRAINING in self._sets,
            SAMPLES: self._given is not None or callable(getattr(self.model, "generate", None)),
        }
        return there | {name for name, holds in conditions.items() if holds}

    def _modality_name(self) -> str:
        if self._named is not None:
            return self._named
        if self.modality is None:
            x = self._sets[REFERENCES].example["x"]
            is_vector = np.ndim(x) == 1 and np.size(x) <= VECTOR and np.issubdtype(np.asarray(x).dtype, np.floating)
            return "vector" if is_vector else ""
        entry = _entry("modality", self.modality)
        return type(self.modality).__name__ if entry is None else entry.name

    @property
    def _restored_shape(self) -> tuple[int, ...]:
        x = self._sets[REFERENCES].example["x"]
        modality = self.modality
        if not isinstance(modality, Restores):
            return np.shape(x)
        prepared = jax.ShapeDtypeStruct(self.model_space(REFERENCES, 0, 1).shape, np.float32)
        return jax.eval_shape(modality.restore, prepared).shape[1:]

    def _spaces(self) -> set[str]:
        restored = self.modality is None or isinstance(self.modality, Restores)
        host = isinstance(self.modality, HasHostForm)
        return {"model"} | ({"restored"} if restored else set()) | ({"host"} if host else set())

    def _takes(self, method: str, argument: str) -> bool:
        function = getattr(self.model, method, None)
        return callable(function) and argument in inspect.signature(function).parameters

    def count(self, entry: MetricEntry) -> int:
        """Examples that a streamed metric is given."""
        n = {"samples": self.n_samples, "sets": min(self.n_samples, self.n_references)}.get(entry.compares, self.n_references)
        return min(n, entry.max_examples or n)

    def size_of(self, name: str, entry: MetricEntry) -> int:
        """Rows of what a metric calls ``name``."""
        others = {other: len(self._sets.get(other, ())) for other in (HOLDOUT, TRAINING)}
        n = {SAMPLES: self.samples_of(entry), **others}.get(name, self.n_references)
        return min(n, entry.max_examples or n)

    def samples_of(self, entry: MetricEntry) -> int:
        """Samples that a metric is given: if nobody says how many, no more than there are in a set they are held against."""
        if not self._as_many or entry.compares != "sets":
            return self.n_samples
        others = [len(self._sets[need]) for need in entry.needs if need in self._sets]
        return min(self.n_samples, self.n_references if REFERENCES in entry.needs else min(others, default=self.n_samples))

    @_one_thread
    def batch(self, entry: MetricEntry, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        """What a metric calls ``names``, for some rows, in the space that its entry names."""
        made: dict[str, Any] = {}
        for name in names:
            source = RECONSTRUCTIONS if name == SAMPLES and entry.compares == "pairs" else name
            if source in (SAMPLES, REFERENCES, HOLDOUT, TRAINING, RECONSTRUCTIONS):
                made[name] = self.examples(source, entry, start, stop)
            elif source in KNOWN:
                key = self._condition if source == "condition" else KNOWN[source]
                made[name] = self._sets[REFERENCES].rows(start, stop)[key]
            elif source in ("log_prob", "data_log_prob"):
                made[name] = self._log_prob(source, start, stop)
            elif source == "embeddings":
                made[name] = self._embeddings(start, stop)
        return made

    def examples(self, source: str, entry: MetricEntry, start: int, stop: int) -> Any:
        """Samples, references … in the entry's space, or their features."""
        if not entry.features:
            return self.in_space(source, entry.space, start, stop)
        extractor = self.extractor(entry.features)
        column = self._column("features", source, extractor.signature, entry.space)

        def extracted(first: int, last: int) -> np.ndarray:
            return np.asarray(extractor(self.in_space(source, entry.space, first, last)))

        return self._read(column, start, stop, extracted)

    @_one_thread
    def extractor(self, name: str) -> Any:
        """The extractor of features called ``name``."""
        if name not in self._extractors:
            registry = plugins.registry()
            entry = registry.entry_for_slot(EXTRACTOR, name)
            config = resolve(entry.config)
            fields = self._extractor_fields.get(name)
            extractor = resolve(entry.component)(config.from_dict(fields) if fields else config())
            fits = isinstance(extractor, FitsModality) and self.modality is not None
            self._extractors[name] = extractor.for_modality(self.modality) if fits else extractor
        return self._extractors[name]

    def extractor_obstacle(self, entry: MetricEntry) -> str:
        """Why the extractor that a metric needs cannot be had; empty where it can."""
        if not entry.features:
            return ""
        try:
            self.extractor(entry.features)
        except (ArtifexError, ImportError) as error:
            return f"its features {entry.features!r} cannot be had: {error}"
        return ""

    @_one_thread
    def in_space(self, source: str, space: str, start: int, stop: int) -> Any:
        """``samples``, ``references`` … as the model has them, restored, or as objects of the host."""
        x = self.model_space(source, start, stop)
        if space == "restored" and self.modality is not None:
            size = max(self.batch_size, len(x))
            return np.asarray(self._restored(filled(x, size)))[: len(x)]
        if space == "host" and isinstance(self.modality, HasHostForm):
            mask = self._sets[source].rows(start, stop).get("mask") if source in self._sets else None
            return self.modality.to_host(x) if mask is None else self.modality.to_host(x, mask)
        return x

    @cached_property
    def _restored(self) -> Any:
        return jax.jit(self.modality.restore)

    @_one_thread
    def model_space(self, source: str, start: int, stop: int) -> np.ndarray:
        """``samples``, ``references``, ``holdout``, ``training`` or ``reconstructions`` as the model has them."""
        if source in self._sets:
            return self._sets[source].rows(start, stop)["x"]
        if source == RECONSTRUCTIONS:
            return self._reconstructions(start, stop)
        if self._given is not None:
            return np.asarray(self._given[start:stop])
        return self._drawn(start, stop)

    def _drawn(self, start: int, stop: int) -> np.ndarray:
        """Samples, drawn a block at a time: block ``i`` from ``fold_in(key, i)``."""
        size = min(self.n_samples, BLOCK)
        column = self._column("samples", str(self.n_samples), "conditioned" if self._conditions is not None else "")
        while len(column) < stop:
            block = len(column) // size
            given = {}
            if self._conditions is not None:
                rows = np.arange(block * size, (block + 1) * size) % len(self._conditions)
                given = {"condition": self._conditions[rows]}
            streams = nnx.Rngs(jax.random.fold_in(self._keys["draw"], block))
            started = time.perf_counter()
            part = _plain(self.model.generate(size, rngs=streams, **given))
            self._drawing.append((time.perf_counter() - started) / size)
            column.append(part[len(column) - block * size : self.n_samples - block * size])
        return column.read(start, stop)

    @property
    def seconds_per_sample(self) -> float:
        """Median over the blocks drawn by this process, the first left out, which is compiled; NaN below two blocks."""
        return statistics.median(self._drawing[1:]) if len(self._drawing) > 1 else math.nan

    @cached_property
    def _conditions(self) -> np.ndarray | None:
        """Of the samples: those of the references, so that both are of the same law, or what the model chooses by itself."""
        if not self._takes("generate", "condition"):
            return None
        if self._condition:
            return self._sets[REFERENCES].rows(0, min(self.n_samples, self.n_references))[self._condition]
        if isinstance(self.model, ChoosesConditions):
            blocks = -(-self.n_samples // BLOCK)
            return self.model.conditions_for(blocks * BLOCK)
        return None

    def _reconstructions(self, start: int, stop: int) -> np.ndarray:
        method = "reconstruct" if isinstance(self.model, Reconstructs) else "generate"

        def of(model: Any, batch: dict[str, Any]) -> Any:
            x = batch.pop("x")
            return model.reconstruct(x, **batch) if method == "reconstruct" else model.generate(len(x), **batch)

        def computed(first: int, last: int) -> np.ndarray:
            return self._by_model(method, of, first, last)

        return self._read(self._column(RECONSTRUCTIONS), start, stop, computed)

    def _log_prob(self, which: str, start: int, stop: int) -> np.ndarray:
        def of_model(model: Any, batch: dict[str, Any]) -> Any:
            return model.log_prob(batch.pop("x"), **batch)

        def computed(first: int, last: int) -> np.ndarray:
            if which == "log_prob":
                return self._by_model("log_prob", of_model, first, last)
            x = filled(self._sets[REFERENCES].stored(first, last)["x"], self.batch_size)
            return np.asarray(self._density.log_prob(x))[: last - first]

        return self._read(self._column(which), start, stop, computed)

    def _embeddings(self, start: int, stop: int) -> np.ndarray:
        def of(model: Any, batch: dict[str, Any]) -> Any:
            return model.embed_parts(batch.pop("x"), **batch)

        def computed(first: int, last: int) -> np.ndarray:
            return self._by_model("embed_parts", of, first, last)

        return self._read(self._column("embeddings"), start, stop, computed)

    def _by_model(self, method: str, function: Any, first: int, last: int) -> np.ndarray:
        """A method of the model on references, with what of a batch it takes beside ``x``."""
        rows = self._sets[REFERENCES].rows(first, last)
        batch = {key: value for key, value in rows.items() if key == "x" or self._takes(method, key)}
        if self._condition == "label" and "label" not in batch and self._takes(method, "condition"):
            batch["condition"] = rows["label"]
        draws = self._takes(method, "rngs")
        return self.programs.rows(("method", method), function, batch, first=first, size=self.batch_size, rngs=draws)

    def rngs(self) -> nnx.Rngs:
        """Streams for a metric of the whole set; the same at each call."""
        return nnx.Rngs(self._keys["whole"])

    @_one_thread
    def column(self, *what: str) -> Column:
        """The column of what a metric makes of model and data."""
        return self._column(*what)

    def _column(self, *what: str) -> Column:
        of_data_alone = what[:2] == ("features", REFERENCES) or what[0] == "data_log_prob"
        names = ("data",) if of_data_alone else ("model", "data")
        return self.columns.column("|".join([*what, *(self._identities.get(name, "") for name in names)]))

    def _read(self, column: Column, start: int, stop: int, computed: Any) -> np.ndarray:
        while len(column) < stop:
            first = len(column)
            column.append(_plain(computed(first, min(stop, first + self.batch_size))))
        return column.read(start, stop)


def _plain(rows: Any) -> np.ndarray:
    """Rows on the host, in a type that files know."""
    array = np.asarray(rows)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _entry(kind: str, made: Any) -> Any:
    """The entry of what was made of a registered config; None for anything else."""
    config = getattr(made, "config", None)
    if config is None:
        return None
    try:
        return plugins.registry().entry_of_config(kind, type(config))
    except ArtifexError:
        return None
