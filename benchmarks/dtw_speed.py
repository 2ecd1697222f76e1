"""Milliseconds of dynamic time warping: 256 pairs of 128 x 128 steps in one scan, and dtaidistance's C in a loop.

    python benchmarks/dtw_speed.py [--rounds 15] [--quick]

Needs `dtaidistance` and `artifex-modalities-timeseries`. Ten seconds. The two take turns in one process on the cores it has; a
figure is the median, with the least and the greatest. Both are given float arrays that are made already, the C one a loop over
pairs; what the two say agrees to 1e-5, or the script ends with an error.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
from dtaidistance import dtw as c_library

from artifex.modalities.timeseries.metrics import dtw

PAIRS, STEPS = 256, 128


def main() -> None:
    """Time both and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="two rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(PAIRS, STEPS)) for _ in range(2))

    def loop() -> np.ndarray:
        return np.array([c_library.distance_fast(a, b, use_pruning=False) for a, b in zip(x, y, strict=True)])

    contestants: dict[str, Callable[[], np.ndarray]] = {
        "Artifex, one scan": lambda: dtw(x, y),
        "dtaidistance, C in a loop": loop,
    }
    np.testing.assert_allclose(dtw(x, y), loop(), rtol=1e-5)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(2 if arguments.quick else arguments.rounds):
        for name, run in contestants.items():
            begun = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - begun))
    print(f"{PAIRS} pairs of {STEPS} x {STEPS}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, spent in times.items():
        print(f"{name:28} {np.median(spent):7.1f} ms ({min(spent):.1f} to {max(spent):.1f})")


if __name__ == "__main__":
    main()
