"""The figures of a run over its steps, as ``metrics.jsonl`` has them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Series", "read_history", "thinned"]

BUCKETS = 400


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over the steps."""

    steps: np.ndarray
    """``(N,)``, in the order of the file."""
    values: np.ndarray
    """``(N,)``; NaN where the run had no finite number."""

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def finite(self) -> np.ndarray:
        """``(N,)``: where there is a number."""
        return np.isfinite(self.values)


def read_history(path: Path) -> dict[str, Series]:
    """Every figure of the file by name. A line that was cut short, when the run was killed, is left out."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            for name, value in record.items():
                if name != "step" and (value is None or isinstance(value, int | float)):
                    steps, values = found.setdefault(name, ([], []))
                    steps.append(record["step"])
                    values.append(math.nan if value is None else float(value))
    return {name: Series(np.array(steps), np.array(values)) for name, (steps, values) in found.items()}


def thinned(series: Series, buckets: int = BUCKETS) -> Series:
    """At most three points for each of ``buckets`` stretches: its least and greatest value and, where there is one, a gap.

    So a peak of one step in a hundred thousand is still drawn, and the first and the last point are where they were.

    >>> kept = thinned(Series(np.arange(10_000), np.eye(1, 10_000, 4321)[0]), buckets=100)
    >>> len(kept), kept.steps[kept.values == 1].tolist()
    (102, [4321])
    """
    if len(series) <= 3 * buckets:
        return series
    kept = {0, len(series) - 1}
    for stretch in np.array_split(np.arange(len(series)), buckets):
        there = series.finite[stretch]
        if numbers := stretch[there].tolist():
            kept |= {min(numbers, key=series.values.__getitem__), max(numbers, key=series.values.__getitem__)}
        kept |= set(stretch[~there][:1].tolist())
    chosen = sorted(kept)
    return Series(series.steps[chosen], series.values[chosen])
