r"""Equivariant flow matching of sets of points with types.

Klein, Krämer & Noé 2023, "Equivariant flow matching" (arXiv:2306.15030); Song et al. 2023, "Equivariant flow matching with
hybrid probability transport" (arXiv:2312.07168):

    x_0 ~ N on sets without centre of mass,   x_t = (1 - t) x_0 + t x_1,   t ~ U(0, 1)
    loss = E |v_theta(x_t, t) - (x_1 - x_0)|^2                     v_theta equivariant under rotation
    dx/dt = v_theta(x, t)                                          sampling, from t = 0 to 1

With ``align`` the noise is turned to lie as near to the data as a rotation can bring it: paths are shorter, their ends the
same, since turned noise is as probable.

Shapes: ``B`` batch, ``N`` rows, ``F`` features of a point, ``C = 3 + F``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.core.geometry import kabsch
from artifex.core.objectives import WeightedMean, weighted_mean
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.geometric.egnn import EGNNConfig
from artifex.geometric.flow_paths import Solver, integrated, integrated_with_divergence
from artifex.geometric.networks import NetworkField, check_equivariant, create_network
from artifex.geometric.packing import PointSetConfig, decoded, packing_scales, scaled, values_of
from artifex.geometric.set_sampler import SetSampler, Walk
from artifex.geometric.sets import centred, centred_noise, checked_set, mask_in, sum_over_points
from artifex.geometric.sizes import log_size_probability

__all__ = ["EquivariantFlowMatching", "EquivariantFlowMatchingConfig"]


@config
class EquivariantFlowMatchingConfig(PointSetConfig):
    """An equivariant flow."""

    network: NetworkField = Field(default_factory=EGNNConfig)
    """What predicts the velocity: `egnn`, or another equivariant network."""
    align: bool = True
    """Turn the noise towards the data before a path is laid."""
    steps: Annotated[int, Field(ge=1)] = 50
    """Steps from noise to data."""
    solver: Solver = "heun"
    """Of the second order, two looks at the network a step; or `euler`, one."""

    def __post_init__(self) -> None:
        PointSetConfig.__post_init__(self)
        check_equivariant(self.network, "EquivariantFlowMatching")


class EquivariantFlowMatching(SetSampler):
    """A flow of sets of points.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`EquivariantFlowMatchingConfig`.

    Example:
        >>> config = EquivariantFlowMatchingConfig(max_points=5, network=EGNNConfig(features=8, layers=1), steps=2)
        >>> EquivariantFlowMatching(config, rngs=nnx.Rngs(0)).generate(3).shape
        (3, 5, 3)
    """

    def __init__(self, config: EquivariantFlowMatchingConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, EquivariantFlowMatchingConfig):
            raise InvalidTypeError(
                f"EquivariantFlowMatching takes an EquivariantFlowMatchingConfig, got {type(config).__name__}"
            )
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
        """Go to a random place on a random path to each set, and predict the velocity there.

        Args:
            x: the sets.
            mask: true where there is a point; everywhere by default.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            ``velocity`` and ``predicted_velocity`` ``(B, N, C)``; ``time`` ``(B,)``.
        """
        data, mask = self._scaled(x, mask)
        key = draw_key(self, rngs)
        t = jax.random.uniform(jax.random.fold_in(key, 0), (data.shape[0],), data.dtype)
        noise = centred_noise(jax.random.fold_in(key, 1), mask, self.config.n_features, data.dtype)
        if self.config.align:
            noise = _aligned(noise, data, mask)
        place = noise + t[:, None, None] * (data - noise)
        return {"velocity": data - noise, "predicted_velocity": self.velocity(place, t, mask), "time": t}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, WeightedMean]:
        """The mean squared error of a column of the velocity, over all points.

        Args:
            batch: holds ``mask`` where sets are padded.
            outputs: what the model made of it.

        Returns:
            ``loss``; ``coordinates`` and ``features``, the parts of the columns.
        """
        error = jnp.square(outputs["predicted_velocity"].astype(jnp.float32) - outputs["velocity"].astype(jnp.float32))
        mask = mask_in(batch)
        parts = {"loss": error, "coordinates": error[..., :3], "features": error[..., 3:]}
        return {name: weighted_mean(jnp.mean(part, -1), mask) for name, part in parts.items() if part.shape[-1]}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x``: one type a point, and whole numbers (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        return values_of(self.config)

    def velocity(self, z: Float[Array, "B N C"], t: Float[Array, "B"], mask: Bool[Array, "B N"]) -> Float[Array, "B N C"]:
        """``v_theta``: turns with ``z``, and moves no centre of mass.

        Args:
            z: scaled sets, 0 in padded places.
            t: their times, 0 to 1.
            mask: true where there is a point.
        """
        time = jnp.where(mask[..., None], t.astype(z.dtype)[:, None, None], 0)
        vectors, made = self.network(z[..., :3], jnp.concatenate([z[..., 3:], time], axis=-1), mask)
        return jnp.concatenate([centred(vectors, mask), made.astype(vectors.dtype)], axis=-1)

    def walk(self) -> Walk:
        """Of as many steps as the config says."""
        return Walk(self.config.max_points, self.config.size_counts, self.config.steps)

    def from_noise(self, key: Array, mask: Bool[Array, "B N"], steps: int) -> Float[Array, "B N C"]:
        """Sets that noise is :meth:`carried` to."""
        return self.carried(centred_noise(key, mask, self.config.n_features, self._noise_dtype), mask, steps)

    def carried(self, noise: Float[Array, "B N C"], mask: Bool[Array, "B N"], steps: int) -> Float[Array, "B N C"]:
        """The sets that noise becomes, as data have them.

        Args:
            noise: of standard deviation 1, its coordinates without centre of mass.
            mask: true where there is a point.
            steps: from noise to data.
        """
        end = integrated(lambda z, t: self.velocity(z, t, mask), noise, steps, self.config.solver)
        return decoded(self.config, end, mask)

    @compiled_method(static=("steps",))
    def log_prob(
        self,
        x: Float[Array, "B N C"],
        *,
        mask: Bool[Array, "B N"] | None = None,
        steps: int = 50,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "B"]:
        """The log density, nats, of sets without centre of mass, ``3 (n - 1) + F n`` dimensions, and of their size.

        Along the differential equation, whose divergence is estimated with one draw of noise (arXiv:1810.01367, equation 7): no
        bias but for the steps. Types and whole numbers count as the numbers that they are.

        Args:
            x: the sets; their centres of mass do not matter.
            mask: true where there is a point.
            steps: from data to noise, by Heun's method.
            rngs: stream ``sample``; the model's own by default.
        """
        config = self.config
        data, mask = self._scaled(x, mask)
        sizes = jnp.sum(mask, axis=1)
        noise = centred_noise(draw_key(self, rngs), mask, config.n_features, data.dtype)
        base, divergence = integrated_with_divergence(lambda z, t: self.velocity(z, t, mask), data, noise, steps)
        dimensions = 3 * (sizes - 1) + config.n_features * sizes
        density = -0.5 * sum_over_points(jnp.square(base), mask) - 0.5 * math.log(2 * math.pi) * dimensions
        logs = [math.log(scale) for scale in packing_scales(config)]
        jacobian = (sizes - 1) * sum(logs[:3]) + sizes * sum(logs[3:])
        return log_size_probability(config.size_counts, config.max_points, sizes) + density - divergence - jacobian

    def _scaled(self, x: Array, mask: Array | None) -> tuple[Array, Array]:
        x, mask = checked_set(x, mask, 3 + self.config.n_features, self.config.max_points)
        z = scaled(self.config, x.astype(jnp.promote_types(x.dtype, jnp.float32)))
        return jnp.concatenate([centred(z[..., :3], mask), z[..., 3:]], axis=-1), mask


def _aligned(noise: Array, data: Array, mask: Array) -> Array:
    """The noise, its coordinates turned by the rotation that brings them nearest to the data."""
    turned = kabsch(noise[..., :3], data[..., :3], mask).apply(noise[..., :3])
    return jnp.concatenate([centred(turned, mask), noise[..., 3:]], axis=-1)
