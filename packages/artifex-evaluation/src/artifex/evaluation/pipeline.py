"""The pipeline: a model, data and their modality in, every metric that applies out, each with its interval and signature."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from pydantic import ValidationError

from artifex.core import plugins
from artifex.core.config import Config, explain
from artifex.core.errors import ArtifexError, InvalidInputError, UnknownNameError
from artifex.core.measuring.choice import obstacle
from artifex.core.measuring.columns import Columns, MemoryColumns
from artifex.core.measuring.config import EvaluationConfig
from artifex.core.measuring.material import Material, evaluation_key
from artifex.core.measuring.measurement import Measurement, measure
from artifex.core.plugins.entries import MetricEntry, resolve
from artifex.evaluation.intervals import NONE, interval_of, leave_one_out
from artifex.evaluation.metrics_registry import MetricsRegistry
from artifex.evaluation.results import EvaluationResult, MetricResult, Signature
from artifex.evaluation.streaming import DiskColumns, data_digest, model_digest

__all__ = ["EvaluationPipeline", "Progress", "with_extractors"]

Progress = Callable[[str, float], None]
"""Told a metric's name and which part of the whole evaluation is done."""


class EvaluationPipeline:
    """Computes the registered metrics that apply to a model and data.

    Args:
        config: which metrics, over how much; by default those that apply, over everything.
        seed: of samples, of noise, of resampling.
        folder: where samples, features and statistics are kept, so that an evaluation that was killed goes on from there; None
            for memory.
        mesh: devices that share each batch; None for one.
        level: of confidence.
        replicates: of the bootstrap.
        intervals: whether figures get intervals and per-example values. Without, a metric that is a sum over examples is added
            up on the devices, and no row is copied to the host nor kept in ``folder``.
        workers: threads for metrics of host objects, such as molecules or text, which run side by side once those of the
            devices are done in their order. It changes no figure; what a metric took then includes waiting for the others.
        extractors: fields of extractors of features, by name (``{"inception": {"weights": FILE}}``), beside and before the
            config's.
        registry: of metrics.
        progress: told how far it is.

    Example:
        >>> import jax
        >>> from flax import nnx
        >>> class Normal(nnx.Module):
        ...     def __call__(self, x, *, rngs=None):
        ...         return {}
        ...     def generate(self, n_samples=1, *, rngs):
        ...         return jax.random.normal(rngs.sample(), (n_samples, 2))
        >>> data = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
        >>> result = EvaluationPipeline().evaluate(Normal(), data, metrics=["energy_distance"])
        >>> result["energy_distance"].n, bool(result["energy_distance"].value < 0.05)
        (500, True)
    """

    def __init__(
        self,
        config: EvaluationConfig | None = None,
        *,
        seed: int = 0,
        folder: str | Path | None = None,
        mesh: Mesh | None = None,
        level: float = 0.95,
        replicates: int = 1000,
        intervals: bool = True,
        workers: int = 1,
        extractors: Mapping[str, Mapping[str, Any]] | None = None,
        registry: MetricsRegistry | None = None,
        progress: Progress | None = None,
    ):
        self.config = with_extractors(EvaluationConfig() if config is None else config, extractors or {})
        self.seed, self.mesh, self.level, self.replicates = seed, mesh, level, replicates
        if workers < 1:
            raise InvalidInputError(f"workers is {workers}; at least one thread computes metrics")
        self.intervals, self.workers = intervals, workers
        self.registry = MetricsRegistry() if registry is None else registry
        self._columns: Columns = MemoryColumns() if folder is None else DiskColumns(Path(folder))
        self._progress = progress

    def evaluate(
        self,
        model: Any,
        data: Any,
        modality: Any = None,
        *,
        metrics: Sequence[str] = (),
        holdout: Any = None,
        training: Any = None,
        density: Any = None,
        samples: np.ndarray | None = None,
        name: str = "",
        data_name: str = "",
        budget_seconds: float | None = None,
    ) -> EvaluationResult:
        """Measure ``model`` against ``data``.

        Args:
            model: what is measured; None where ``samples`` are given.
            data: references in stored form, which the model was not trained on: a dict of arrays, one array, or a sequence.
            modality: prepares them: a modality, its config, or its registered name for data that are prepared already.
            metrics: names of those to compute; by default the config's, else all that apply.
            holdout: a second set of such data.
            training: what the model was trained on, for metrics of what it gives away.
            density: the law that the data were drawn from, an object with ``log_prob``.
            samples: in model space, instead of drawing them.
            name: of what is measured, for people.
            data_name: of the data, for signatures.
            budget_seconds: no metric is begun after so long.

        Returns:
            Figures by name. A metric that fails keeps no other from its figure.

        Raises:
            UnknownNameError: a metric that was asked for is not registered.
            DataError: there are no references.
        """
        started = time.perf_counter()
        material = self.material(model, data, modality, holdout=holdout, training=training, density=density, samples=samples)
        entries, skipped = self.chosen(material, metrics)
        result = EvaluationResult(name or type(model).__name__, {}, skipped=skipped)
        digest = f"{data_name}:{data_digest(data)}" if data_name else data_digest(data)
        progress = _Share(self._progress, len(entries))
        deadline = math.inf if budget_seconds is None else started + budget_seconds

        def computed(entry: MetricEntry) -> MetricResult | str:
            """The figure, or why there is none."""
            if time.perf_counter() > deadline:
                return f"the budget of {budget_seconds:g} s was spent before it began"
            try:
                return self._measured(entry, material, digest, progress)
            except Exception as error:  # a stranger's metric may raise anything; the others are kept
                kind = "" if isinstance(error, ArtifexError) else f"{type(error).__name__}: "
                return f"{kind}{error}"
            finally:
                progress.end(entry.name)

        on_host = [entry for entry in entries if self.workers > 1 and _is_of_host_objects(entry)]
        found = {entry.name: computed(entry) for entry in entries if entry not in on_host}
        with ThreadPoolExecutor(self.workers, "metric") as pool:
            found |= zip((entry.name for entry in on_host), pool.map(computed, on_host), strict=True)
        result.metrics = {e.name: made for e in entries if isinstance(made := found[e.name], MetricResult)}
        result.failures = {e.name: why for e in entries if isinstance(why := found[e.name], str)}
        result.seconds, result.seconds_per_sample = time.perf_counter() - started, material.seconds_per_sample
        return result

    def material(
        self,
        model: Any,
        data: Any,
        modality: Any = None,
        *,
        holdout: Any = None,
        training: Any = None,
        density: Any = None,
        samples: np.ndarray | None = None,
    ) -> Material:
        """What metrics are given, as :meth:`evaluate` makes it."""
        made, modality_name = _modality(modality)
        config = self.config
        drawn = f"seed {self.seed}, {config.n_samples} of {config.n_references}"
        of_data = data_digest(data, f"{getattr(made, 'config', '')}{self.seed}")
        subject = model_digest(model) if samples is None else data_digest(samples)
        beside = "".join(data_digest(other) for other in (holdout, training) if other is not None)
        return Material(
            model,
            data,
            key=evaluation_key(self.seed),
            modality=made,
            holdout=holdout,
            training=training,
            samples=samples,
            density=density,
            n_samples=config.n_samples,
            n_references=config.n_references,
            batch_size=config.batch_size,
            modality_name=modality_name,
            mesh=self.mesh,
            columns=self._columns,
            identities={"model": f"{subject} {drawn}", "data": of_data + beside},
            extractors=config.extractors,
        )

    def chosen(self, material: Material, metrics: Sequence[str] = ()) -> tuple[list[MetricEntry], dict[str, str]]:
        """The metrics to compute, and why others of the registry do not apply."""
        asked = tuple(metrics) or self.config.metrics
        if asked:
            return self.registry.named(asked), {}
        chosen, skipped = self.registry.choose(material.facts)
        out_of_reach = {entry.name: material.extractor_obstacle(entry) for entry in chosen}
        missing = {name: why for name, why in out_of_reach.items() if why}
        for entry in chosen:
            if entry.name in missing and entry.features in self.config.extractors:  # not one that nobody cares for
                raise InvalidInputError(f"{entry.name}: {missing[entry.name]}")
        return [entry for entry in chosen if entry.name not in missing], skipped | missing

    def _measured(self, entry: MetricEntry, material: Material, data: str, progress: _Share) -> MetricResult:
        started = time.perf_counter()
        if why := obstacle(entry, material.facts) or material.extractor_obstacle(entry):
            raise InvalidInputError(f"{entry.name} does not apply: {why}")
        measured = measure(entry, material, progress.of(entry.name), rows=self.intervals)
        rng = np.random.default_rng([self.seed, *entry.name.encode()])
        interval = interval_of(measured, level=self.level, replicates=self.replicates, rng=rng) if self.intervals else NONE
        return MetricResult(
            name=entry.name,
            value=measured.value,
            low=float(max(interval.low, min(entry.lowest, measured.value))),  # a jackknife's goes as far up as down
            high=float(min(interval.high, max(entry.highest, measured.value))),
            level=self.level,
            method=interval.method,
            n=measured.n,
            signature=self._signature(entry, material, measured, data),
            higher_is_better=entry.higher_is_better,
            unit=entry.unit,
            tolerance=float(entry.tolerance),
            seconds=time.perf_counter() - started,
            per_example=_per_example(measured),
        )

    def _signature(self, entry: MetricEntry, material: Material, measured: Measurement, data: str) -> Signature:
        drawn = f", {material.samples_of(entry)} samples" if "samples" in entry.needs and entry.compares != "pairs" else ""
        try:
            version = f"{self.registry.distribution(entry.name)} {self.registry.version(entry.name)}"
        except UnknownNameError:
            version = "this process"
        return Signature(
            metric=entry.name,
            definition=entry.metric,
            version=version,
            estimator=f"{measured.form} over {measured.n}{drawn}",
            features=material.extractor(entry.features).signature if entry.features else "",
            data=f"{data}.{_seen(entry, material)}" if set(entry.needs) - {"samples", "rngs"} else "",
        )


def with_extractors(config: EvaluationConfig, extractors: Mapping[str, Mapping[str, Any]]) -> EvaluationConfig:
    """The config with fields of extractors changed, each by itself.

    Raises:
        InvalidInputError: there is no such extractor or field.
    """
    if not extractors:
        return config
    merged = {name: {**config.extractors.get(name, {}), **fields} for name, fields in extractors.items()}
    try:
        return config.replace(extractors={**config.extractors, **merged})
    except ValidationError as error:
        raise InvalidInputError(explain(error)) from error


class _Share:
    """Which part of all metrics is done, told as one number that only grows, from whichever thread."""

    def __init__(self, progress: Progress | None, metrics: int):
        self._progress, self._metrics = progress, metrics
        self._done: dict[str, float] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Callable[[int, int], None]:
        """What one metric tells how many examples are done, of how many."""

        def told(done: int, total: int) -> None:
            with self._lock:
                self._done[name] = done / max(1, total)
                if self._progress is not None:
                    self._progress(name, sum(self._done.values()) / self._metrics)

        return told

    def end(self, name: str) -> None:
        """One metric is done, or failed."""
        with self._lock:
            self._done[name] = 1.0


def _is_of_host_objects(entry: MetricEntry) -> bool:
    """Whether a metric computes on the host alone: a model's part of it would want the devices in their order."""
    return entry.space == "host" and not {"model", "rngs"} & set(entry.needs)


def _modality(given: Any) -> tuple[Any, str | None]:
    """The modality, and what the data are called where none prepares them."""
    if isinstance(given, Config):
        entry = plugins.registry().entry_of_config("modality", type(given))
        return resolve(entry.modality)(given), None
    if isinstance(given, str):
        if given not in ("", "vector"):
            plugins.registry().get("modality", given)
        return None, given
    return given, None


def _seen(entry: MetricEntry, material: Material) -> str:
    """Checksum of the references as the metric sees them: figures of grey and of binarised images are not comparable.

    Rounded, because restoring from different scales leaves different last digits.
    """
    space = "restored" if entry.space == "restored" and entry.compares != "model" else "model"
    first = material.in_space("references", space, 0, min(64, material.n_references))
    return data_digest(np.round(np.asarray(first, np.float32), 3) + 0.0)[:8]


def _per_example(measured: Measurement) -> np.ndarray | None:
    """Each example's share: pseudo-values of the jackknife, which for a mean are the values themselves."""
    if measured.rows is None or measured.finalize is None or len(measured.rows) < 2:
        return None
    n = len(measured.rows)
    with np.errstate(invalid="ignore"):
        return n * measured.value - (n - 1) * leave_one_out(measured.rows, measured.finalize)
