"""How well energies fit: KL divergences on known densities in the plane, for every objective.

    python benchmarks/ebm_densities.py [--densities two_moons ...] [--objectives pcd ...] [--seeds 1] [--quick]

Needs `artifex-ebm` alone. About ten minutes on two quiet cores.

The energy is a multilayer perceptron of widths (128, 128) that tilts N(0, 2^2 I); 512 fresh points a step (256 with chains),
Adam with a cosine, an average of the parameters with decay 0.999. The divergence KL(p || q) is a sum over a grid, the energy
normalised there, so that no estimate of log Z comes in.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from artifex.core.densities import DENSITIES
from artifex.ebm import EBM, EBMConfig
from artifex.ebm.diagnostics import grid_divergence
from artifex.ebm.ebm import contrastive_step

MODEL: dict[str, Any] = {
    "input_dim": 2,
    "energy_network": {"kind": "mlp", "hidden_dims": [128, 128]},
    "reference": {"kind": "gaussian", "scale": 2.0},
    "tilted": True,
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "pcd": {
        "model": {
            "mcmc": {"sampler": "mala", "n_steps": 10, "step_size": 0.05},
            "sample_buffer": {"capacity": 2048, "reinit_probability": 0.0},
        },
        "rate": 5e-3,
        "batch": 256,
        "steps": 3000,
    },
    "dsm": {
        "model": {"objective": {"kind": "denoising_score_matching", "noise_scale": 0.1}},
        "densities": {"two_moons": {"objective": {"kind": "denoising_score_matching", "noise_scale": 0.05}}},
        "rate": 2e-3,
        "batch": 512,
        "steps": 3000,
    },
    "ssm": {
        "model": {"objective": {"kind": "sliced_score_matching", "n_projections": 1}},
        "rate": 2e-3,
        "batch": 512,
        "steps": 2000,
    },
    "nce": {
        "model": {"objective": {"kind": "noise_contrastive", "noise_ratio": 4}},
        "rate": 2e-3,
        "batch": 512,
        "steps": 2000,
    },
}
NAMES = {
    "pcd": "persistent contrastive divergence, MALA",
    "dsm": "denoising score matching, noise 0.1 (two moons, which are thinner: 0.05)",
    "ssm": "sliced score matching",
    "nce": "noise-contrastive estimation",
}
EMA = 0.999
AT_ONCE = 100


def main() -> None:
    """Train every objective on every density and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="*", default=["two_moons", "eight_gaussians"])
    parser.add_argument("--objectives", nargs="*", default=list(OBJECTIVES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs, not how well")
    arguments = parser.parse_args()
    print(f"| KL(p ‖ q), nats | {' | '.join(name.replace('_', ' ') for name in arguments.densities)} | seconds a run |")
    print(f"|---|{'---|' * len(arguments.densities)}---|")
    for objective in arguments.objectives:
        started, cells = time.perf_counter(), []
        for density in arguments.densities:
            steps = AT_ONCE if arguments.quick else OBJECTIVES[objective]["steps"]
            found = [divergence(objective, density, steps, seed) for seed in range(arguments.seeds)]
            cells.append(", ".join(f"{kl:.4f}" for kl in found))
        seconds = (time.perf_counter() - started) / (len(arguments.densities) * arguments.seeds)
        print(f"| {NAMES[objective]} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def divergence(objective: str, density: str, steps: int, seed: int = 0) -> float:
    """``KL(p || q)`` after training, nats."""
    setting, truth = OBJECTIVES[objective], DENSITIES[density]()
    config = MODEL | setting["model"] | setting.get("densities", {}).get(density, {})
    model = EBM(EBMConfig.from_dict(config), rngs=nnx.Rngs(seed))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    optimizer = optax.adam(optax.cosine_decay_schedule(setting["rate"], steps))

    def loss(params: Any, rest: Any, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        made = nnx.merge(graph, params, rest)
        losses = contrastive_step(made, {"x": x}, nnx.Rngs(key), jnp.zeros(()))
        return losses["loss"], nnx.as_pure(nnx.state(made, nnx.Not(nnx.Param)))

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        params, rest, state, average, moves = carry
        data_key, key = jax.random.split(key)
        grads, rest = jax.grad(loss, has_aux=True)(params, rest, truth.sample(data_key, setting["batch"]), key)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        decay = jnp.minimum(EMA, (1 + moves) / (10 + moves))
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
        return (params, rest, state, average, moves + 1), None

    many = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys)[0])
    carry = (params, rest, optimizer.init(params), params, jnp.zeros(()))
    for part in jax.random.split(jax.random.key(seed + 1), (steps // AT_ONCE, AT_ONCE)):
        carry = many(carry, part)
    trained = nnx.merge(graph, carry[3], rest)
    return float(grid_divergence(trained.energy, truth.log_prob)[0])


if __name__ == "__main__":
    main()
