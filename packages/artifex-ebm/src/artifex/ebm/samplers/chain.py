r"""What all samplers share: a kernel, run for a number of steps on all chains at once in one ``lax.scan``.

Shapes: ``N = chains, T = steps, ... = one state``.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = [
    "Chains",
    "Energy",
    "Kernel",
    "check_step_size",
    "check_steps",
    "energy_and_gradient",
    "gradient",
    "one_for_each",
    "per_chain",
    "run_chains",
]

Energy: TypeAlias = Callable[[Float[Array, "N ..."]], Float[Array, "N"]]
"""``E(x)`` of a batch, each example by itself."""
Kernel: TypeAlias = Callable[[Any, Array, Array], tuple[Any, Float[Array, "N"]]]
"""``kernel(state, key, t) -> (state, acceptance)``, of all chains; the first leaf of a state is ``x``."""


class Chains(NamedTuple):
    """Where chains have come to."""

    x: Float[Array, "N ..."]
    """Last states."""
    acceptance: Float[Array, "N"]
    """Mean probability of acceptance of each chain; 1 where nothing is rejected."""
    trace: Float[Array, "N T ..."] | None = None
    """All states in order, where they were asked for."""


def run_chains(
    kernel: Kernel,
    state: Any,
    key: Array,
    n_steps: int,
    *,
    position: Callable[[Any], Array] = lambda state: state,
    trace: bool = False,
) -> Chains:
    """Run ``kernel`` for ``n_steps``; one program however many chains there are.

    Args:
        kernel: one step of all chains.
        state: what it starts from.
        key: of all randomness; step ``t`` draws from ``fold_in(key, t)``.
        n_steps: ``T``, 1 or more.
        position: the part of a state that is ``x``.
        trace: keep all states.
    """
    check_steps(n_steps=n_steps)

    def step(state: Any, t: Array) -> tuple[Any, Any]:
        state, acceptance = kernel(state, jax.random.fold_in(key, t), t)
        return state, (acceptance, position(state) if trace else None)

    state, (acceptance, states) = jax.lax.scan(step, state, jnp.arange(n_steps))
    return Chains(position(state), jnp.mean(acceptance, axis=0), None if states is None else jnp.swapaxes(states, 0, 1))


def gradient(energy: Energy) -> Callable[[Float[Array, "N ..."]], Float[Array, "N ..."]]:
    """``grad E(x)`` of each example."""
    return jax.grad(lambda x: jnp.sum(one_for_each(energy(x), x)))


def energy_and_gradient(energy: Energy) -> Callable[[Array], tuple[Float[Array, "N"], Float[Array, "N ..."]]]:
    """``E(x)`` and ``grad E(x)`` of each example, in one pass."""

    def total(x: Array) -> tuple[Array, Array]:
        energies = one_for_each(energy(x), x)
        return jnp.sum(energies), energies

    def both(x: Array) -> tuple[Array, Array]:
        gradients, energies = jax.grad(total, has_aux=True)(x)
        return energies, gradients

    return both


def per_chain(values: Float[Array, "N"], like: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
    """One number for each chain, with axes to stand beside its state."""
    return values.reshape(values.shape[0], *(1,) * (like.ndim - 1))


def check_steps(**given: Any) -> None:
    """Raise unless each of the counts is a whole number of at least 1.

    Raises:
        InvalidInputError: one is none.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise InvalidInputError(f"{name} is {value!r}; a chain takes an integer number of steps, at least one step")


def check_step_size(step_size: Any) -> None:
    """Raise unless a step has a length; of one that is traced nothing is known.

    Raises:
        InvalidInputError: it has none.
    """
    if not isinstance(step_size, Tracer) and not 0 < step_size < float("inf"):
        raise InvalidInputError(f"step_size is {step_size!r}; it has to be a number above 0")


def one_for_each(energies: Array, x: Array) -> Float[Array, "N"]:
    """The energies of a batch, if there is one for each example.

    Raises:
        InvalidInputError: there is not.
    """
    if jnp.shape(energies) != x.shape[:1]:
        raise InvalidInputError(
            f"the energy of a batch of shape {x.shape} has shape {jnp.shape(energies)}, expected {x.shape[:1]}: one number for "
            "each example"
        )
    return energies
