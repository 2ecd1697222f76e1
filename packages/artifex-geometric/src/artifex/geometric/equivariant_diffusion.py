r"""Equivariant diffusion of sets of points with types: molecules.

Hoogeboom, Garcia Satorras, Vignac & Welling 2022, "Equivariant diffusion for molecule generation in 3D" (arXiv:2203.17003):

    z_t = a_t [x, h] + s_t e,   e_x ~ N on sets without centre of mass, of 3 (n - 1) dimensions,   e_h ~ N(0, I)
    loss = E_t |e - e_theta(z_t, t)|^2                                       e_theta equivariant under rotation
    z_s = z_t a_s/a_t - take e_theta(z_t, t) + spread e                      ancestral sampling, equation 8
    log p(x, h) >= log p(n) + L_0 + sum_t L_t + L_T                          :meth:`EquivariantDiffusion.log_prob`

As noise and network turn with the points, the density of a set does not depend on how it lies.

Shapes: ``B`` batch, ``N`` rows, ``F`` features of a point, ``C = 3 + F``, ``T`` times, ``S`` steps of a sampler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.core.objectives import WeightedMean, weighted_mean
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.geometric.egnn import EGNNConfig
from artifex.geometric.networks import NetworkField, check_equivariant, create_network
from artifex.geometric.packing import PointSetConfig, decoded, packing_scales, scaled, values_of
from artifex.geometric.schedules import ScheduleName, noise_schedule, transitions
from artifex.geometric.set_sampler import SetSampler, Walk
from artifex.geometric.sets import centred, centred_noise, checked_set, mask_in, sum_over_points
from artifex.geometric.sizes import log_size_probability

__all__ = ["EquivariantDiffusion", "EquivariantDiffusionConfig", "ancestral"]

Noise = Callable[[Any], Float[Array, "B N C"]]


@config
class EquivariantDiffusionConfig(PointSetConfig):
    """An equivariant diffusion model.

    Example:
        >>> EquivariantDiffusionConfig(max_points=9, n_types=5, network="egnn").n_features
        5
    """

    network: NetworkField = Field(default_factory=EGNNConfig)
    """What predicts the noise: `egnn`, or another equivariant network."""
    timesteps: Annotated[int, Field(ge=1)] = 1000
    """Times of the diffusion, T."""
    schedule: ScheduleName = "polynomial_2"
    """How noise grows with time."""
    precision: Annotated[float, Field(gt=0, lt=0.5)] = 1e-5
    """Least variance of noise, at time 0, and of signal, at time T."""

    def __post_init__(self) -> None:
        PointSetConfig.__post_init__(self)
        check_equivariant(self.network, "EquivariantDiffusion")


class EquivariantDiffusion(SetSampler):
    """A diffusion model of sets of points.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a method is
            given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`EquivariantDiffusionConfig`.

    Example:
        >>> config = EquivariantDiffusionConfig(
        ...     max_points=5, n_types=2, size_counts=(0, 0, 1, 1), network=EGNNConfig(features=8, layers=1), timesteps=10
        ... )
        >>> model = EquivariantDiffusion(config, rngs=nnx.Rngs(0))
        >>> x, mask = model.sample_sets(3)
        >>> x.shape, mask.shape
        ((3, 5, 5), (3, 5))
    """

    def __init__(self, config: EquivariantDiffusionConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, EquivariantDiffusionConfig):
            raise InvalidTypeError(f"EquivariantDiffusion takes an EquivariantDiffusionConfig, got {type(config).__name__}")
        self.config = config
        self.network = create_network(
            config.network,
            in_features=config.n_features + 1,
            out_features=config.n_features,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            rngs=rngs,
        )
        self.rngs = rngs.fork()

    def __call__(
        self, x: Float[Array, "B N C"], *, mask: Bool[Array, "B N"] | None = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """Add noise of a random time to each set, and predict it.

        Args:
            x: the sets.
            mask: true where there is a point; everywhere by default.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            ``noise`` and ``predicted_noise`` ``(B, N, C)``; ``time`` ``(B,)``.

        Raises:
            InvalidInputError: ``x`` is no batch of such sets.
        """
        z, mask = self._scaled(x, mask)
        key = draw_key(self, rngs)
        t = jax.random.randint(jax.random.fold_in(key, 0), (z.shape[0],), 0, self.config.timesteps + 1)
        noise = centred_noise(jax.random.fold_in(key, 1), mask, self.config.n_features, z.dtype)
        return {"noise": noise, "predicted_noise": self.predicted_noise(self._noisy(z, noise, t), t, mask), "time": t}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, WeightedMean]:
        """The mean squared error of a column of the noise, over all points (arXiv:2203.17003, equation 12).

        Args:
            batch: holds ``mask`` where sets are padded.
            outputs: what the model made of it.

        Returns:
            ``loss``; ``coordinates`` and ``features``, the parts of the columns.
        """
        error = jnp.square(outputs["predicted_noise"].astype(jnp.float32) - outputs["noise"].astype(jnp.float32))
        mask = mask_in(batch)
        parts = {"loss": error, "coordinates": error[..., :3], "features": error[..., 3:]}
        return {name: weighted_mean(jnp.mean(part, -1), mask) for name, part in parts.items() if part.shape[-1]}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x``: one type a point, and whole numbers (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        return values_of(self.config)

    def predicted_noise(self, z: Float[Array, "B N C"], t: Int[Array, "B"], mask: Bool[Array, "B N"]) -> Float[Array, "B N C"]:
        """``e_theta(z_t, t)``: turns with ``z``, and has no centre of mass.

        Args:
            z: scaled sets with noise, 0 in padded places.
            t: their times, 0 to T.
            mask: true where there is a point.
        """
        time = (t.astype(z.dtype) / self.config.timesteps)[:, None, None]
        features = jnp.concatenate([z[..., 3:], jnp.where(mask[..., None], time, 0)], axis=-1)
        vectors, made = self.network(z[..., :3], features, mask)
        return jnp.concatenate([centred(vectors, mask), made.astype(vectors.dtype)], axis=-1)

    def walk(self) -> Walk:
        """Of as many steps as the diffusion has times, unless a caller asks for fewer."""
        config = self.config
        return Walk(config.max_points, config.size_counts, config.timesteps, most_steps=config.timesteps)

    def from_noise(self, key: Array, mask: Bool[Array, "B N"], steps: int) -> Float[Array, "B N C"]:
        """Sets by :func:`ancestral` sampling."""

        def noise(i: Any) -> Array:
            return centred_noise(jax.random.fold_in(key, i), mask, self.config.n_features, self._noise_dtype)

        return ancestral(self, mask, noise, steps)

    @compiled_method(static=("num_times",))
    def log_prob(
        self,
        x: Float[Array, "B N C"],
        *,
        mask: Bool[Array, "B N"] | None = None,
        num_times: int = 1,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "B"]:
        """A lower bound of the log density, nats, without bias but with noise (arXiv:2203.17003, section 3.2).

        Coordinates have a density on the subspace without centre of mass, of ``3 (n - 1)`` dimensions; types and whole numbers
        have probabilities.

        Args:
            x: the sets; their centres of mass do not matter.
            mask: true where there is a point.
            num_times: random times at which the bound's terms are looked at for each set; more make less noise.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: ``x`` is no batch of such sets, or ``num_times`` is less than 1.
        """
        check_at_least(1, num_times=num_times)
        z, mask = self._scaled(x, mask)
        sizes, key = jnp.sum(mask, axis=1), draw_key(self, rngs)
        config = self.config
        log_size = log_size_probability(config.size_counts, config.max_points, sizes)
        terms = self._path_terms(z, mask, jax.random.fold_in(key, 0), num_times)
        end = self._end_term(z, mask, jax.random.fold_in(key, 1))
        jacobian = 3 * (sizes - 1) * math.log(config.scales[0])
        return log_size + end - terms - self._prior_divergence(z, mask, sizes) - jacobian

    def _scaled(self, x: Array, mask: Array | None) -> tuple[Array, Array]:
        """The sets as the diffusion sees them, without centre of mass."""
        x, mask = checked_set(x, mask, 3 + self.config.n_features, self.config.max_points)
        z = scaled(self.config, x.astype(jnp.promote_types(x.dtype, jnp.float32)))
        return jnp.concatenate([centred(z[..., :3], mask), z[..., 3:]], axis=-1), mask

    def _noisy(self, z: Array, noise: Array, t: Array) -> Array:
        """``z_t``."""
        table = noise_schedule(self.config.schedule, self.config.timesteps, self.config.precision)
        signal, spread = (jnp.asarray(column, z.dtype)[t][:, None, None] for column in table)
        return signal * z + spread * noise

    def _squared_error(self, z: Array, t: Array, mask: Array, key: Array) -> tuple[Array, Array]:
        """``|e - e_theta|^2`` of each set's columns, ``(B, N, C)``, and ``z_t``."""
        noise = centred_noise(key, mask, self.config.n_features, z.dtype)
        noisy = self._noisy(z, noise, t)
        return jnp.square(noise - self.predicted_noise(noisy, t, mask)), noisy

    def _path_terms(self, z: Array, mask: Array, key: Array, num_times: int) -> Array:
        """``sum_{t > 0} (snr(t - 1) / snr(t) - 1) / 2 E |e - e_theta|^2``, from ``num_times`` of the times."""
        config = self.config
        snr = noise_schedule(config.schedule, config.timesteps, config.precision).snr
        weights = jnp.asarray(np.concatenate([[0], (snr[:-1] / snr[1:] - 1) / 2]), jnp.float32)

        def add(total: Array, i: Array) -> tuple[Array, None]:
            draw, noise = jax.random.split(jax.random.fold_in(key, i))
            share = (i + jax.random.uniform(draw, (z.shape[0],))) / num_times  # one from each equal part of the times
            t = jnp.minimum(1 + jnp.floor(share * config.timesteps).astype(jnp.int32), config.timesteps)
            error, _ = self._squared_error(z, t, mask, noise)
            return total + weights[t] * sum_over_points(error, mask), None

        start = jnp.zeros((z.shape[0],), jnp.promote_types(z.dtype, jnp.float32))
        total, _ = jax.lax.scan(add, start, jnp.arange(num_times))
        return config.timesteps * total / num_times

    def _end_term(self, z: Array, mask: Array, key: Array) -> Array:
        """``log p(x, h | z_0)``: a normal density of what is continuous, and of what is discrete its mass in a unit's width."""
        config = self.config
        table = noise_schedule(config.schedule, config.timesteps, config.precision)
        t = jnp.zeros(z.shape[:1], jnp.int32)
        error, noisy = self._squared_error(z, t, mask, key)
        ratio = float(table.noise[0] / table.signal[0])
        dimensions = 3 * (jnp.sum(mask, axis=1) - 1)
        coordinates = -0.5 * sum_over_points(error[..., :3], mask) - dimensions * (
            math.log(ratio) + 0.5 * math.log(2 * math.pi)
        )
        return coordinates + self._discrete_log_prob(z[..., 3:], noisy[..., 3:], mask, table.signal[0], table.noise[0])

    def _discrete_log_prob(self, h: Array, noisy: Array, mask: Array, signal: float, noise: float) -> Array:
        """Types: mass about one, over that of every type. Whole numbers: mass about the number (arXiv:2203.17003, 3.2)."""
        k, units = self.config.n_types, packing_scales(self.config)[3:].astype(np.float32)
        total = jnp.zeros(mask.shape[:1], jnp.float32)
        value, spread = noisy / signal * units[None, None], noise / signal * units
        if k:
            logits = _log_mass(1.0 - value[..., :k], spread[None, None, :k])
            chosen = jnp.sum(jax.nn.log_softmax(logits) * h[..., :k] * units[None, None, :k], axis=-1)
            total += sum_over_points(chosen, mask)
        if self.config.n_integers:
            whole = h[..., k:] * units[None, None, k:]
            total += sum_over_points(_log_mass(whole - value[..., k:], spread[None, None, k:]), mask)
        return total

    def _prior_divergence(self, z: Array, mask: Array, sizes: Array) -> Array:
        """``KL(q(z_T | x) || p(z_T))``."""
        table = noise_schedule(self.config.schedule, self.config.timesteps, self.config.precision)
        signal, noise = float(table.signal[-1]), float(table.noise[-1])
        each = 0.5 * (noise**2 - 1) - math.log(noise)
        dimensions = 3 * (sizes - 1) + self.config.n_features * sizes
        return each * dimensions + 0.5 * signal**2 * sum_over_points(jnp.square(z), mask)


def ancestral(model: EquivariantDiffusion, mask: Bool[Array, "B N"], noise: Noise, steps: int) -> Float[Array, "B N C"]:
    """Ancestral sampling of sets with given masks and noise (arXiv:2203.17003, algorithm 2).

    Args:
        model: predicts the noise.
        mask: true where there is a point.
        noise: ``noise(i)`` for ``i = 0 ... steps + 1``, standard normal, its coordinates without centre of mass; the first is
            where it starts, the last what is left at time 0.
        steps: how many.

    Returns:
        Sets as data have them, their centres of mass at 0.
    """
    config = model.config
    table = noise_schedule(config.schedule, config.timesteps, config.precision)
    path = transitions(config.schedule, config.timesteps, steps, config.precision)
    start = noise(0)

    def step(z: Array, at: tuple[Array, ...]) -> tuple[Array, None]:
        i, t, keep, take, spread = at
        predicted = model.predicted_noise(z, jnp.full(mask.shape[:1], t), mask)
        z = keep * z - take * predicted + spread * noise(i + 1)
        return jnp.concatenate([centred(z[..., :3], mask), z[..., 3:]], axis=-1), None

    columns = [jnp.asarray(column, start.dtype) for column in path[1:]]
    z, _ = jax.lax.scan(step, start, (jnp.arange(len(path.time)), jnp.asarray(path.time), *columns))
    signal, left = (jnp.asarray(column[0], start.dtype) for column in table)
    predicted = model.predicted_noise(z, jnp.zeros(mask.shape[:1], jnp.int32), mask)
    z = (z - left * predicted + left * noise(steps + 1)) / signal
    return decoded(config, z, mask)


def _log_mass(distance: Array, spread: Any) -> Array:
    """The log of a normal distribution's mass within half a unit of ``distance`` from its mean."""
    upper, lower = (distance + 0.5) / spread, (distance - 0.5) / spread
    # of two tails that are nearly equal, those on the left are small numbers, whose difference loses nothing
    flipped = lower > 0
    upper, lower = jnp.where(flipped, -lower, upper), jnp.where(flipped, -upper, lower)
    a, b = jax.scipy.stats.norm.logcdf(upper), jax.scipy.stats.norm.logcdf(lower)
    return a + jnp.log1p(-jnp.exp(jnp.minimum(b - a, -1e-7)))
