"""Coverage of bootstrap intervals, their time, and what it costs to keep what an evaluation computes on disk.

    python benchmarks/evaluation_intervals.py [--sets 2000] [--seed N] [--quick]

Needs `artifex-evaluation`. Minutes. Coverage: how often the 95 % interval (BCa, 1000 replicates) of a mean holds the true
one, over simulated data sets. Time: that of one interval of 10 000 examples on the cores the process has. Keeping:
milliseconds to append a batch of features to a column, on disk and in memory, medians over batches. Fresh random numbers
unless a seed is given.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np

from artifex.core.measuring import Columns, MemoryColumns
from artifex.evaluation import bootstrap_interval
from artifex.evaluation.streaming import DiskColumns

TRUTH = {"normal": 0.0, "exponential": 1.0}
BATCH, FEATURES = 256, 2048


def main() -> None:
    """Measure and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--quick", action="store_true", help="20 data sets: shows that it runs, not how often")
    arguments = parser.parse_args()
    sets = 20 if arguments.quick else arguments.sets
    rng = np.random.default_rng(arguments.seed)
    _time(rng)
    _keeping(rng, 100)
    for law in TRUTH:
        for n in (300, 1000):
            covered = sum(_covers(law, n, rng) for _ in range(sets)) / sets
            error = math.sqrt(covered * (1 - covered) / sets)
            print(f"coverage over {sets} sets: {law:12} {n:5} examples {100 * covered:6.2f} % ± {100 * error:.2f}", flush=True)


def _mean(total: np.ndarray) -> np.ndarray:
    return total[..., 0] / total[..., 1]


def _with_ones(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=-1)


def _covers(law: str, n: int, rng: np.random.Generator) -> bool:
    found = bootstrap_interval(_with_ones(getattr(rng, law)(size=n)), _mean, rng=rng)
    return found.low <= TRUTH[law] <= found.high


def _time(rng: np.random.Generator) -> None:
    rows = _with_ones(rng.normal(size=10_000))
    bootstrap_interval(rows, _mean, rng=rng)  # compiled
    clock, processor = [], []
    for _ in range(5):
        started = time.perf_counter(), time.process_time()
        bootstrap_interval(rows, _mean, rng=rng)
        clock.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    print(f"1000 bootstraps of 10000 examples: {np.median(clock):.3f} s, {np.median(processor):.3f} s of processor")


def _keeping(rng: np.random.Generator, batches: int) -> None:
    features = rng.normal(size=(BATCH, FEATURES)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        places: dict[str, Columns] = {"on disk": DiskColumns(Path(folder)), "in memory": MemoryColumns()}
        for name, columns in places.items():
            column, clock, processor = columns.column("features"), [], []
            for _ in range(batches):
                rows = features.copy()
                started = time.perf_counter(), time.process_time()
                column.append(rows)
                clock.append(1000 * (time.perf_counter() - started[0]))
                processor.append(1000 * (time.process_time() - started[1]))
            print(
                f"keeping {BATCH} x {FEATURES} float32 {name}: {np.median(clock):.2f} ms a batch, "
                f"{np.median(processor):.2f} ms of processor; the first {clock[0]:.2f}"
            )


if __name__ == "__main__":
    main()
