"""What float32 leaves of ``inverse(forward(x))`` after training, to ten standard deviations out: Artifex, zuko, nflows.

    python benchmarks/flow_round_trip.py [--densities two_moons eight_gaussians] [--only maf] [--seeds 1] [--quick]

Needs `torch`, `zuko`, `nflows` and `artifex-flow` (`nox -s bench` sets them up). About ten minutes on two cores.

Flows of hidden widths (64, 64), 8 bins, 3 autoregressive transforms, 4 spline or 8 affine coupling layers; 3000 steps of 512
fresh points, standardised, Adam at 2e-3 with a cosine; the worst of the seeds, and the mean of their divergences. The error is
the largest of `|x' - x|` over both elements and 100 000 draws, or 200 000 points drawn evenly from the square that reaches ten
standard deviations from the mean in each element. `z rounded` is what float32 cannot but lose at those points: all is done in
float64, but that `z` is rounded on its way. Beside it the divergence from the data, because both can be had for each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from flow_nll import BATCH, RATE, STEPS, JaxRun, ZukoRun
from flow_peers import BINS, BOUND, nflows_flow

RoundTrip = Callable[[np.ndarray], np.ndarray]
ROWS = ("maf", "iaf", "real_nvp", "nsf", "nsf, min_slope 0.001", "nsf_coupling", "nsf_coupling, min_slope 0.001")
TORCH_ROWS = ("zuko maf", "zuko nsf", "nflows nsf", "nflows nsf_coupling", "nflows real_nvp")


class Trained(NamedTuple):
    """What is asked of a flow after training."""

    log_prob: RoundTrip
    round_trip: RoundTrip
    """In float32."""
    rounded: RoundTrip
    """In float64, with ``z`` rounded to float32."""


def main() -> None:
    """Train every row on every density and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="+", default=["two_moons", "eight_gaussians"])
    parser.add_argument("--only", nargs="+", help="rows that contain one of these words")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs, not how well")
    arguments = parser.parse_args()
    rows = [row for row in (*ROWS, *TORCH_ROWS) if not arguments.only or any(word in row for word in arguments.only)]
    for name in arguments.densities:
        print(
            f"\n{name}\n\n| flow | divergence, nats | worst of the data | worst to ten deviations | z rounded |\n"
            "|---|---|---|---|---|",
            flush=True,
        )
        for row in rows:
            found = [_figures(row, name, 20 if arguments.quick else STEPS, seed) for seed in range(arguments.seeds)]
            worst = " | ".join(f"{max(column):.1e}" for column in list(zip(*found, strict=True))[1:])
            print(f"| {row} | {np.mean([figures[0] for figures in found]):.4f} | {worst} |", flush=True)


def _figures(row: str, name: str, steps: int, seed: int) -> tuple[float, float, float, float]:
    import jax

    from artifex.core.densities import DENSITIES

    density = DENSITIES[name]()
    train_key, test_key = jax.random.split(jax.random.key(1000 + seed))
    draws = np.asarray(density.sample(train_key, steps * BATCH)).reshape(steps, BATCH, 2)
    test = np.asarray(density.sample(test_key, 100_000))
    mean, scale = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1))
    flow = (_torch if row in TORCH_ROWS else _artifex)(row, iter((draws - mean) / scale), steps, seed)
    log_p = np.concatenate([np.asarray(density.log_prob(part)) for part in np.split(test, 100)])
    log_q = flow.log_prob((test - mean) / scale) - np.sum(np.log(scale))
    far = np.random.default_rng(seed).uniform(-10, 10, (200_000, 2)).astype(np.float32)

    def error(way: RoundTrip, x: np.ndarray) -> float:
        return float(np.max(np.abs(way(x) - x)))

    data = error(flow.round_trip, (test - mean) / scale)
    return float(np.mean(log_p - log_q)), data, error(flow.round_trip, far), error(flow.rounded, far)


def _artifex(row: str, batches: object, steps: int, seed: int) -> Trained:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from artifex.core import create_model
    from artifex.flow import IAFConfig, MAFConfig, NeuralSplineFlowConfig, RealNVPConfig

    kind, _, option = row.partition(", min_slope ")
    slope = {"min_slope": float(option)} if option else {}
    config = {
        "maf": lambda: MAFConfig(input_dim=2, num_transforms=3),
        "iaf": lambda: IAFConfig(input_dim=2, num_transforms=3),
        "real_nvp": lambda: RealNVPConfig(input_dim=2, num_coupling_layers=8),
        "nsf": lambda: NeuralSplineFlowConfig(input_dim=2, num_transforms=3, bins=BINS, bound=BOUND, **slope),
        "nsf_coupling": lambda: NeuralSplineFlowConfig(
            input_dim=2, num_transforms=4, layer="coupling", bins=BINS, bound=BOUND, **slope
        ),
    }[kind]()
    model = create_model(config, rngs=nnx.Rngs(seed))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    run = JaxRun(params, lambda params, x: nnx.merge(graph, params, rest)(x)["log_prob"])
    log_prob = run.train(batches, steps, RATE)
    nnx.update(model, run.params)

    def rounded(x: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            double = nnx.merge(graph, jax.tree.map(lambda p: np.float64(p), run.params), rest)
            z, _ = nnx.jit(lambda flow, x: flow.bijection.forward(x))(double, jnp.asarray(x, jnp.float64))
            back, _ = nnx.jit(lambda flow, z: flow.bijection.inverse(z))(double, z.astype(jnp.float32).astype(jnp.float64))
            return np.asarray(back, np.float32)

    return Trained(log_prob, lambda x: np.asarray(model.inverse(model.forward(x)[0])[0]), rounded)


def _torch(row: str, batches: object, steps: int, seed: int) -> Trained:
    import torch

    library, kind = row.split()
    run = ZukoRun(kind, {"dim": 2, "layers": 3, "hidden": (64, 64)}, seed)
    if library == "nflows":
        torch.manual_seed(seed)
        layers = {"nsf": 3, "nsf_coupling": 4, "real_nvp": 8}[kind]
        run.flow = nflows_flow(kind, dim=2, layers=layers, hidden=(64, 64))
    log_prob = run.train(batches, steps, RATE)

    def forward(x: torch.Tensor) -> torch.Tensor:
        return run.flow.module().transform(x) if library == "zuko" else run.flow.module._transform(x)[0]

    def inverse(z: torch.Tensor) -> torch.Tensor:
        return run.flow.module().transform.inv(z) if library == "zuko" else run.flow.module._transform.inverse(z)[0]

    def round_trip(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return inverse(forward(torch.tensor(x))).numpy()

    def rounded(x: np.ndarray) -> np.ndarray:
        run.flow.module.double()
        with torch.no_grad():
            return inverse(forward(torch.tensor(x).double()).float().double()).float().numpy()

    return Trained(log_prob, round_trip, rounded)


if __name__ == "__main__":
    main()
