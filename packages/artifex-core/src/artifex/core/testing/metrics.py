"""One check for every metric: the figure is the same in batches of 1, 7, 64 and all, and on all devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import jax
import numpy as np
from numpy.testing import assert_allclose

from artifex.core.metrics import MeanOf, MergedMetric, StreamedMetric
from artifex.core.plugins import MetricEntry, resolve

__all__ = ["check_invariance"]

Batch = Mapping[str, Any]


def check_invariance(entry: MetricEntry, batch: Batch, *, tolerance: float = 1e-6) -> float:
    """Assert that no cut into batches and over devices changes the figure of a metric by more than a tolerance.

    Arrays are laid over all devices, and each device is also given a share of its own. Of a metric that compares sets, and has
    no state that merges, an engine gathers all examples: devices and the order of examples are checked.

    Args:
        entry: the metric's, whose ``needs`` are the keys of the batch.
        batch: arrays, or lists of the field's objects; as many examples of each as are a multiple of the devices' number.
        tolerance: largest difference, relative or absolute.

    Returns:
        The figure.

    Example:
        >>> entry = MetricEntry(
        ...     name="error", metric="artifex.core.testing.metrics:_error", needs=("samples", "references"),
        ...     higher_is_better=False, compares="pairs",
        ... )
        >>> check_invariance(entry, {"samples": np.ones((72, 2)), "references": np.zeros((72, 2))})
        1.0
    """
    figure = _figure(entry)
    whole = float(figure([batch]))
    assert np.isfinite(whole), f"{entry.name} is {whole} for all examples at once"
    n, devices = len(next(iter(batch.values()))), jax.devices()
    cuts: dict[str, Iterable[Batch]] = {"laid over devices": [_laid(batch, devices)]}
    if _is_cut(entry):
        cuts |= {f"in batches of {size}": _parts(batch, size) for size in (1, 7, 64)}
        cuts["a share for each device"] = _each_on_its_device(_parts(batch, -(-n // len(devices))), devices)
    else:
        cuts["in another order"] = [_reordered(batch)]
    for cut, parts in cuts.items():
        assert_allclose(figure(parts), whole, rtol=tolerance, atol=tolerance, err_msg=f"{entry.name}, {cut}")
    return whole


def _is_cut(entry: MetricEntry) -> bool:
    return entry.compares == "pairs" or isinstance(resolve(entry.metric), StreamedMetric | MergedMetric)


def _figure(entry: MetricEntry) -> Callable[[Iterable[Batch]], Any]:
    """The figure of examples that come in parts."""
    metric = resolve(entry.metric)
    if isinstance(metric, MergedMetric):
        return lambda parts: metric.finalize(reduce(metric.merge, (metric.state(part) for part in parts)))
    if not isinstance(metric, StreamedMetric) and entry.compares == "pairs":
        metric = MeanOf(metric)
    if isinstance(metric, StreamedMetric):
        return lambda parts: metric.finalize(sum(np.asarray(metric.statistics(p), np.float64).sum(axis=0) for p in parts))
    return lambda parts: np.mean([metric(**part) for part in parts])


def _parts(batch: Batch, size: int) -> Iterable[Batch]:
    n = len(next(iter(batch.values())))
    return ({key: value[start : start + size] for key, value in batch.items()} for start in range(0, n, size))


def _each_on_its_device(parts: Iterable[Batch], devices: list[Any]) -> Iterable[Batch]:
    for part, device in zip(parts, devices, strict=True):
        with jax.default_device(device):
            yield {key: jax.device_put(value, device) if hasattr(value, "dtype") else value for key, value in part.items()}


def _laid(batch: Batch, devices: list[Any]) -> Batch:
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    return {key: jax.device_put(value, rows) if hasattr(value, "dtype") else value for key, value in batch.items()}


def _reordered(batch: Batch) -> Batch:
    """Row with row, as pairs of a retrieval are."""
    return {key: value[::-1] for key, value in batch.items()}


def _error(samples: Any, references: Any) -> Any:
    """For the example above."""
    return abs(samples - references).mean(axis=1)
