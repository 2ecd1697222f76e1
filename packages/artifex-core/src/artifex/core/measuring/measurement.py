"""One metric of a model and its data: streamed where its form allows, else computed of the whole set."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.measuring.material import HOLDOUT, REFERENCES, SAMPLES, Material
from artifex.core.metrics import MeanOf, MergedMetric, StreamedMetric
from artifex.core.plugins.entries import MetricEntry, resolve

__all__ = ["GROUPS", "Measurement", "measure"]

GROUPS = 10
"""Parts that a merged metric's examples fall into: leaving out one at a time tells how sure its figure is."""
STRETCHES = 8
"""Stretches of the data that each of them is spread over, should the data be sorted."""
OPTIONAL = ("condition", "mask", "labels", "rngs")
"""What a function is given too where it takes it, though its entry does not ask for it."""

SINGLE = ("model", "modality", "rngs")
"""What there is one of, for all examples."""
Progress = Callable[[int, int], None]
"""Told how many examples are done, of how many."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A figure, and what its interval is made of."""

    value: float
    """The figure."""
    n: int
    """Examples that it is of."""
    form: Literal["streamed", "merged", "whole"]
    """How it was computed."""
    rows: np.ndarray | None = None
    """``(N, S)``: what each example adds to the sum, of a streamed metric; None where the sum alone was wanted."""
    finalize: Callable[[Any], Any] | None = None
    """The figure of sums ``(..., S)``, of a streamed metric."""
    without_group: np.ndarray | None = None
    """``(GROUPS,)``: the figure without each group of examples, of a merged metric."""
    at_a_half: Callable[[np.random.Generator], float] | None = field(default=None, repr=False)
    """The figure of a random half of the examples, of a metric of the whole set."""


def measure(entry: MetricEntry, material: Material, progress: Progress | None = None, *, rows: bool = True) -> Measurement:
    """The metric that ``entry`` describes.

    Args:
        entry: the metric.
        material: model and data.
        progress: told how far it is.
        rows: whether to keep what each example adds to a streamed metric's sum. Its interval is made of that, and per-example
            values: one copy ``(N, S)`` on the host, float64, is what they cost. Without, the rows of a batch are added up where
            they lie, on a mesh each device its own, and the sum alone is exchanged.

    Raises:
        InvalidInputError: there are too few examples, or what it needs is not there.
        InvalidTypeError: its target is no metric.
    """
    metric = resolve(entry.metric)
    metric = metric() if isinstance(metric, type) else metric
    told = _silent if progress is None else progress
    _check(entry, material)
    if isinstance(metric, StreamedMetric):
        return _streamed(entry, metric, material, told, rows)
    if isinstance(metric, MergedMetric):
        return _merged(entry, metric, material, told)
    if not callable(metric):
        raise InvalidTypeError(
            f"metric {entry.name!r}: {entry.metric} is a {type(metric).__name__}, neither a function nor an object with "
            "statistics and finalize, or state, merge and finalize"
        )
    if _gives_one_for_each(entry, metric, material):
        return _streamed(entry, MeanOf(metric), material, told, rows)
    return _whole(entry, metric, material, told)


def _silent(done: int, total: int) -> None:
    del done, total


def _check(entry: MetricEntry, material: Material) -> None:
    facts = material.facts
    given = facts.available | ({SAMPLES} if entry.compares == "pairs" and facts.paired else set())
    if missing := set(entry.needs) - given:
        raise InvalidInputError(f"metric {entry.name!r} needs {', '.join(sorted(missing))}, which there is not")
    if entry.compares == "pairs" and not facts.paired:
        raise InvalidInputError(f"metric {entry.name!r} compares pairs, and samples of this model have no references")
    if (n := material.count(entry)) < entry.min_examples:
        raise InvalidInputError(f"metric {entry.name!r} means nothing below {entry.min_examples} examples; there are {n}")


def _wanted(entry: MetricEntry, metric: Any, material: Material) -> tuple[str, ...]:
    """Names of what a metric is given: what it needs, and what there is of that which it takes."""
    function = metric.function if isinstance(metric, MeanOf) else metric
    taken: list[str] = list(entry.takes)
    if inspect.isfunction(function) and entry.compares != "sets":
        taken += [name for name in OPTIONAL if name in inspect.signature(function).parameters]
    extra = [name for name in dict.fromkeys(taken) if name in material.facts.available and name not in entry.needs]
    return (*entry.needs, *extra)


def _gives_one_for_each(entry: MetricEntry, function: Any, material: Material) -> bool:
    """Whether a function of pairs, or of model and data, gives a number for each example: it is asked about two."""
    n = material.count(entry)
    if entry.compares not in ("pairs", "model") or n < 2:
        return False
    names = _wanted(entry, function, material)
    given = material.batch(entry, names, 0, 2)
    try:
        found = function(**given, **_singles(names, material))
    except Exception:  # it may want more than two; what is wrong with it otherwise, the whole set shows
        return False
    return np.shape(found) == (2,)


def _singles(names: tuple[str, ...], material: Material) -> dict[str, Any]:
    """Model, modality and streams, which are one for all examples."""
    made = {"model": lambda: material.model, "modality": lambda: material.modality, "rngs": material.rngs}
    return {name: made[name]() for name in names if name in SINGLE}


def _streamed(entry: MetricEntry, metric: StreamedMetric, material: Material, progress: Progress, keep: bool) -> Measurement:
    n, names = material.count(entry), _wanted(entry, metric, material)
    if not keep:
        total: Any = 0.0
        for first in range(0, n, material.batch_size):
            stop = min(n, first + material.batch_size)
            total = total + _statistics(entry, metric, material, names, first, stop, summed=True)
            progress(stop, n)
        return Measurement(float(metric.finalize(total)), n, "streamed")
    column = material.column("statistics", entry.name, entry.metric, entry.features, entry.space, _code(metric))
    while (first := len(column)) < n:
        stop = min(n, first + material.batch_size)
        column.append(_statistics(entry, metric, material, names, first, stop, summed=False))
        progress(stop, n)
    rows = column.read(0, n)
    return Measurement(float(metric.finalize(rows.sum(axis=0))), n, "streamed", rows=rows, finalize=metric.finalize)


def _code(metric: Any) -> str:
    """Checksum of the file that defines a metric: statistics that an older one left behind are none of its own."""
    defined = metric.function if isinstance(metric, MeanOf) else metric if inspect.isfunction(metric) else type(metric)
    try:
        file = inspect.getsourcefile(defined)
        return "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except (TypeError, OSError):  # defined in a notebook
        return ""


def _statistics(
    entry: MetricEntry, metric: Any, material: Material, names: tuple[str, ...], first: int, stop: int, *, summed: bool
) -> np.ndarray:
    """Statistics of some rows ``(B, S)``, or their sum ``(S,)``, in float64."""
    batch = material.batch(entry, names, first, stop)
    programs, draws = material.programs, "rngs" in names
    on_host = entry.space == "host" or (not draws and "model" not in names and programs.mesh is None)
    if on_host:
        rows = _as_rows(entry, metric.statistics({**batch, **_singles(names, material)}), stop - first)
        return rows.sum(axis=0) if summed else rows

    beside = {"modality": material.modality} if "modality" in names else {}

    def function(model: Any, given: dict[str, Any]) -> Any:
        return metric.statistics({**given, **beside, "model": model} if "model" in names else {**given, **beside})

    run = programs.total if summed else programs.rows
    made = run(entry.name, function, batch, first=first, size=material.batch_size, rngs=draws)
    return np.asarray(made, np.float64) if summed else _as_rows(entry, made, stop - first)


def _as_rows(entry: MetricEntry, made: Any, n: int) -> np.ndarray:
    """Statistics ``(n, S)``, one row an example, if they are such."""
    rows = _numbers(entry, made)
    if rows.ndim != 2 or len(rows) != n:
        raise InvalidTypeError(
            f"metric {entry.name!r}: statistics of {n} examples have shape {rows.shape}; one row each is wanted, ({n}, S)"
        )
    return rows


def _numbers(entry: MetricEntry, made: Any) -> np.ndarray:
    """What a metric gave, in float64: None would be NaN, and text a number."""
    found = np.asarray(made)
    if not (np.issubdtype(found.dtype, np.number) or found.dtype == bool or found.dtype.kind == "V") or np.iscomplexobj(found):
        raise InvalidTypeError(f"metric {entry.name!r} gave {str(made)[:40]!r}, {type(made).__name__}; numbers are wanted")
    return found.astype(np.float64)


def _merged(entry: MetricEntry, metric: MergedMetric, material: Material, progress: Progress) -> Measurement:
    names = _wanted(entry, metric, material)
    apart = [name for name in (SAMPLES, REFERENCES, HOLDOUT) if name in names and entry.compares == "sets"]
    passes = [(name,) for name in apart] or [tuple(n for n in names if n not in SINGLE)]
    sizes = [material.size_of(p[0], entry) if apart else material.count(entry) for p in passes]
    groups = GROUPS if min(sizes) >= 2 * GROUPS else 1
    states: list[Any] = [None] * groups
    done = 0
    for parts, n in zip(passes, sizes, strict=True):
        for group, start, stop in _pieces(n, groups, material.batch_size):
            batch = material.batch(entry, parts, start, stop) | _singles(names, material)
            state = metric.state(batch)
            states[group] = state if states[group] is None else metric.merge(states[group], state)
            done += stop - start
            progress(done, sum(sizes))
    value, without = _finalized(metric, states)
    return Measurement(value, min(sizes), "merged", without_group=without)


def _pieces(n: int, groups: int, batch_size: int) -> Iterator[tuple[int, int, int]]:
    """Group, first and last row of batches that lie within one stretch."""
    stretch = -(-n // (groups * STRETCHES if groups > 1 else 1))
    for start in range(0, n, stretch):
        end = min(n, start + stretch)
        for first in range(start, end, batch_size):
            yield start // stretch % groups, first, min(end, first + batch_size)


def _finalized(metric: MergedMetric, states: list[Any]) -> tuple[float, np.ndarray | None]:
    """The figure of all groups, and of all but one."""
    before, after = list(states[:1]), list(states[-1:])
    for state in states[1:]:
        before.append(metric.merge(before[-1], state))
    value = float(metric.finalize(before[-1]))
    if len(states) == 1:
        return value, None
    for state in states[-2:0:-1]:
        after.append(metric.merge(state, after[-1]))
    after.reverse()  # after[i]: groups from i + 1 on
    rest = [after[0], *(metric.merge(a, b) for a, b in zip(before[:-2], after[1:], strict=True)), before[-2]]
    return value, np.array([float(metric.finalize(state)) for state in rest])


def _whole(entry: MetricEntry, function: Any, material: Material, progress: Progress) -> Measurement:
    names = _wanted(entry, function, material)
    sized = [name for name in names if name not in SINGLE]
    n = material.count(entry)
    size = {name: material.size_of(name, entry) if entry.compares == "sets" else n for name in sized}
    given = {name: _all(entry, material, name, size[name]) for name in sized}
    found = _numbers(entry, function(**given, **_singles(names, material)))
    progress(1, 1)
    each = size.get(SAMPLES, n)  # of two sets, the samples are what there is a number for
    if found.shape == (each,) and each > 1:
        rows = np.stack([found, np.ones(each)], axis=1)
        return Measurement(float(found.mean()), each, "whole", rows=rows, finalize=MeanOf(function).finalize)
    if found.ndim:
        raise InvalidTypeError(f"metric {entry.name!r} gave an array of shape {found.shape}; one number, or one an example")

    of_a_half = resolve(entry.of_a_half) if entry.of_a_half else function

    def at_a_half(rng: np.random.Generator) -> float:
        own = [name for name in (SAMPLES, HOLDOUT) if name in size and entry.compares == "sets"]
        shared = [name for name in sized if name not in own]
        rows = {name: _half(rng, size[name]) for name in own}
        rows |= dict.fromkeys(shared, _half(rng, min((size[name] for name in shared), default=0)))
        half = {name: _taken(given[name], rows[name]) for name in sized}
        return float(np.asarray(of_a_half(**half, **_singles(names, material))))

    return Measurement(float(found), min(size.values(), default=n), "whole", at_a_half=at_a_half)


def _all(entry: MetricEntry, material: Material, name: str, n: int) -> Any:
    step = material.batch_size
    parts = [material.batch(entry, (name,), start, min(n, start + step))[name] for start in range(0, n, step)]
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else [item for part in parts for item in part]


def _half(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.sort(rng.permutation(n)[: n // 2])


def _taken(rows: Any, indices: np.ndarray) -> Any:
    return rows[indices] if isinstance(rows, np.ndarray) else [rows[i] for i in indices]
