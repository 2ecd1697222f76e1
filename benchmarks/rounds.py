"""Fair timing of several contestants: each in a process of its own, all of them in turn, round after round.

A contestant is a top-level function that imports what it needs, builds a training loop and returns ``run(steps)``, which blocks
until the last step is done. Every process is held to the same cores. The processes live side by side and wait for their turn,
so that a slow minute of the machine falls on all of them alike; the figure is the median over the rounds.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import perf_counter, process_time
from typing import Any

Run = Callable[[int], None]


@dataclass(frozen=True)
class Contestant:
    """Who is timed: ``build(threads=..., **options)`` returns ``run(steps)``."""

    label: str
    build: Callable[..., Run]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """What was measured: seconds of the first step (tracing and compiling), and milliseconds a step in every round.

    Time of the processor is that of all cores together; on a machine that others use too it says more than the clock.
    """

    first_step_s: float
    rounds_ms: tuple[float, ...]
    processor_rounds_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.rounds_ms)


def measure(contestants: Sequence[Contestant], *, steps: int, rounds: int, threads: int) -> dict[str, Timing]:
    """Time ``rounds`` times ``steps`` training steps of every contestant, in turn."""
    with _processes(contestants, threads) as pipes:
        first = {label: _answer(label, pipe)[0] for label, pipe in pipes.items()}
        taken: dict[str, list[tuple[float, float]]] = {label: [] for label in pipes}
        for label in (label for _ in range(rounds + 1) for label in pipes):  # the first round warms up and is dropped
            pipes[label].send(steps)
            taken[label].append(_answer(label, pipes[label]))
        a_step = {
            label: [(1e3 * wall / steps, 1e3 * processor / steps) for wall, processor in taken[label][1:]] for label in pipes
        }
        return {label: Timing(first[label], *zip(*a_step[label], strict=True)) for label in pipes}


def table(timings: Mapping[str, Timing], *, baseline: str) -> str:
    """A markdown table: milliseconds a step, their range over the rounds, and how many times faster than ``baseline``."""
    reference = timings[baseline].median_ms
    rows = ["| | ms a step | lowest – highest | first step, s | speed |", "|---|---|---|---|---|"]
    for label, t in timings.items():
        spread = f"{min(t.rounds_ms):.2f} – {max(t.rounds_ms):.2f}"
        rows.append(f"| {label} | {t.median_ms:.2f} | {spread} | {t.first_step_s:.1f} | {reference / t.median_ms:.2f} × |")
    return "\n".join(rows)


@contextmanager
def _processes(contestants: Sequence[Contestant], threads: int) -> Iterator[dict[str, Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes, workers = {}, []
    for contestant in contestants:
        pipes[contestant.label], theirs = context.Pipe()
        workers.append(context.Process(target=_serve, args=(theirs, contestant, threads), daemon=True))
        workers[-1].start()
        theirs.close()
    try:
        yield pipes
    finally:
        for pipe in pipes.values():
            pipe.close()
        for worker in workers:
            worker.join()


def _serve(pipe: Connection, contestant: Contestant, threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):  # Linux: holds the thread pools of every library to the same cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    run = contestant.build(threads=threads, **contestant.options)
    steps = 1
    while True:
        start, processor = perf_counter(), process_time()
        run(steps)
        pipe.send((perf_counter() - start, process_time() - processor))
        try:
            steps = pipe.recv()
        except EOFError:
            return


def _answer(label: str, pipe: Connection) -> tuple[float, float]:
    try:
        return pipe.recv()
    except EOFError:
        raise SystemExit(f"{label!r} stopped before it was measured: its own traceback stands above.") from None
