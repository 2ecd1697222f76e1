r"""Langevin and Hamiltonian dynamics with Metropolis's rejection, which makes them exact at any step size.

    MALA: Roberts & Tweedie 1996; HMC: Duane et al. 1987, Neal 2011 (arXiv:1206.1901)
    accept x' with probability min(1, exp(E(x) - E(x')) q(x | x') / q(x' | x))

Both move all chains at once: an energy is asked for a batch, which a network answers faster than for one example many times.
A warm-up adapts the step size by dual averaging (Hoffman & Gelman 2014, arXiv:1111.4246, section 3.2) of the mean acceptance of
all chains.

Shapes: ``N = chains, ... = one state``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.ebm.references import summed
from artifex.ebm.samplers.chain import Chains, Energy, check_step_size, check_steps, energy_and_gradient, per_chain, run_chains

__all__ = ["DualAveraging", "adapt_step_size", "hmc", "mala"]

MALA_TARGET, HMC_TARGET = 0.574, 0.8
"""Mean acceptance that a warm-up aims at (Roberts & Rosenthal 1998; Hoffman & Gelman 2014)."""

Differentiated: TypeAlias = Callable[[Array], tuple[Array, Array]]
Move: TypeAlias = Callable[["State", Array, Array], tuple["State", Array]]
"""``move(state, step_size, key)``: new states, and the probabilities of their acceptance."""


class State(NamedTuple):
    """Chains, and what is known of where they are."""

    x: Float[Array, "N ..."]
    energy: Float[Array, "N"]
    gradient: Float[Array, "N ..."]


class DualAveraging(NamedTuple):
    """State of the adaptation of a step size."""

    log_step: Array
    """Of the next step."""
    average: Array
    """Its weighted average, which is what a warm-up leaves."""
    error: Array
    """Sum of ``target - acceptance``."""
    n: Array
    """Steps so far."""


def mala(
    energy: Energy,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    n_steps: int,
    step_size: float,
    n_warmup: int = 0,
    trace: bool = False,
) -> Chains:
    """Metropolis-adjusted Langevin: ``x' = x - e grad E(x) + sqrt(2 e) z``, accepted or not.

    Args:
        energy: ``E`` of a batch.
        x: where the chains start.
        key: of all randomness.
        n_steps: steps that count.
        step_size: ``e``; where there is a warm-up, the first.
        n_warmup: steps before, that adapt ``e``.
        trace: keep all states.

    Raises:
        InvalidInputError: there are no steps, they have no length, or the energy is not one number for each example.

    Example:
        >>> chains = mala(
        ...     lambda x: jnp.sum(x**2, axis=1) / 2, jnp.zeros((500, 1)), jax.random.key(0), n_steps=50, step_size=0.5
        ... )
        >>> 0.8 < float(jnp.var(chains.x)) < 1.25
        True
    """
    both = energy_and_gradient(energy)

    def move(state: State, step_size: Array, key: Array) -> tuple[State, Array]:
        noise_key, accept_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, state.x.shape, state.x.dtype)
        x = state.x - step_size * state.gradient + jnp.sqrt(2 * step_size) * noise
        proposal = State(x, *both(x))
        there = summed(jnp.square(noise)) / 2  # -log q(x' | x), and back again:
        back = summed(jnp.square(state.x - x + step_size * proposal.gradient)) / (4 * step_size)
        return _accepted(accept_key, state, proposal, state.energy - proposal.energy + there - back)

    return _run(move, both, x, key, n_steps, step_size, n_warmup, MALA_TARGET, trace)


def hmc(
    energy: Energy,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    n_steps: int,
    step_size: float,
    n_leapfrog: int = 10,
    n_warmup: int = 0,
    trace: bool = False,
) -> Chains:
    """Hamiltonian Monte Carlo with momenta ``v ~ N(0, I)`` and trajectories of ``L`` leapfrog steps.

    A trajectory's step is drawn from ``e (1 ± 0.2)``: with one length only, chains of a Gaussian could come back to where they
    started (Neal 2011, section 3.2).

    Args:
        energy: ``E`` of a batch.
        x: where the chains start.
        key: of all randomness.
        n_steps: trajectories that count.
        step_size: ``e``; where there is a warm-up, the first.
        n_leapfrog: ``L``.
        n_warmup: trajectories before, that adapt ``e``.
        trace: keep all states.

    Raises:
        InvalidInputError: there are no steps, they have no length, or the energy is not one number for each example.

    Example:
        >>> chains = hmc(
        ...     lambda x: jnp.sum(x**2, axis=1) / 2, jnp.zeros((500, 1)), jax.random.key(0), n_steps=20, step_size=0.2
        ... )
        >>> 0.8 < float(jnp.var(chains.x)) < 1.25
        True
    """
    check_steps(n_leapfrog=n_leapfrog)
    both = energy_and_gradient(energy)

    def move(state: State, step_size: Array, key: Array) -> tuple[State, Array]:
        momentum_key, jitter_key, accept_key = jax.random.split(key, 3)
        v = jax.random.normal(momentum_key, state.x.shape, state.x.dtype)
        step = step_size * jax.random.uniform(jitter_key, minval=0.8, maxval=1.2)
        proposal, after = _leapfrog(both, state, v, step, n_leapfrog)
        kinetic = summed(jnp.square(v) - jnp.square(after)) / 2
        return _accepted(accept_key, state, proposal, state.energy - proposal.energy + kinetic)

    return _run(move, both, x, key, n_steps, step_size, n_warmup, HMC_TARGET, trace)


def _leapfrog(both: Differentiated, state: State, v: Array, step: Array, n: int) -> tuple[State, Array]:
    """``v -= e/2 grad E, x += e v, v -= e/2 grad E``, ``n`` times; neighbouring half steps are made as one."""

    def one(_: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, v = carry
        x = state.x + step * v
        moved = State(x, *both(x))
        return moved, v - step * moved.gradient

    state, v = jax.lax.fori_loop(0, n, one, (state, v - step / 2 * state.gradient))
    return state, v + step / 2 * state.gradient


def _accepted(key: Array, state: State, proposal: State, log_ratio: Array) -> tuple[State, Array]:
    """The proposal where it is accepted; one whose energy is not finite never is."""
    probability = jnp.exp(jnp.minimum(jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio), 0.0))
    taken = jax.random.uniform(key, probability.shape) < probability
    chosen = [jnp.where(per_chain(taken, new), new.astype(old.dtype), old) for new, old in zip(proposal, state, strict=True)]
    return State(*chosen), probability


def _run(
    move: Move,
    both: Differentiated,
    x: Array,
    key: Array,
    n_steps: int,
    step_size: float,
    n_warmup: int,
    target: float,
    trace: bool,
) -> Chains:
    check_step_size(step_size)
    warmup_key, key = jax.random.split(key)
    state, step = adapt_step_size(move, State(x, *both(x)), warmup_key, step_size, n_warmup, target)

    def kernel(state: State, key: Array, t: Array) -> tuple[State, Array]:
        del t
        return move(state, step, key)

    return run_chains(kernel, state, key, n_steps, position=lambda state: state.x, trace=trace)


def adapt_step_size(
    move: Move, state: Any, key: Array, step_size: float, n_warmup: int, target: float
) -> tuple[Any, Float[Array, ""]]:
    """Run ``n_warmup`` steps and find the step size at which the mean acceptance is ``target``; none leaves it as it is."""
    if n_warmup == 0:
        return state, jnp.asarray(step_size)
    log_step = jnp.asarray(math.log(step_size))
    start = DualAveraging(log_step, log_step, jnp.zeros(()), jnp.zeros(()))

    def step(carry: tuple[Any, DualAveraging], t: Array) -> tuple[tuple[Any, DualAveraging], None]:
        state, averaging = carry
        state, acceptance = move(state, jnp.exp(averaging.log_step), jax.random.fold_in(key, t))
        return (state, averaged(averaging, jnp.mean(acceptance), target, log_step)), None

    (state, averaging), _ = jax.lax.scan(step, (state, start), jnp.arange(n_warmup))
    return state, jnp.exp(averaging.average)


def averaged(state: DualAveraging, acceptance: Array, target: float, log_step: Array) -> DualAveraging:
    """One step of dual averaging (arXiv:1111.4246, equations 6; gamma = 0.05, t0 = 10, kappa = 0.75)."""
    n = state.n + 1
    error = state.error + target - acceptance
    moved = log_step + math.log(10) - jnp.sqrt(n) / 0.05 * error / (n + 10)
    weight = n**-0.75
    return DualAveraging(moved, weight * moved + (1 - weight) * state.average, error, n)
