"""What checkpoints cost a run: milliseconds a training step with a checkpoint every hundred steps, and without.

    python benchmarks/checkpoint_cost.py [--quick]

Needs `artifex-vae` and `artifex-training`. About five minutes on two cores.

The models are those of `vae_training.py`: dense 784-400-20 and 28×28×1 convolutional, under Artifex's trainer with its usual
callbacks. Two accounts of the same thing:

Whole runs: both sides are processes of their own on the same cores and take turns, with rounds of as many steps as checkpoints
are apart, so that a round holds one checkpoint and all of its writing. The cost is the median of the ratio of two neighbours,
by the clock and by the time of all processor cores.

One checkpoint by itself: for how long the loop stands still, and the time of all processor cores until it is written, medians,
beside the same times of a hundred steps. On a machine that others use too this is the account to read: it is no small
difference of large numbers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from time import perf_counter, process_time

from rounds import Contestant, Run, Timing, measure
from vae_training import artifex_vae, images

EVERY = 100
DEVICES = {"dense": 1, "conv": 2}


def main() -> None:
    """Time both sides of each model, then checkpoints by themselves, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=sorted(DEVICES), default=sorted(DEVICES, reverse=True))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2, help="cores that both sides may use")
    parser.add_argument("--folder", help="where the checkpoints go; by default a temporary folder")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it runs, not what it costs")
    arguments = parser.parse_args()
    print(f"batch {arguments.batch_size}, a checkpoint every {EVERY} steps, {arguments.threads} threads\n")
    print("| model | ms a step without | with | cost by the clock | by the processor |\n|---|---|---|---|---|")
    steps = {}
    for kind in arguments.models:
        options = {"kind": kind, "batch_size": arguments.batch_size, "folder": arguments.folder}
        sides = [Contestant(side, training, options | {"checkpoints": side == "with"}) for side in ("without", "with")]
        timings = measure(sides, steps=EVERY, rounds=2 if arguments.quick else arguments.rounds, threads=arguments.threads)
        steps[kind] = timings["without"]
        print(_row(kind, timings["without"], timings["with"]), flush=True)
    print("\n| one checkpoint | MB | ms standing still | of 100 steps | ms of the processor | of 100 steps |")
    print("|---|---|---|---|---|---|")
    for kind, without in steps.items():
        size, still, processor = one_checkpoint(kind, arguments.folder)
        clock = EVERY * without.median_ms
        work = EVERY * statistics.median(without.processor_rounds_ms)
        print(
            f"| {kind} | {size:.1f} | {still:.1f} | {still / clock:.2%} | {processor:.1f} | {processor / work:.2%} |",
            flush=True,
        )
    if hasattr(os, "getloadavg"):
        print(f"\nload of the machine over the last five minutes: {os.getloadavg()[1]:.1f}")


def _row(kind: str, without: Timing, with_checkpoints: Timing) -> str:
    clock = _cost(without.rounds_ms, with_checkpoints.rounds_ms)
    processor = _cost(without.processor_rounds_ms, with_checkpoints.processor_rounds_ms)
    return f"| {kind} | {without.median_ms:.2f} | {with_checkpoints.median_ms:.2f} | {clock:+.1%} | {processor:+.1%} |"


def _cost(without: Sequence[float], with_checkpoints: Sequence[float]) -> float:
    return statistics.median(b / a for a, b in zip(without, with_checkpoints, strict=True)) - 1


def training(kind: str, batch_size: int, folder: str | None, checkpoints: bool, threads: int) -> Run:
    """A run under Artifex's trainer."""
    del threads
    from artifex.training.host_devices import set_cpu_devices

    set_cpu_devices(DEVICES[kind])
    from trainer_runs import trainer_loop

    from artifex.training.callbacks import Checkpoint, CheckpointConfig

    run = trainer_loop(
        artifex_vae(kind),
        images(40 * batch_size),
        batch_size=batch_size,
        learning_rate=1e-3,
        devices=DEVICES[kind],
        more_callbacks=[Checkpoint(CheckpointConfig(every=EVERY))] if checkpoints else [],
        folder=tempfile.mkdtemp(dir=folder),
    )
    first = True

    def rounds(steps: int) -> None:
        nonlocal first
        # the first round ends half way between two checkpoints, and so do all that follow
        run(EVERY // 2 if first else steps)
        first = False

    return rounds


def one_checkpoint(kind: str, folder: str | None) -> tuple[float, float, float]:
    """Megabytes of a checkpoint, milliseconds that saving it takes from the loop, and from all processor cores together."""
    from artifex.training import Trainer, TrainerConfig
    from artifex.training.checkpoints import Checkpoints

    still, processor = [], []
    with tempfile.TemporaryDirectory(dir=folder) as place, Checkpoints(place) as checkpoints:
        trainer = Trainer(artifex_vae(kind), TrainerConfig(steps=2, batch_size=16), seed=0)
        trainer.fit(images(32))
        for trainer.step in range(1, 24):
            start, busy = perf_counter(), process_time()
            if trainer.is_sound():
                trainer.save_checkpoint(checkpoints)
            still.append(1e3 * (perf_counter() - start))
            checkpoints.wait()
            processor.append(1e3 * (process_time() - busy))
        size = sum(file.stat().st_size for file in (checkpoints.folder / "23").iterdir()) / 1e6
    return size, statistics.median(still[3:]), statistics.median(processor[3:])


if __name__ == "__main__":
    main()
