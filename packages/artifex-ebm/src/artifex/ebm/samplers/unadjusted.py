r"""Unadjusted Langevin dynamics, also short and annealed.

Roberts & Tweedie 1996, "Exponential convergence of Langevin distributions"; as a short run for training: Nijkamp et al. 2019
(arXiv:1904.09770); with the temperature falling: Neal 2001 (arXiv:physics/9803008).

    x <- x - e grad E(x) + s sqrt(T_t) z,   z ~ N(0, I),   s = sqrt(2 e)

With that ``s`` and ``T = 1`` the chain's distribution tends to ``exp(-E) / Z`` as ``e`` goes to zero; its bias at a finite step
is of order ``e``. Practice on images takes far less noise, and has a gradient descent with a little of it.

Shapes: ``N = chains, ... = one state``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.ebm.samplers.chain import Chains, Energy, check_step_size, check_steps, gradient, run_chains

__all__ = ["langevin", "temperatures"]


def langevin(
    energy: Energy,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    n_steps: int,
    step_size: float,
    noise_scale: float | None = None,
    initial_temperature: float = 1.0,
    max_gradient: float | None = None,
    bounds: tuple[float, float] | None = None,
    trace: bool = False,
) -> Chains:
    """Langevin dynamics ``x <- x - e grad E(x) + s sqrt(T_t) z``.

    Args:
        energy: ``E`` of a batch.
        x: where the chains start.
        key: of the noise.
        n_steps: steps.
        step_size: ``e``.
        noise_scale: ``s``; None takes ``sqrt(2 e)``.
        initial_temperature: ``T_0``; the temperature falls from it to 1, in equal ratios over the first half of the steps.
        max_gradient: largest absolute value of an element of the gradient, clipped beyond.
        bounds: every state is clipped to this box.
        trace: keep all states.

    Raises:
        InvalidInputError: there are no steps, they have no length, or the energy is not one number for each example.

    Example:
        >>> chains = langevin(
        ...     lambda x: jnp.sum(x**2, axis=1) / 2, jnp.zeros((500, 1)), jax.random.key(0), n_steps=200, step_size=0.1
        ... )
        >>> 0.8 < float(jnp.var(chains.x)) < 1.3
        True
    """
    check_steps(n_steps=n_steps)
    check_step_size(step_size)
    slope = gradient(energy)
    scale = math.sqrt(2 * step_size) if noise_scale is None else noise_scale
    noise_at = scale * jnp.sqrt(temperatures(initial_temperature, n_steps))

    def kernel(x: Array, key: Array, t: Array) -> tuple[Array, Array]:
        drift = slope(x)
        if max_gradient is not None:
            drift = jnp.clip(drift, -max_gradient, max_gradient)
        moved = x - step_size * drift + noise_at[t] * jax.random.normal(key, x.shape, x.dtype)
        moved = moved if bounds is None else jnp.clip(moved, *bounds)
        return moved.astype(x.dtype), jnp.ones(x.shape[0])

    return run_chains(kernel, x, key, n_steps, trace=trace)


def temperatures(initial: float, n_steps: int) -> Float[Array, "T"]:
    """From ``initial`` to 1 in equal ratios over the first half of the steps, 1 for the second.

    Example:
        >>> [round(float(t), 3) for t in temperatures(4.0, 8)]
        [4.0, 2.828, 2.0, 1.414, 1.0, 1.0, 1.0, 1.0]
    """
    progress = jnp.minimum(jnp.arange(n_steps) / max(n_steps // 2, 1), 1.0)
    return jnp.asarray(initial) ** (1 - progress)
