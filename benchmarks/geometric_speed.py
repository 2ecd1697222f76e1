"""Milliseconds of an EGNN forward and backward beside egnn-pytorch, and of a step of a diffusion with and without buckets.

    python benchmarks/geometric_speed.py [--what egnn buckets] [--rounds 5] [--quick]

`egnn` needs `torch`, `einops` and `egnn-pytorch` (installed with `--no-deps`); `buckets` needs `artifex-geometric` and
`artifex-training` alone. About four minutes on two quiet cores.

EGNN: 4 layers of width 64 on 16 sets of 64 points, the sizes of every inner layer those of egnn-pytorch, gradients of all
parameters. "Compiled" is `torch.compile`. Buckets: an equivariant diffusion (4 layers of 64) on batches of 64 sets of QM9's
sizes, padded to 29 points, or in buckets; a step is forward and backward, the mean over batches as they come. Beside the clock
there is the processor's time, which says more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
from typing import Any

import numpy as np
from rounds import Contestant, Run, measure, table

LAYERS, WIDTH, SETS, POINTS = 4, 64, 16, 64
SIZE_COUNTS = (
    0, 0, 2, 4, 5, 12, 20, 65, 172, 483, 1053, 2189, 4027, 6758, 10216, 13824, 16969, 17442, 18146, 12403, 13166, 4428, 6362,
    712, 1923, 59, 356, 0, 35,
)  # fmt: skip
BUCKETS = (14, 16, 17, 18, 19, 20, 22, 29)


def main() -> None:
    """Time the rows and print one table a question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=["egnn", "buckets"], default=["egnn", "buckets"])
    parser.add_argument("--threads", type=int, default=2, help="cores that every row may use")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="one step and two rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    rows = {
        "egnn": [
            Contestant("Artifex", artifex_egnn),
            Contestant("egnn-pytorch", torch_egnn, {"compiled": False}),
            Contestant("egnn-pytorch, compiled", torch_egnn, {"compiled": True}),
        ],
        "buckets": [
            Contestant("padded to 29", diffusion_steps, {"buckets": ()}),
            Contestant("in buckets", diffusion_steps, {"buckets": BUCKETS}),
        ],
    }
    for what in arguments.what:
        steps, rounds = (1, 2) if arguments.quick else ({"egnn": 3, "buckets": 12}[what], arguments.rounds)
        timings = measure(rows[what], steps=steps, rounds=rounds, threads=arguments.threads)
        print(f"\n{what}, {arguments.threads} threads, load {os.getloadavg()[0]:.1f}\n")
        print(table(timings, baseline=rows[what][0].label))
        for label, timing in timings.items():
            print(f"{label}: {statistics.median(timing.processor_rounds_ms):.1f} ms of processor time", flush=True)


def points() -> tuple[np.ndarray, np.ndarray]:
    """Features and coordinates."""
    random = np.random.default_rng(0)
    return random.normal(size=(SETS, POINTS, WIDTH)).astype(np.float32), random.normal(size=(SETS, POINTS, 3)).astype(
        np.float32
    )


def artifex_egnn(threads: int) -> Run:
    del threads  # XLA takes the cores that the process has
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from artifex.geometric.egnn import EGNNLayer

    h, x = map(jnp.asarray, points())
    sizes = {"message_features": 16, "edge_hidden": 2 * (2 * WIDTH + 1), "coordinate_hidden": 64, "node_hidden": 2 * WIDTH}
    layers = nnx.List([EGNNLayer(WIDTH, **sizes, self_edges=True, rngs=nnx.Rngs(i)) for i in range(LAYERS)])
    graph, params = nnx.split(layers)

    def loss(params: Any) -> jax.Array:
        made, moved, mask = h, 0.1 * x, jnp.ones(x.shape[:2], bool)
        for layer in nnx.merge(graph, params):
            made, moved = layer(made, moved, mask)
        return jnp.mean(jnp.square(made)) + jnp.mean(jnp.square(moved))

    step = jax.jit(jax.grad(loss))

    def run(steps: int) -> None:
        jax.block_until_ready([step(params) for _ in range(steps)])

    return run


def torch_egnn(compiled: bool, threads: int) -> Run:
    import torch
    from egnn_pytorch import EGNN

    torch.set_num_threads(threads)
    h, x = map(torch.as_tensor, points())
    layers = torch.nn.ModuleList([EGNN(dim=WIDTH, m_dim=16, init_eps=0.1) for _ in range(LAYERS)])

    def loss(h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        for layer in layers:
            h, x = layer(h, x)
        return h.square().mean() + x.square().mean()

    forward = torch.compile(loss) if compiled else loss

    def run(steps: int) -> None:
        for _ in range(steps):
            layers.zero_grad()
            forward(h, 0.1 * x).backward()

    return run


def diffusion_steps(buckets: tuple[int, ...], threads: int) -> Run:
    del threads
    import jax
    from flax import nnx

    from artifex.geometric import EGNNConfig, EquivariantDiffusion, EquivariantDiffusionConfig
    from artifex.geometric.datasets.buckets import bucket_of
    from artifex.training.loaders import as_loader

    random = np.random.default_rng(0)
    sizes = random.choice(len(SIZE_COUNTS), 4096, p=np.array(SIZE_COUNTS) / sum(SIZE_COUNTS)) + 1
    mask = np.arange(29)[None] < sizes[:, None]
    data = {"x": np.where(mask[..., None], random.normal(size=(4096, 29, 8)), 0).astype(np.float32), "mask": mask}
    loader = as_loader(data | ({"bucket": bucket_of(sizes, buckets)} if buckets else {}), batch_size=64, seed=0)
    config = EquivariantDiffusionConfig(max_points=29, n_types=5, network=EGNNConfig(features=64, layers=4))
    graph, params, rest = nnx.split(EquivariantDiffusion(config, rngs=nnx.Rngs(0)), nnx.Param, ...)

    def loss(params: Any, batch: Any, key: Any) -> Any:
        model = nnx.merge(graph, params, rest)
        return model.loss_fn(batch, model(batch["x"], mask=batch["mask"], rngs=nnx.Rngs(key)))["loss"].value

    step = jax.jit(jax.grad(loss))
    one_of_each = {batch["x"].shape: batch for batch in (next(loader) for _ in range(loader.steps_per_epoch))}
    jax.block_until_ready([step(params, batch, jax.random.key(0)) for batch in one_of_each.values()])  # all are compiled
    keys = itertools.count()

    def run(steps: int) -> None:
        jax.block_until_ready([step(params, next(loader), jax.random.key(next(keys))) for _ in range(steps)])

    return run


if __name__ == "__main__":
    main()
