r"""Straight paths from noise to data, and the differential equation along them, in equal steps.

Lipman et al. 2023, "Flow matching for generative modeling" (arXiv:2210.02747): ``x_t = (1 - t) x_0 + t x_1`` from noise at ``t
= 0`` to data at ``t = 1`` has the velocity ``x_1 - x_0``, whose mean given ``x_t`` a network learns.

Shapes: ``B`` batch, ``...`` one example, ``S`` steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.checks import check_at_least

__all__ = ["Solver", "Velocity", "integrated", "integrated_with_divergence"]

Solver = Literal["euler", "heun"]
Velocity = Callable[[Float[Array, "B ..."], Float[Array, "B"]], Float[Array, "B ..."]]


def integrated(velocity: Velocity, x: Float[Array, "B ..."], steps: int, solver: Solver = "heun") -> Float[Array, "B ..."]:
    """``x(1)`` of ``dx/dt = v(x, t)`` from ``x(0)``, by ``steps`` steps of Euler's method or of Heun's.

    Raises:
        InvalidInputError: there is no step.

    >>> x = integrated(lambda x, t: x, jnp.ones((1, 1)), 100)
    >>> abs(float(x[0, 0]) - 2.71828) < 1e-3
    True
    """
    check_at_least(1, steps=steps)

    def step(x: Array, i: Array) -> tuple[Array, None]:
        t, dt = i / steps, 1 / steps
        at = jnp.full(x.shape[:1], t, x.dtype)
        first = velocity(x, at)
        if solver == "euler":
            return x + dt * first, None
        second = velocity(x + dt * first, at + dt)
        return x + 0.5 * dt * (first + second), None

    return jax.lax.scan(step, x, jnp.arange(steps))[0]


def integrated_with_divergence(
    velocity: Velocity, x: Float[Array, "B ..."], noise: Float[Array, "B ..."], steps: int
) -> tuple[Float[Array, "B ..."], Float[Array, "B"]]:
    """``x(0)`` from ``x(1)``, and ``int_0^1 e^T (dv/dx) e dt`` along the path: estimated.

    Hutchinson's estimate of the divergence: Grathwohl et al. 2019 (arXiv:1810.01367), equation 7; by Heun's method, backwards
    in time.

    Args:
        velocity: maps each example by itself.
        x: data.
        noise: ``e``, of mean zero and covariance one on the space that the flow lives on.
        steps: how many.

    Raises:
        InvalidInputError: there is no step.
    """
    check_at_least(1, steps=steps)

    def rates(x: Array, t: Array) -> tuple[Array, Array]:
        rate, pushed = jax.jvp(lambda x: velocity(x, t), (x,), (noise,))
        return rate, jnp.sum((noise * pushed).astype(jnp.float32), axis=tuple(range(1, x.ndim)))

    def step(carry: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        (x, total), dt = carry, 1 / steps
        t = jnp.full(x.shape[:1], 1 - i / steps, x.dtype)
        first, trace = rates(x, t)
        second, later = rates(x - dt * first, t - dt)
        return (x - 0.5 * dt * (first + second), total + 0.5 * dt * (trace + later)), None

    start = x, jnp.zeros(x.shape[:1], jnp.float32)
    return jax.lax.scan(step, start, jnp.arange(steps))[0]
