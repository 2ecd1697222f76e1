r"""Estimates of ``log Z``: annealed importance sampling and tempered sequential Monte Carlo.

Both go from a density ``f_0`` whose ``Z_0`` is known to ``f_1`` by way of ``f_b``, 0 < b < 1, and move their particles on the
way with any chain that leaves ``f_b`` alone:

    AIS:  w = prod_k f_{b_k}(x_{k-1}) / f_{b_{k-1}}(x_{k-1}),   Z / Z_0 = E[w]        Neal 2001 (arXiv:physics/9803008), eq. 11
    SMC:  the same ratios, but particles are drawn anew by their weights at every level  Del Moral et al. 2006

``E[w]`` is without bias, ``log`` of the mean is a lower bound on average. SMC chooses the levels itself: each next one is where
the effective number of particles falls to a part of all of them.

Shapes: ``N = particles, K = levels, ... = one state``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from artifex.core.checks import check_at_least
from artifex.core.errors import InvalidInputError
from artifex.ebm.mcmc import MCMCConfig, sample_chains
from artifex.ebm.samplers.chain import Energy

__all__ = [
    "LogPartition",
    "annealed_importance_sampling",
    "check_estimate",
    "effective_number",
    "estimate",
    "estimate_from_reference",
    "systematic_resampling",
    "tempered_smc",
]

MAX_LEVELS = 10_000
BISECTIONS = 30

LogDensity: TypeAlias = Callable[[Array, Array], Float[Array, "N"]]
"""``log f_b(x)`` of ``(x, b)``, not normalised."""
Transition: TypeAlias = Callable[[Array, Array, Array], Array]
"""``x`` moved by a chain that leaves ``f_b`` alone, of ``(key, x, b)``."""


class LogPartition(NamedTuple):
    """What was found."""

    log_z: Float[Array, ""]
    """``log Z``, nats."""
    standard_error: Float[Array, ""]
    """Of ``log_z``, from the spread of the weights."""
    x: Float[Array, "N ..."]
    """The particles at the end. Those of AIS have weights, those of SMC are draws of ``f_1``."""
    log_weights: Float[Array, "N"]
    """Of the particles at the end."""
    n_levels: Int[Array, ""]
    """How many levels there were."""


def annealed_importance_sampling(
    log_density: LogDensity,
    transition: Transition,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    log_z0: float | Array,
    n_levels: int = 1000,
) -> LogPartition:
    """``log Z`` from the weights of independent annealed runs, at equally spaced levels.

    Args:
        log_density: ``log f_b(x)``.
        transition: a step of a chain at ``f_b``.
        x: draws of ``f_0``.
        key: of all randomness.
        log_z0: ``log Z_0``.
        n_levels: ``K``.

    Raises:
        InvalidInputError: there are no levels.

    Example:
        >>> found = annealed_importance_sampling(
        ...     lambda x, b: -jnp.sum(x**2, axis=1) / 2 + 3 * b,  # a density that only grows: by exp(3)
        ...     lambda key, x, b: x,
        ...     jnp.zeros((4, 1)),
        ...     jax.random.key(0),
        ...     log_z0=1.0,
        ...     n_levels=10,
        ... )
        >>> round(float(found.log_z), 4)
        4.0
    """
    check_at_least(1, n_levels=n_levels)
    betas = jnp.linspace(0.0, 1.0, n_levels + 1)

    def level(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], None]:
        x, log_weights = carry
        log_weights = log_weights + log_density(x, betas[k + 1]) - log_density(x, betas[k])
        return (transition(jax.random.fold_in(key, k), x, betas[k + 1]), log_weights), None

    (x, log_weights), _ = jax.lax.scan(level, (x, jnp.zeros(x.shape[0])), jnp.arange(n_levels))
    log_mean, error = _log_mean(log_weights)
    return LogPartition(log_z0 + log_mean, error, x, log_weights, jnp.asarray(n_levels))


def tempered_smc(
    log_density: LogDensity,
    transition: Transition,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    log_z0: float | Array,
    least_effective: float = 0.9,
) -> LogPartition:
    """``log Z`` by particles that are drawn anew at each level, and levels as far apart as these allow.

    Args:
        log_density: ``log f_b(x)``.
        transition: some steps of a chain at ``f_b``.
        x: draws of ``f_0``.
        key: of all randomness.
        log_z0: ``log Z_0``.
        least_effective: part of the particles that stay effective from one level to the next.

    Example:
        >>> found = tempered_smc(
        ...     lambda x, b: -jnp.sum(x**2, axis=1) / 2 + 3 * b,  # a density that only grows: by exp(3)
        ...     lambda key, x, b: x,
        ...     jnp.zeros((4, 1)),
        ...     jax.random.key(0),
        ...     log_z0=1.0,
        ... )
        >>> round(float(found.log_z), 4), int(found.n_levels)
        (4.0, 1)
    """

    def level(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        x, beta, log_z, variance, k = carry
        draw_key, move_key = jax.random.split(jax.random.fold_in(key, k))
        following = _next_level(log_density, x, beta, least_effective)
        increments = log_density(x, following) - log_density(x, beta)
        log_mean, error = _log_mean(increments)
        x = x[systematic_resampling(draw_key, increments)]
        return transition(move_key, x, following), following, log_z + log_mean, variance + error**2, k + 1

    start = (x, jnp.zeros(()), jnp.asarray(log_z0, jnp.float32), jnp.zeros(()), jnp.zeros((), jnp.int32))
    x, _, log_z, variance, k = jax.lax.while_loop(lambda c: (c[1] < 1) & (c[4] < MAX_LEVELS), level, start)
    return LogPartition(log_z, jnp.sqrt(variance), x, jnp.zeros(x.shape[0]), k)


def estimate_from_reference(
    energy: Energy,
    reference: Any,
    shape: tuple[int, ...],
    key: Array,
    *,
    method: Literal["ais", "smc"],
    n_particles: int,
    n_levels: int | None,
    mcmc: MCMCConfig,
) -> LogPartition:
    """``log Z`` of ``exp(-E)``, on the way ``log f_b = (1 - b) log q - b E`` from a reference ``q``.

    Raises:
        InvalidInputError: levels are given to sequential Monte Carlo, the chain leaves no ``f_b`` alone, or a number is out of
            range.
    """
    check_estimate(method, n_particles, n_levels)
    if mcmc.sampler == "langevin":
        raise InvalidInputError(
            "unadjusted Langevin is not exact, and log Z would not be; use mcmc with 'mala', 'hmc' or 'nuts'"
        )
    start_key, key = jax.random.split(key)
    x = reference.sample(start_key, n_particles, shape)

    def log_density(x: Array, beta: Array) -> Array:
        return (1 - beta) * reference.log_prob(x) - beta * energy(x)

    def transition(key: Array, x: Array, beta: Array) -> Array:
        return sample_chains(mcmc, lambda x: -log_density(x, beta), x, key).x

    return estimate(method, log_density, transition, x, key, log_z0=0.0, n_levels=n_levels)


def check_estimate(method: str, n_particles: Any, n_levels: Any) -> None:
    """Raise unless ``log Z`` can be estimated so.

    Raises:
        InvalidInputError: there is no such method, levels are given to sequential Monte Carlo, or a number is out of range.
    """
    if method not in ("ais", "smc"):
        raise InvalidInputError(f"method is {method!r}; log Z is estimated by 'ais' or 'smc'")
    check_at_least(2, n_particles=n_particles)  # of which the standard error is told
    if n_levels is not None:
        if method == "smc":
            raise InvalidInputError(f"n_levels is {n_levels}, but sequential Monte Carlo chooses its levels; leave it out")
        check_at_least(1, n_levels=n_levels)


def estimate(
    method: str,
    log_density: LogDensity,
    transition: Transition,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    log_z0: float,
    n_levels: int | None,
) -> LogPartition:
    """By annealed importance sampling (``ais``, of 1000 levels if not said) or tempered sequential Monte Carlo (``smc``).

    Raises:
        InvalidInputError: there is no such method, levels are given to sequential Monte Carlo, or a number is out of range.
    """
    check_estimate(method, x.shape[0], n_levels)
    if method == "ais":
        return annealed_importance_sampling(log_density, transition, x, key, log_z0=log_z0, n_levels=n_levels or 1000)
    return tempered_smc(log_density, transition, x, key, log_z0=log_z0)


def systematic_resampling(key: Array, log_weights: Float[Array, "N"]) -> Int[Array, "N"]:
    """Indices drawn by their weights, from one uniform number: each comes up its expected number of times, rounded up or down.

    Example:
        >>> systematic_resampling(jax.random.key(0), jnp.log(jnp.array([0.5, 0.0, 0.25, 0.25]))).tolist()
        [0, 0, 2, 3]
    """
    n = log_weights.shape[0]
    cumulative = jnp.cumsum(jax.nn.softmax(log_weights))
    points = (jnp.arange(n) + jax.random.uniform(key)) / n
    return jnp.minimum(jnp.searchsorted(cumulative, points * cumulative[-1], side="right"), n - 1)


def effective_number(log_weights: Float[Array, "N"]) -> Float[Array, ""]:
    """``(sum w)^2 / sum w^2``.

    Example:
        >>> float(effective_number(jnp.zeros(4)))
        4.0
    """
    return jnp.exp(2 * jax.nn.logsumexp(log_weights) - jax.nn.logsumexp(2 * log_weights))


def _next_level(log_density: LogDensity, x: Array, beta: Array, least_effective: float) -> Array:
    """The largest level up to 1 at which enough particles stay effective, by bisection; it always moves on a little."""
    here = log_density(x, beta)

    def enough(level: Array) -> Array:
        return effective_number(log_density(x, level) - here) >= least_effective * x.shape[0]

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        good = enough(middle)
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    one = jnp.ones(())
    low, _ = jax.lax.fori_loop(0, BISECTIONS, halve, (beta, one))
    return jnp.where(enough(one), one, jnp.minimum(jnp.maximum(low, beta + 1 / MAX_LEVELS), 1.0))


def _log_mean(log_weights: Array) -> tuple[Array, Array]:
    """``log mean w`` and its standard error, ``sd(w) / (mean(w) sqrt N)``."""
    n = log_weights.shape[0]
    log_mean = jax.nn.logsumexp(log_weights) - jnp.log(n)
    relative = jnp.exp(log_weights - log_mean)
    return log_mean, jnp.std(relative, ddof=1) / jnp.sqrt(n)
