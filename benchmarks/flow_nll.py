"""How well flows fit: KL divergences on known densities and bits per dimension of digits, Artifex beside zuko and FlowJAX.

    python benchmarks/flow_nll.py [--densities two_moons ...] [--seeds 1] [--only Artifex] [--quick]

Needs `torch`, `zuko`, `flowjax`, `artifex-flow` and `artifex-modalities-image` (`nox -s bench` sets them up). About ten minutes
a seed on two cores.

Densities: 3 transforms of hidden widths (64, 64), 8 bins, 3000 steps of 512 fresh points, Adam at 2e-3 with a cosine; the
divergence is `mean log p(x) - log q(x)` over 100 000 draws that are the same for all. Digits: 17 grey levels, 1300 / 197 / 300
images, dequantised anew at each step, standardised by the mean and deviation of all pixels, 3 transforms of (256, 256),
batch 100, Adam at 1e-3 with a cosine over 60 epochs, the parameters of the best validation epoch; test bits per
dimension are the mean over ten dequantisations. Ours and zuko's networks have equally many parameters.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flow_peers import artifex_flow, flowjax_flow, zuko_flow

STEPS, BATCH, RATE = 3000, 512, 2e-3
EPOCHS, DIGITS_BATCH, DIGITS_RATE = 60, 100, 1e-3
PLANE = {"dim": 2, "layers": 3, "hidden": (64, 64)}
DIGITS = {"dim": 64, "layers": 3, "hidden": (256, 256)}
ROWS = [("Artifex", "nsf"), ("zuko", "nsf"), ("FlowJAX", "nsf"), ("Artifex", "maf"), ("zuko", "maf")]

DIGITS_ROWS = [*ROWS, ("Artifex", "nsf_random"), ("zuko", "nsf_random"), ("Artifex", "maf_random"), ("zuko", "maf_random")]

Evaluate = Callable[[np.ndarray], np.ndarray]
"""Log densities of points."""


def main() -> None:
    """Train every row on every data set and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="*", default=["two_moons", "eight_gaussians", "checkerboard", "pinwheel"])
    parser.add_argument("--no-digits", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="rows that contain one of these words")
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs, not how well")
    arguments = parser.parse_args()
    plane, digits = (
        [row for row in rows if not arguments.only or any(word in " ".join(row) for word in arguments.only)]
        for rows in (ROWS, DIGITS_ROWS)
    )
    if arguments.densities:
        _plane_table(plane, arguments.densities, arguments.seeds, 20 if arguments.quick else STEPS)
    if not arguments.no_digits:
        _digits_table(digits, arguments.seeds, 1 if arguments.quick else EPOCHS)


def _plane_table(rows: list[tuple[str, str]], names: list[str], seeds: int, steps: int) -> None:
    from artifex.core.densities import DENSITIES

    print(
        "\nKL(data || model), nats, mean and range of the seeds\n\n| density | entropy |",
        " | ".join(" ".join(row) for row in rows),
        "|",
    )
    print("|---" * (2 + len(rows)) + "|", flush=True)
    for name in names:
        cells = []
        for library, kind in rows:
            found = [_divergence(library, kind, name, seed, steps) for seed in range(seeds)]
            spread = f" ({min(found):.4f} – {max(found):.4f})" if seeds > 1 else ""
            cells.append(f"{np.mean(found):.4f}{spread}")
        print(f"| {name} | {DENSITIES[name]().entropy():.4f} |", " | ".join(cells), "|", flush=True)


def _divergence(library: str, kind: str, name: str, seed: int, steps: int) -> float:
    import jax

    from artifex.core.densities import DENSITIES

    density = DENSITIES[name]()
    train_key, test_key = jax.random.split(jax.random.key(1000 + seed))
    draws = np.asarray(density.sample(train_key, steps * BATCH)).reshape(steps, BATCH, 2)
    test = np.asarray(density.sample(test_key, 100_000))
    evaluate = LIBRARIES[library](kind, PLANE, seed).train(iter(draws), steps, RATE)
    log_p = np.concatenate([np.asarray(density.log_prob(part)) for part in np.split(test, 100)])
    return float(np.mean(log_p - evaluate(test)))


def _digits_table(rows: list[tuple[str, str]], seeds: int, epochs: int) -> None:
    from artifex.modalities.image.datasets import Digits, DigitsConfig

    data = Digits(DigitsConfig())
    levels = {split: np.round(16 * data.arrays(split)["x"].reshape(-1, 64)) for split in data.splits}
    mean, scale = levels["train"].mean() + 0.5, levels["train"].std()

    def dequantised(split: str, rng: np.random.Generator) -> np.ndarray:
        x = levels[split]
        return ((x + rng.random(x.shape) - mean) / scale).astype(np.float32)

    print("\nDigits, 17 grey levels, bits per dimension, each seed\n")
    print("| model | parameters | validation | test |\n|---|---|---|---|", flush=True)
    for library, kind in rows:
        found = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            run = LIBRARIES[library](kind, DIGITS, seed)
            validation, test = dequantised("validation", rng), np.concatenate([dequantised("test", rng) for _ in range(10)])
            steps = epochs * (len(levels["train"]) // DIGITS_BATCH)
            best = run.train_best(
                _epochs(dequantised, rng), steps, DIGITS_RATE, validation, len(levels["train"]) // DIGITS_BATCH
            )
            found.append([-np.mean(best(x)) / 64 / math.log(2) + math.log2(scale) for x in (validation, test)])
        cells = [", ".join(f"{bits:.3f}" for bits in column) for column in zip(*found, strict=True)]
        print(f"| {library} {kind} | {run.size} |", " | ".join(cells), "|", flush=True)


def _epochs(dequantised: Callable, rng: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        x = rng.permutation(dequantised("train", rng))
        yield from np.split(x[: len(x) // DIGITS_BATCH * DIGITS_BATCH], len(x) // DIGITS_BATCH)


class JaxRun:
    """Training of a flow whose parameters are a pytree."""

    def __init__(self, params: Any, log_prob: Callable[[Any, Any], Any]):
        import jax

        self.params, self.log_prob = params, jax.jit(log_prob)
        self.size = sum(leaf.size for leaf in jax.tree.leaves(params))

    def train(self, batches: Iterator[np.ndarray], steps: int, rate: float, seen: Callable | None = None) -> Evaluate:
        import jax
        import jax.numpy as jnp
        import optax

        optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))

        @jax.jit
        def step(params: Any, state: Any, x: Any) -> Any:
            grads = jax.grad(lambda params: -jnp.mean(self.log_prob(params, x)))(params)
            updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        state = optimizer.init(self.params)
        for i in range(steps):
            self.params, state = step(self.params, state, next(batches))
            if seen is not None:
                seen(i, self.evaluate, self.params)
        return self.evaluate

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(self.log_prob(self.params, part)) for part in np.array_split(x, -(-len(x) // 5000))])

    def train_best(self, batches: Iterator, steps: int, rate: float, validation: np.ndarray, every: int) -> Evaluate:
        best: list[Any] = [-math.inf, None]

        def seen(i: int, evaluate: Evaluate, params: Any) -> None:
            if (i + 1) % every == 0 and (score := float(np.mean(evaluate(validation)))) > best[0]:
                best[:] = score, params

        self.train(batches, steps, rate, seen)
        self.params = best[1]
        return self.evaluate


def artifex_run(kind: str, sizes: dict, seed: int) -> JaxRun:
    from flax import nnx

    graph, params, rest = nnx.split(artifex_flow(kind, **sizes, seed=seed), nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    return JaxRun(params, lambda params, x: nnx.merge(graph, params, rest)(x)["log_prob"])


def flowjax_run(kind: str, sizes: dict, seed: int) -> JaxRun:
    import equinox as eqx
    import paramax

    flow = flowjax_flow(kind, **sizes, seed=seed)
    params, static = eqx.partition(flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable))
    return JaxRun(params, lambda params, x: paramax.unwrap(eqx.combine(params, static)).log_prob(x))


class ZukoRun:
    """Training of zuko's flow."""

    def __init__(self, kind: str, sizes: dict, seed: int):
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.flow = zuko_flow(kind, **sizes)
        self.size = sum(parameter.numel() for parameter in self.flow.module.parameters())

    def train(self, batches: Iterator[np.ndarray], steps: int, rate: float, seen: Callable | None = None) -> Evaluate:
        import torch

        optimizer = torch.optim.Adam(self.flow.module.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for i in range(steps):
            optimizer.zero_grad()
            (-self.flow.log_prob(torch.tensor(next(batches))).mean()).backward()
            optimizer.step()
            schedule.step()
            if seen is not None:
                seen(i)
        return self.evaluate

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            return np.concatenate([self.flow.log_prob(part).numpy() for part in torch.as_tensor(np.array(x)).split(5000)])

    def train_best(self, batches: Iterator, steps: int, rate: float, validation: np.ndarray, every: int) -> Evaluate:
        import copy

        best: list[Any] = [-math.inf, None]

        def seen(i: int) -> None:
            if (i + 1) % every == 0 and (score := float(np.mean(self.evaluate(validation)))) > best[0]:
                best[:] = score, copy.deepcopy(self.flow.module.state_dict())

        self.train(batches, steps, rate, seen)
        self.flow.module.load_state_dict(best[1])
        return self.evaluate


LIBRARIES: dict[str, Callable] = {"Artifex": artifex_run, "zuko": ZukoRun, "FlowJAX": flowjax_run}

if __name__ == "__main__":
    main()
