"""What checkpoints cost a run: for how long the loop stands still at one, and all the work until it is written.

    python benchmarks/checkpoint_cost.py [--quick]

Needs `artifex-vae` and `artifex-training`. About two minutes on two cores.

Three models under Artifex's trainer: the dense 784-400-20 and the 28×28×1 convolutional VAE of `vae_training.py`, and a stack
of 67 small layers, whose state has 400 arrays and more. Of each: the size of a checkpoint; milliseconds that the loop stands
still (the median, and the slowest one in ten); how much of that is the loop's own processor time, which others on the machine
disturb less; milliseconds of all processor cores together until the checkpoint is written, checksums and all; what share of
five minutes, the default time between two checkpoints, all this is, counted as if it stopped the run. The first save of a
process also imports orbax, which is told apart. Each checkpoint waits for the last one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Any

import jax.numpy as jnp
from flax import nnx
from vae_training import artifex_vae, images

CADENCE_MS = 5 * 60 * 1e3


class Stack(nnx.Module):
    """67 layers: with Adam's two moments, 402 arrays."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([nnx.Linear(32, 32, rngs=rngs) for _ in range(67)])

    def __call__(self, x: Any, *, rngs: Any = None) -> dict[str, Any]:  # noqa: ARG002
        x = x.reshape(len(x), -1)[:, :32]
        for layer in self.layers:
            x = x + jnp.tanh(layer(x))
        return {"x": x}

    def generate(self, n_samples: int = 1, *, rngs: Any = None) -> Any:  # noqa: ARG002
        return jnp.zeros((n_samples, 32))

    def loss_fn(self, batch: Any, outputs: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"loss": jnp.mean(outputs["x"] ** 2)}


MODELS = {"dense": lambda: artifex_vae("dense"), "conv": lambda: artifex_vae("conv"), "400 arrays": Stack}


def main() -> None:
    """Write checkpoints of each model and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--folder", help="where the checkpoints go; by default a temporary folder")
    parser.add_argument("--saves", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="few of them: shows that it runs, not what it costs")
    arguments = parser.parse_args()
    start = perf_counter()
    import artifex.training.orbax_store  # noqa: F401

    print(f"import of orbax at the first save: {perf_counter() - start:.2f} s\n")
    print("| model | arrays | MB | ms standing still | slowest tenth | its own work | ms of all cores | of five minutes |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in arguments.models:
        print(_row(kind, arguments.folder, 5 if arguments.quick else arguments.saves), flush=True)
    if hasattr(os, "getloadavg"):
        print(f"\nload of the machine over the last five minutes: {os.getloadavg()[1]:.1f}")


def _row(kind: str, folder: str | None, saves: int) -> str:
    arrays, size, *times = measure(kind, folder, saves)
    still, own, work = map(statistics.median, times)
    slow = statistics.quantiles(times[0], n=10)[-1]
    share = (still + work) / CADENCE_MS
    return f"| {kind} | {arrays} | {size:.1f} | {still:.0f} | {slow:.0f} | {own:.0f} | {work:.0f} | {share:.2%} |"


def measure(kind: str, folder: str | None, saves: int) -> tuple[int, float, list[float], list[float], list[float]]:
    """Arrays and megabytes of a checkpoint; for each, milliseconds of the loop, of its thread's processor, of all cores."""
    import jax

    from artifex.training import Trainer, TrainerConfig
    from artifex.training.checkpoints import Checkpoints

    still, own, processor = [], [], []
    with tempfile.TemporaryDirectory(dir=folder) as place, Checkpoints(place) as checkpoints:
        trainer = Trainer(MODELS[kind](), TrainerConfig(steps=2, batch_size=16), seed=0)
        trainer.fit(images(32))
        for trainer.step in range(1, saves + 4):
            start, mine, busy = perf_counter(), thread_time(), process_time()
            if trainer.is_sound():
                trainer.save_checkpoint(checkpoints)
            still.append(1e3 * (perf_counter() - start))
            own.append(1e3 * (thread_time() - mine))
            checkpoints.wait()
            processor.append(1e3 * (process_time() - busy))
        size = sum(file.stat().st_size for file in Path(place, str(trainer.step)).rglob("*") if file.is_file()) / 1e6
        arrays = len(jax.tree.leaves(trainer.state))
    return arrays, size, still[3:], own[3:], processor[3:]  # the first ones compile what looks for numbers gone bad


if __name__ == "__main__":
    main()
