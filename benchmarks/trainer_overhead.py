"""What the trainer costs: its steps a second against the bare `jax.jit` loop on the same model.

    python benchmarks/trainer_overhead.py [--quick]

Needs `artifex-vae` and `artifex-training`. About four minutes on two cores; expected: at least 0.95 on both models.

The bare loop (`bare_jax.py`) steps on one batch that stays on the device. The trainer shuffles and slices its data on the host,
places each batch, keeps the sums that it logs, watches for losses that are no numbers, and writes `metrics.jsonl`, TensorBoard
events and a progress bar every 50 steps. Two models: the dense VAE 784-400-20 at batch 128, where the step is long enough to
hide nothing and short enough to show everything, and one of 400 parameter arrays, where the time goes into handing them over.
"""

from __future__ import annotations

import argparse

import numpy as np
from rounds import Contestant, Run, measure, table

BAR = 0.95


def main() -> None:
    """Time both models and print one table each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="cores that every row may use")
    parser.add_argument("--quick", action="store_true", help="few steps and rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    steps, rounds = (10, 2) if arguments.quick else (200, 31)
    for kind in ("dense VAE", "400 arrays"):
        rows = [Contestant("bare loop", bare, {"kind": kind}), Contestant("Trainer", trained, {"kind": kind})]
        timings = measure(rows, steps=steps, rounds=rounds, threads=arguments.threads)
        ratio = timings["bare loop"].median_ms / timings["Trainer"].median_ms
        print(f"\n{kind}, {arguments.threads} threads, medians of {rounds} rounds of {steps} steps\n")
        print(table(timings, baseline="bare loop"))
        print(f"\nTrainer / bare loop: {ratio:.3f} (bar {BAR})", flush=True)


def bare(kind: str, threads: int) -> Run:
    """The bare loop on the model ``kind``."""
    del threads  # XLA takes the cores that the process has
    import optax
    from bare_jax import bare_loop

    model, data, batch_size = _model_and_data(kind)
    return bare_loop(model, data[:batch_size], optax.adam(1e-3))


def trained(kind: str, threads: int) -> Run:
    """The trainer on the model ``kind``."""
    del threads
    from trainer_runs import trainer_loop

    model, data, batch_size = _model_and_data(kind)
    return trainer_loop(model, data, batch_size=batch_size, learning_rate=1e-3)


def _model_and_data(kind: str):
    if kind == "dense VAE":
        from vae_training import BATCH, artifex_vae, images

        return artifex_vae("dense"), images(200 * BATCH), BATCH
    from many_arrays import ManyArrays

    return ManyArrays(200, 32), np.random.default_rng(0).normal(size=(64 * 100, 32)).astype(np.float32), 64


if __name__ == "__main__":
    main()
