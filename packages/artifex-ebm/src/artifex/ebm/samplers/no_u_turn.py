r"""The no-U-turn sampler, with step size and masses of each chain adapted in windows, by BlackJAX.

Hoffman & Gelman 2014 (arXiv:1111.4246); the windows are those of Stan; BlackJAX: Cabezas et al. 2024 (arXiv:2402.10797).

Every chain is adapted for itself. A chain whose trajectory is done waits for the longest of all: with very many chains plain
HMC makes better use of a machine.

Shapes: ``N = chains, ... = one state``.
"""

from __future__ import annotations

from typing import Any

import blackjax
import jax
import jax.numpy as jnp
from blackjax.adaptation.base import get_filter_adapt_info_fn
from blackjax.mcmc.metrics import default_metric
from jaxtyping import Array, Float

from artifex.ebm.samplers.chain import Chains, Energy, check_step_size, one_for_each, run_chains

__all__ = ["nuts"]


def nuts(
    energy: Energy,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    n_steps: int,
    step_size: float,
    n_warmup: int = 0,
    trace: bool = False,
) -> Chains:
    """NUTS: trajectories of ``exp(-E)`` that end where they begin to come back.

    Args:
        energy: ``E`` of a batch.
        x: where the chains start.
        key: of all randomness.
        n_steps: trajectories that count.
        step_size: of a leapfrog step; where there is a warm-up, the first.
        n_warmup: trajectories before, that adapt step size and masses.
        trace: keep all states.

    Raises:
        InvalidInputError: there are no steps, they have no length, or the energy is not one number for each example.
    """
    check_step_size(step_size)

    def log_density(one: Array) -> Array:
        return -one_for_each(energy(one[None]), one[None])[0]

    warmup_key, key = jax.random.split(key)
    states, parameters = _adapted(log_density, x, warmup_key, step_size, n_warmup)
    kernel = blackjax.nuts.build_kernel()

    def step_of_one(key: Array, state: Any, step_size: Array, inverse_mass: Array) -> tuple[Any, Array]:
        state, info = kernel(key, state, log_density, step_size, default_metric(inverse_mass))
        return state, info.acceptance_rate

    def step(states: Any, key: Array, t: Array) -> tuple[Any, Array]:
        del t
        return jax.vmap(step_of_one)(jax.random.split(key, x.shape[0]), states, *parameters)

    return run_chains(step, states, key, n_steps, position=lambda states: states.position, trace=trace)


def _adapted(
    log_density: Any, x: Array, key: Array, step_size: float, n_warmup: int
) -> tuple[Any, tuple[Float[Array, "N"], Float[Array, "N D"]]]:
    """States, and each chain's step size and inverse masses, after the warm-up."""
    if n_warmup == 0:
        ones = jnp.ones((x.shape[0], x[0].size))
        return jax.vmap(lambda one: blackjax.nuts.init(one, log_density))(x), (jnp.full(x.shape[:1], step_size), ones)
    windows: Any = blackjax.window_adaptation(
        blackjax.nuts, log_density, initial_step_size=step_size, adaptation_info_fn=get_filter_adapt_info_fn()
    )

    def of_one(key: Array, one: Array) -> tuple[Any, Array, Array]:
        result, _ = windows.run(key, one, n_warmup)
        return result.state, result.parameters["step_size"], result.parameters["inverse_mass_matrix"]

    states, steps, masses = jax.vmap(of_one)(jax.random.split(key, x.shape[0]), x)
    return states, (steps, masses)
