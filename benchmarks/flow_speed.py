"""Milliseconds of a training step and of sampling: Artifex, zuko (eager and compiled), nflows, normflows, FlowJAX.

    python benchmarks/flow_speed.py [--kinds nsf nsf_coupling maf real_nvp] [--what train sample] [--quick]

Needs `torch`, `zuko`, `nflows`, `normflows`, `flowjax` and `artifex-flow` (`nox -s bench` sets them up). About ten minutes on
two cores.

Neural spline flows (autoregressive and coupling) and a masked autoregressive flow of 64 elements, 5 layers of hidden widths
(128, 128), 8 bins, batch 512; a Real NVP of 784 elements, 8 layers of (256, 256), batch 256. A step is forward, backward and
Adam on one batch in memory; sampling makes a batch. Every row is a process of its own on the same cores, and the rows take
turns (`rounds.py`). "Compiled" is `torch.compile` of the loss.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
from flow_peers import SHAPES, TORCH, artifex_flow, flowjax_flow
from rounds import Contestant, Run, measure, table

BATCH = {"nsf": 512, "nsf_coupling": 512, "maf": 512, "real_nvp": 256}
STEPS = {"train": 10, "sample": 10}
SLOW_TO_SAMPLE = ("nsf", "maf")
LEARNING_RATE = 1e-3


def main() -> None:
    """Time the rows and print one table a model and task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--what", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--only", nargs="+", help="rows that contain one of these words")
    parser.add_argument("--threads", type=int, default=2, help="cores that every row may use")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one step and two rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        for what in arguments.what:
            steps, rounds = (
                (1, 2)
                if arguments.quick
                else (2 if what == "sample" and kind in SLOW_TO_SAMPLE else STEPS[what], arguments.rounds)
            )
            rows = [row for row in _rows(kind, what) if not arguments.only or any(w in row.label for w in arguments.only)]
            timings = measure(rows, steps=steps, rounds=rounds, threads=arguments.threads)
            print(f"\n{kind}, {what}, batch {BATCH[kind]}, {arguments.threads} threads, load {os.getloadavg()[0]:.1f}\n")
            print(table(timings, baseline="Artifex"), flush=True)


def _rows(kind: str, what: str) -> list[Contestant]:
    options = {"kind": kind, "what": what}
    rows = [Contestant("Artifex", artifex_loop, options), Contestant("FlowJAX", flowjax_loop, options)]
    rows += [Contestant(name, torch_loop, {**options, "name": name, "compiled": False}) for name in TORCH]
    if what == "train" and kind != "real_nvp":  # which torch.compile 2.13 dies of: "free(): invalid next size"
        rows.append(Contestant("zuko, compiled", torch_loop, {**options, "name": "zuko", "compiled": True}))
    return rows


def data(kind: str) -> np.ndarray:
    """Standard normal noise: the time of a step does not hang on what is drawn."""
    return np.random.default_rng(0).normal(size=(BATCH[kind], SHAPES[kind]["dim"])).astype(np.float32)


def artifex_loop(kind: str, what: str, threads: int) -> Run:
    del threads  # XLA takes the cores that the process has
    import jax
    import optax
    from bare_jax import bare_loop
    from flax import nnx

    model = artifex_flow(kind, **SHAPES[kind])
    if what == "train":
        return bare_loop(model, data(kind), optax.adam(LEARNING_RATE))
    rngs = nnx.Rngs(0)

    def run(steps: int) -> None:
        jax.block_until_ready([model.sample(BATCH[kind], rngs=rngs) for _ in range(steps)])

    return run


def flowjax_loop(kind: str, what: str, threads: int) -> Run:
    """FlowJAX's flow, its training step as `flowjax.train` has it, but without its progress bar."""
    del threads
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax
    import paramax

    flow = flowjax_flow(kind, **SHAPES[kind])
    if what == "sample":
        draw = eqx.filter_jit(lambda flow, key: flow.sample(key, (BATCH[kind],)))

        def sample(steps: int) -> None:
            jax.block_until_ready([draw(flow, jax.random.key(i)) for i in range(steps)])

        return sample
    params, static = eqx.partition(flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable))
    x, optimizer = jnp.asarray(data(kind)), optax.adam(LEARNING_RATE)
    state = params, optimizer.init(params)

    def loss_of(params: object) -> jax.Array:
        return -jnp.mean(paramax.unwrap(eqx.combine(params, static)).log_prob(x))

    @eqx.filter_jit
    def step(state: tuple) -> tuple:
        params, moments = state
        loss, grads = eqx.filter_value_and_grad(loss_of)(params)
        updates, moments = optimizer.update(grads, moments, params)
        return (eqx.apply_updates(params, updates), moments), loss

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, loss = step(state)
        jax.block_until_ready((eqx.filter(state, eqx.is_array), loss))

    return run


def torch_loop(kind: str, what: str, name: str, compiled: bool, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    flow = TORCH[name](kind, **SHAPES[kind])
    if what == "sample":

        def sample(steps: int) -> None:
            with torch.no_grad():
                for _ in range(steps):
                    flow.sample(BATCH[kind])

        return sample
    x, optimizer = torch.as_tensor(data(kind)), torch.optim.Adam(flow.module.parameters(), lr=LEARNING_RATE)

    def loss_of(x):
        return -flow.log_prob(x).mean()

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss_of(x).backward()
            optimizer.step()

    return run


if __name__ == "__main__":
    main()
