r"""A flow of point clouds.

After Yang et al. 2019, "PointFlow: 3D point cloud generation with continuous normalizing flows" (arXiv:1906.12320), whose
points each follow a differential equation given a latent; here all points of a cloud follow one together, through a
transformer on sets, and no latent is needed. Trained by flow matching (Lipman et al. 2023, arXiv:2210.02747):

    x_0 ~ N(0, I),   x_t = (1 - t) x_0 + t x_1,   loss = E |v_theta(x_t, t) - (x_1 - x_0)|^2

Shapes: ``B`` batch, ``N`` points.
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
from artifex.core.objectives import WeightedMean, weighted_mean
from artifex.core.protocols import Batch
from artifex.geometric.flow_paths import Solver, integrated, integrated_with_divergence
from artifex.geometric.layers import time_features
from artifex.geometric.networks import NetworkField, create_network
from artifex.geometric.precision import GeometricModelConfig
from artifex.geometric.set_sampler import SetSampler, Walk
from artifex.geometric.set_transformer import SetTransformerConfig
from artifex.geometric.sets import checked_set, mask_in, sum_over_points
from artifex.geometric.sizes import SizeCounts, check_size_counts, log_size_probability

__all__ = ["PointCloudFlow", "PointCloudFlowConfig"]

TIME_FEATURES = 16
TIME_UNITS = 100.0
"""What times between 0 and 1 are multiplied by before their sines and cosines."""


@config
class PointCloudFlowConfig(GeometricModelConfig):
    """A flow of point clouds."""

    max_points: Annotated[int, Field(ge=1)]
    """Most points of a cloud, N."""
    network: NetworkField = Field(default_factory=SetTransformerConfig)
    """What predicts the velocity."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """What coordinates are divided by: about their standard deviation."""
    size_counts: SizeCounts = ()
    """How often clouds of 1, 2, ... points occur; sizes of samples are drawn from it. Empty: all have `max_points`."""
    steps: Annotated[int, Field(ge=1)] = 50
    """Steps from noise to data."""
    solver: Solver = "heun"
    """Of the second order, two looks at the network a step; or `euler`, one."""

    def __post_init__(self) -> None:
        check_size_counts(self.size_counts, self.max_points)


class PointCloudFlow(SetSampler):
    """A flow of point clouds.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`PointCloudFlowConfig`.

    Example:
        >>> config = PointCloudFlowConfig(max_points=6, network=SetTransformerConfig(features=8, layers=1), steps=2)
        >>> PointCloudFlow(config, rngs=nnx.Rngs(0)).generate(3).shape
        (3, 6, 3)
    """

    def __init__(self, config: PointCloudFlowConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, PointCloudFlowConfig):
            raise InvalidTypeError(f"PointCloudFlow takes a PointCloudFlowConfig, got {type(config).__name__}")
        self.config = config
        self.network = create_network(
            config.network,
            in_features=TIME_FEATURES,
            out_features=0,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            rngs=rngs,
        )
        self.rngs = rngs.fork()

    def __call__(
        self, x: Float[Array, "B N 3"], *, mask: Bool[Array, "B N"] | None = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """Go to a random place on a random path to each cloud, and predict the velocity there.

        Args:
            x: the clouds.
            mask: true where there is a point; everywhere by default.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            ``velocity`` and ``predicted_velocity`` ``(B, N, 3)``; ``time`` ``(B,)``.
        """
        data, mask = self._scaled(x, mask)
        key = draw_key(self, rngs)
        t = jax.random.uniform(jax.random.fold_in(key, 0), (data.shape[0],), data.dtype)
        noise = _noise(jax.random.fold_in(key, 1), mask, data.dtype)
        place = noise + t[:, None, None] * (data - noise)
        return {"velocity": data - noise, "predicted_velocity": self.velocity(place, t, mask), "time": t}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, WeightedMean]:
        """The mean squared error of a coordinate of the velocity, over all points.

        Args:
            batch: holds ``mask`` where clouds are padded.
            outputs: what the model made of it.

        Returns:
            ``loss``.
        """
        error = jnp.square(outputs["predicted_velocity"].astype(jnp.float32) - outputs["velocity"].astype(jnp.float32))
        mask = mask_in(batch)
        return {"loss": weighted_mean(jnp.mean(error, axis=-1), mask)}

    def velocity(self, z: Float[Array, "B N 3"], t: Float[Array, "B"], mask: Bool[Array, "B N"]) -> Float[Array, "B N 3"]:
        """``v_theta``.

        Args:
            z: scaled clouds, 0 in padded places.
            t: their times, 0 to 1.
            mask: true where there is a point.
        """
        time = time_features(TIME_UNITS * t.astype(z.dtype), TIME_FEATURES)[:, None]
        return self.network(z, jnp.where(mask[..., None], time, 0), mask)[0]

    def walk(self) -> Walk:
        """Of as many steps as the config says."""
        return Walk(self.config.max_points, self.config.size_counts, self.config.steps)

    def from_noise(self, key: Array, mask: Bool[Array, "B N"], steps: int) -> Float[Array, "B N 3"]:
        """Clouds at the end of the differential equation."""
        noise = _noise(key, mask, self._noise_dtype)
        return self.config.scale * integrated(lambda z, t: self.velocity(z, t, mask), noise, steps, self.config.solver)

    @compiled_method(static=("steps",))
    def log_prob(
        self,
        x: Float[Array, "B N 3"],
        *,
        mask: Bool[Array, "B N"] | None = None,
        steps: int = 50,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "B"]:
        """The log density of clouds as arrays, ``3 n`` dimensions, and of their size; nats.

        Along the differential equation, whose divergence is estimated with one draw of noise (arXiv:1810.01367, equation 7).

        Args:
            x: the clouds.
            mask: true where there is a point.
            steps: from data to noise, by Heun's method.
            rngs: stream ``sample``; the model's own by default.
        """
        data, mask = self._scaled(x, mask)
        sizes, config = jnp.sum(mask, axis=1), self.config
        noise = _noise(draw_key(self, rngs), mask, data.dtype)
        base, divergence = integrated_with_divergence(lambda z, t: self.velocity(z, t, mask), data, noise, steps)
        density = -0.5 * sum_over_points(jnp.square(base), mask) - 1.5 * math.log(2 * math.pi) * sizes
        log_size = log_size_probability(config.size_counts, config.max_points, sizes)
        return log_size + density - divergence - 3 * sizes * math.log(config.scale)

    def _scaled(self, x: Array, mask: Array | None) -> tuple[Array, Array]:
        x, mask = checked_set(x, mask, 3, self.config.max_points)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32)) / self.config.scale, mask


def _noise(key: Array, mask: Array, dtype: Any) -> Array:
    return jnp.where(mask[..., None], jax.random.normal(key, (*mask.shape, 3), dtype), 0)
