"""Milliseconds of dynamic time warping: 256 pairs of 128 x 128 steps in one scan, and dtaidistance's C in a loop.

    python benchmarks/dtw_speed.py [--rounds 40] [--quick]

Needs `dtaidistance` and `artifex-modalities-timeseries`. Ten seconds. The two take turns in one process on the cores it has,
each as often the first of a round; figures are the least, the median and the greatest of all rounds, and the median of the
processor's time on all cores. What else runs on the machine can only add to a time, so that the least of many rounds is the one
to compare: the last line does. Both are given float arrays that are made already, the C one a loop over pairs; what the two say
agrees to 1e-5, or the script ends with an error.
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
    parser.add_argument("--rounds", type=int, default=40)
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
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for i in range(2 if arguments.quick else arguments.rounds):
        for name in sorted(contestants, reverse=bool(i % 2)):
            begun, processor = time.perf_counter(), time.process_time()
            contestants[name]()
            times[name].append((1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - processor)))
    print(f"{PAIRS} pairs of {STEPS} x {STEPS}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, spent in times.items():
        clock, processor = np.transpose(spent)
        print(
            f"{name:28} least {clock.min():6.1f} ms, median {np.median(clock):6.1f}, greatest {clock.max():6.1f}; "
            f"processor {np.median(processor):6.1f}"
        )
    mine, theirs = (min(clock for clock, _ in spent) for spent in times.values())
    print(f"by the least of each, one scan takes {mine / theirs:.2f} of the loop's time")


if __name__ == "__main__":
    main()
