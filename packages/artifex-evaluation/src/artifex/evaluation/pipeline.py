"""The pipeline: a model, data and their modality in, every metric that applies out, each with its interval and signature."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from artifex.core import plugins
from artifex.core.config import Config
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

__all__ = ["EvaluationPipeline", "Progress"]

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
        registry: MetricsRegistry | None = None,
        progress: Progress | None = None,
    ):
        self.config = EvaluationConfig() if config is None else config
        self.seed, self.mesh, self.level, self.replicates = seed, mesh, level, replicates
        self.intervals = intervals
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
        for i, entry in enumerate(entries):
            if budget_seconds is not None and time.perf_counter() - started > budget_seconds:
                result.failures[entry.name] = f"the budget of {budget_seconds:g} s was spent before it began"
                continue
            try:
                result.metrics[entry.name] = self._measured(entry, material, digest, (i, len(entries)))
            except Exception as error:  # a stranger's metric may raise anything; the others are kept
                kind = "" if isinstance(error, ArtifexError) else f"{type(error).__name__}: "
                result.failures[entry.name] = f"{kind}{error}"
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
        )

    def chosen(self, material: Material, metrics: Sequence[str] = ()) -> tuple[list[MetricEntry], dict[str, str]]:
        """The metrics to compute, and why others of the registry do not apply."""
        asked = tuple(metrics) or self.config.metrics
        if asked:
            return self.registry.named(asked), {}
        chosen, skipped = self.registry.choose(material.facts)
        out_of_reach = {entry.name: material.extractor_obstacle(entry) for entry in chosen}
        missing = {name: why for name, why in out_of_reach.items() if why}
        return [entry for entry in chosen if entry.name not in missing], skipped | missing

    def _measured(self, entry: MetricEntry, material: Material, data: str, place: tuple[int, int]) -> MetricResult:
        started = time.perf_counter()
        if why := obstacle(entry, material.facts) or material.extractor_obstacle(entry):
            raise InvalidInputError(f"{entry.name} does not apply: {why}")

        def told(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(entry.name, (place[0] + done / max(1, total)) / place[1])

        measured = measure(entry, material, told, rows=self.intervals)
        rng = np.random.default_rng([self.seed, *entry.name.encode()])
        interval = interval_of(measured, level=self.level, replicates=self.replicates, rng=rng) if self.intervals else NONE
        return MetricResult(
            name=entry.name,
            value=measured.value,
            low=interval.low,
            high=interval.high,
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
        drawn = f", {material.n_samples} samples" if "samples" in entry.needs and entry.compares != "pairs" else ""
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
