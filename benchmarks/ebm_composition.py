"""Concepts put together: energies of two moons and of eight Gaussians, trained apart, as a product and as a mixture.

    python benchmarks/ebm_composition.py [RUN RUN] [--quick]

Needs `artifex-ebm` and `artifex-training`. Without two runs of presets, `ebm-two-moons` and `ebm-eight-gaussians` are
trained: two minutes of a core for both, and one for the rest.

The product's energy is the sum of the two. A mixture's parts have to be normalised: its energy is the soft minimum of theirs
with estimates of log Z from annealed importance sampling. Divergences KL(p || q) are sums over a grid, p made of the true
densities. Chains of the product are HMC, from N(0, 4 I); how well they find it is told by the mean log density of where they
end, beside its true mean.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.densities import DENSITIES
from artifex.ebm import MCMCConfig, sample_chains
from artifex.ebm.diagnostics import grid_divergence
from artifex.ebm.energies import mixture_energy

PRESETS = ("ebm-two-moons", "ebm-eight-gaussians")
CHAINS = MCMCConfig(sampler="hmc", n_steps=500, step_size=0.1, n_leapfrog=10)


def main() -> None:
    """Train or load both concepts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", help="folders of two runs")
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs, not how well")
    arguments = parser.parse_args()
    if len(arguments.runs) not in (0, 2):
        parser.error(f"{len(arguments.runs)} runs are given; give two, one a concept, or none")
    with tempfile.TemporaryDirectory() as folder:
        runs = arguments.runs or [trained(name, Path(folder), quick=arguments.quick) for name in PRESETS]
        (first, p), (second, q) = (concept(run) for run in runs)
    print("| | KL(p ‖ model), nats |\n|---|---|")
    for run, model, truth in zip(runs, (first, second), (p, q), strict=True):
        print(f"| {run.name} | {float(grid_divergence(model.energy, truth.log_prob)[0]):.4f} |", flush=True)

    constants = jnp.stack([jnp.asarray(model.estimate_log_partition(rngs=nnx.Rngs(0)).log_z) for model in (first, second)])

    def product(x: jax.Array) -> jax.Array:
        return first.energy(x) + second.energy(x)

    def mixture(x: jax.Array) -> jax.Array:
        return mixture_energy(jnp.stack([first.energy(x), second.energy(x)], axis=1), 0.5 * jnp.exp(-constants))

    def both(x: jax.Array) -> jax.Array:
        return p.log_prob(x) + q.log_prob(x)

    def either(x: jax.Array) -> jax.Array:
        return jnp.logaddexp(p.log_prob(x), q.log_prob(x)) - jnp.log(2.0)

    constant = grid_divergence(lambda x: -both(x), both)[1]
    print(f"| product | {float(grid_divergence(product, lambda x: both(x) - constant)[0]):.4f} |")
    print(f"| mixture | {float(grid_divergence(mixture, either)[0]):.4f} |", flush=True)
    found = jax.jit(lambda x, key: sample_chains(CHAINS, product, x, key))(
        2.0 * jax.random.normal(jax.random.key(0), (2000, 2)), jax.random.key(1)
    )
    ends = both(found.x) - constant
    print(f"\nchains of the product: acceptance {float(jnp.mean(found.acceptance)):.2f}, mean log density", end=" ")
    print(f"{float(jnp.mean(ends)):.3f} ± {float(jnp.std(ends)) / len(ends) ** 0.5:.3f}, true {true_mean(both, constant):.3f}")


def true_mean(log_density: Any, constant: Any, extent: float = 5.0, n_points: int = 400) -> float:
    """The mean of a log density under itself, minus its entropy, by a sum over a grid."""
    width = 2 * extent / n_points
    axis = (jnp.arange(n_points) + 0.5) * width - extent
    values = jax.lax.map(lambda row: log_density(row) - constant, jnp.stack(jnp.meshgrid(axis, axis), axis=-1))
    return float(jnp.sum(jnp.exp(values) * values) * width**2)


def trained(name: str, folder: Path, *, quick: bool) -> Path:
    """The folder of a run of a preset."""
    from artifex.training.run_config import read_run_config
    from artifex.training.runs import build_run

    few = ["training.steps=20", "data.dataset.n_train=20000", "callbacks=[]"] if quick else ["callbacks=[]"]
    build_run(read_run_config(name, few)).start(folder / name)
    return folder / name


def concept(run: Path) -> tuple[Any, Any]:
    """A run's model, and the density that it was trained on."""
    from artifex.training.runs import load_run

    config, model, _ = load_run(run)
    return model, DENSITIES[config.data.dataset.density]()


if __name__ == "__main__":
    main()
