"""What float32 leaves of ``inverse(forward(x))`` after training, to ten standard deviations out: Artifex, zuko, nflows.

    python benchmarks/flow_round_trip.py [--densities two_moons eight_gaussians] [--only maf] [--quick]

Needs `torch`, `zuko`, `nflows` and `artifex-flow` (`nox -s bench` sets them up). About ten minutes on two cores.

Flows of hidden widths (64, 64), 8 bins, 3 autoregressive transforms, 4 spline or 8 affine coupling layers; 3000 steps of 512
fresh points, Adam at 2e-3 with a cosine, one seed. The error is the largest of `|x' - x|` over both elements and 100 000 draws,
or 200 000 points drawn evenly from the square that reaches ten standard deviations of the data from their mean in each element.
Beside it the divergence from the data, because both can be had for each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from flow_nll import BATCH, RATE, STEPS, JaxRun, ZukoRun
from flow_peers import BINS, BOUND, nflows_flow

RoundTrip = Callable[[np.ndarray], np.ndarray]
ROWS = ("maf", "iaf", "real_nvp", "nsf", "nsf, min_slope 0.1", "nsf_coupling", "nsf_coupling, min_slope 0.1")
TORCH_ROWS = ("zuko maf", "zuko nsf", "nflows nsf", "nflows nsf_coupling", "nflows real_nvp")


def main() -> None:
    """Train every row on every density and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="+", default=["two_moons", "eight_gaussians"])
    parser.add_argument("--only", nargs="+", help="rows that contain one of these words")
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs, not how well")
    arguments = parser.parse_args()
    rows = [row for row in (*ROWS, *TORCH_ROWS) if not arguments.only or any(word in row for word in arguments.only)]
    for name in arguments.densities:
        print(
            f"\n{name}\n\n| flow | divergence, nats | worst of the data | worst to ten deviations |\n|---|---|---|---|",
            flush=True,
        )
        for row in rows:
            divergence, data, far = _figures(row, name, 20 if arguments.quick else STEPS)
            print(f"| {row} | {divergence:.4f} | {data:.1e} | {far:.1e} |", flush=True)


def _figures(row: str, name: str, steps: int) -> tuple[float, float, float]:
    import jax

    from artifex.flow.densities import DENSITIES

    density = DENSITIES[name]()
    train_key, test_key = jax.random.split(jax.random.key(1000))
    draws = np.asarray(density.sample(train_key, steps * BATCH)).reshape(steps, BATCH, 2)
    test = np.asarray(density.sample(test_key, 100_000))
    train = _torch if row in TORCH_ROWS else _artifex
    log_prob, round_trip = train(row, iter(draws), steps)
    log_p = np.concatenate([np.asarray(density.log_prob(part)) for part in np.split(test, 100)])
    squares = np.random.default_rng(0).uniform(-10, 10, (200_000, 2))
    far = (test.mean(axis=0) + test.std(axis=0) * squares).astype(np.float32)
    data_error, far_error = (float(np.max(np.abs(round_trip(x) - x))) for x in (test, far))
    return float(np.mean(log_p - log_prob(test))), data_error, far_error


def _artifex(row: str, batches: object, steps: int) -> tuple[RoundTrip, RoundTrip]:
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
    model = create_model(config, rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    run = JaxRun(params, lambda params, x: nnx.merge(graph, params, rest)(x)["log_prob"])
    log_prob = run.train(batches, steps, RATE)
    nnx.update(model, run.params)
    return log_prob, lambda x: np.asarray(model.inverse(model.forward(x)[0])[0])


def _torch(row: str, batches: object, steps: int) -> tuple[RoundTrip, RoundTrip]:
    import torch

    library, kind = row.split()
    run = ZukoRun(kind, {"dim": 2, "layers": 3, "hidden": (64, 64)}, 0)
    if library == "nflows":
        torch.manual_seed(0)
        layers = {"nsf": 3, "nsf_coupling": 4, "real_nvp": 8}[kind]
        run.flow = nflows_flow(kind, dim=2, layers=layers, hidden=(64, 64))
    log_prob = run.train(batches, steps, RATE)

    def round_trip(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = torch.tensor(x)
            if library == "zuko":
                transform = run.flow.module().transform
                return transform.inv(transform(x)).numpy()
            transform = run.flow.module._transform
            return transform.inverse(transform(x)[0])[0].numpy()

    return log_prob, round_trip


if __name__ == "__main__":
    main()
