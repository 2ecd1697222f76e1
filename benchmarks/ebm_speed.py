"""Milliseconds of Markov chains: Langevin beside a bare scan and torchebm, NUTS beside BlackJAX by hand.

    python benchmarks/ebm_speed.py [--what langevin nuts] [--rounds 7] [--quick]

Needs `artifex-ebm`; the row of torchebm needs `torch` and `torchebm`, and is left out without them. About three minutes on two
quiet cores.

Langevin: 60 steps of 256 chains in 64 dimensions, of a multilayer perceptron of widths (128, 128). NUTS: 200 trajectories of 4
chains of a correlated Gaussian in 64 dimensions, after 200 of window adaptation. Every row is a process of its own on the same
cores, and the rows take turns (`rounds.py`).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from itertools import pairwise

import numpy as np
from rounds import Contestant, Run, measure, table

CHAINS, SIZE, STEPS, STEP_SIZE = 256, 64, 60, 0.01
WIDTHS = (128, 128)
NUTS_CHAINS, TRAJECTORIES = 4, 200


def main() -> None:
    """Time the rows and print one table a sampler."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=["langevin", "nuts"], default=["langevin", "nuts"])
    parser.add_argument("--threads", type=int, default=2, help="cores that every row may use")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one step and two rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    rows = {
        "langevin": [Contestant("Artifex", artifex_langevin), Contestant("bare scan", bare_langevin)],
        "nuts": [Contestant("Artifex", artifex_nuts), Contestant("BlackJAX by hand", blackjax_nuts)],
    }
    if importlib.util.find_spec("torchebm") is not None:
        rows["langevin"].append(Contestant("torchebm", torchebm_langevin))
    for what in arguments.what:
        steps = 1 if arguments.quick else {"langevin": 20, "nuts": 1}[what]
        timings = measure(rows[what], steps=steps, rounds=2 if arguments.quick else arguments.rounds, threads=arguments.threads)
        print(f"\n{what}, {arguments.threads} threads, load {os.getloadavg()[0]:.1f}\n")
        print(table(timings, baseline="Artifex"), flush=True)


def artifex_langevin(*, threads: int) -> Run:
    """``model.run_chains``."""
    del threads
    import jax
    from flax import nnx

    from artifex.ebm import EBM, EBMConfig, EnergyNetworkConfig, MCMCConfig

    config = EBMConfig(
        input_dim=SIZE,
        energy_network=EnergyNetworkConfig(hidden_dims=WIDTHS),
        mcmc=MCMCConfig(n_steps=STEPS, step_size=STEP_SIZE),
    )
    model, start = EBM(config, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (CHAINS, SIZE))

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(model.run_chains(start).x)

    return run


def bare_langevin(*, threads: int) -> Run:
    """The shortest program: weights in a list, one scan, one ``jax.jit``."""
    del threads
    import jax
    import jax.numpy as jnp

    sizes = (SIZE, *WIDTHS, 1)
    keys = jax.random.split(jax.random.key(0), len(sizes))
    weights = [
        (jax.random.normal(k, (i, o)) / np.sqrt(i), jnp.zeros(o)) for k, i, o in zip(keys, sizes, sizes[1:], strict=False)
    ]
    start = jax.random.normal(keys[-1], (CHAINS, SIZE))

    def energy(weights, x):
        for w, b in weights[:-1]:
            x = jax.nn.silu(x @ w + b[None])
        return jnp.sum(x @ weights[-1][0])

    @jax.jit
    def chains(weights, x, key):
        def step(x, key):
            return x - STEP_SIZE * jax.grad(energy, 1)(weights, x) + np.sqrt(2 * STEP_SIZE) * jax.random.normal(
                key, x.shape
            ), None

        return jax.lax.scan(step, x, jax.random.split(key, STEPS))[0]

    def run(steps: int) -> None:
        for i in range(steps):
            jax.block_until_ready(chains(weights, start, jax.random.key(i)))

    return run


def torchebm_langevin(*, threads: int) -> Run:
    """``LangevinDynamics.sample`` of a model of the same shape."""
    import torch
    from torchebm.core import BaseModel
    from torchebm.samplers import LangevinDynamics

    torch.set_num_threads(threads)

    class Network(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            sizes = (SIZE, *WIDTHS)
            layers = [module for i, o in pairwise(sizes) for module in (torch.nn.Linear(i, o), torch.nn.SiLU())]
            self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTHS[-1], 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)[:, 0]

    sampler, start = LangevinDynamics(Network(), step_size=STEP_SIZE), torch.randn(CHAINS, SIZE)

    def run(steps: int) -> None:
        for _ in range(steps):
            sampler.sample(x=start, n_steps=STEPS)

    return run


def artifex_nuts(*, threads: int) -> Run:
    """``sample_chains`` with ``sampler="nuts"``."""
    del threads
    import jax
    import jax.numpy as jnp

    from artifex.ebm import MCMCConfig, sample_chains

    precision = jnp.asarray(_precision())
    config = MCMCConfig(sampler="nuts", n_steps=TRAJECTORIES, n_warmup=TRAJECTORIES, step_size=0.5)

    def energy(x):
        return 0.5 * jnp.sum((x @ precision) * x, axis=-1)

    chains = jax.jit(lambda x, key: sample_chains(config, energy, x, key, trace=True).trace)
    return _jax_run(chains)


def blackjax_nuts(*, threads: int) -> Run:
    """BlackJAX's own pieces, put together as its documents do."""
    del threads
    import blackjax
    import jax
    import jax.numpy as jnp

    precision = jnp.asarray(_precision())

    def log_density(x):
        return -0.5 * (x @ precision) @ x

    def chain(key, x):
        warm_key, key = jax.random.split(key)
        warmup = blackjax.window_adaptation(blackjax.nuts, log_density, initial_step_size=0.5)
        result, _ = warmup.run(warm_key, x, TRAJECTORIES)
        step = blackjax.nuts(log_density, result.parameters["step_size"], result.parameters["inverse_mass_matrix"]).step

        def one(state, key):
            state, _ = step(key, state)
            return state, state.position

        return jax.lax.scan(one, result.state, jax.random.split(key, TRAJECTORIES))[1]

    return _jax_run(jax.jit(lambda x, key: jax.vmap(chain)(jax.random.split(key, NUTS_CHAINS), x)))


def _jax_run(chains) -> Run:
    import jax

    start = jax.random.normal(jax.random.key(0), (NUTS_CHAINS, SIZE))

    def run(steps: int) -> None:
        for i in range(steps):
            jax.block_until_ready(chains(start, jax.random.key(i)))

    return run


def _precision() -> np.ndarray:
    at = np.arange(SIZE)
    return np.linalg.inv(0.6 ** np.abs(at[:, None] - at[None])).astype(np.float32)


if __name__ == "__main__":
    main()
