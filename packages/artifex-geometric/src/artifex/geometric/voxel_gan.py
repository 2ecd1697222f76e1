r"""A generative adversarial network of voxels.

Wu, Zhang, Xue, Freeman & Tenenbaum 2016, "Learning a probabilistic latent space of object shapes via 3D
generative-adversarial modeling" (arXiv:1610.07584), with the non-saturating loss of Goodfellow et al. 2014 (arXiv:1406.2661):

    discriminator    E softplus(-D(x)) + E softplus(D(G(z))) + r1_weight / 2 E |dD/dx|^2
    generator        E softplus(-D(G(z)))

The penalty on real voxels is R1 of Mescheder, Geiger & Nowozin 2018 (arXiv:1801.04406), without which two nets as small as
these circle about each other.

Shapes: ``B`` batch, ``D H W C`` one example, ``L`` latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.core.protocols import Batch
from artifex.core.pure import functional
from artifex.core.value_ranges import ValueRange
from artifex.geometric.precision import GeometricModelConfig
from artifex.geometric.voxel_networks import VOXEL_VALUES, VoxelDecoder, VoxelEncoder, check_voxels, checked_voxels

__all__ = ["VoxelGAN", "VoxelGANConfig"]

PositiveInt = Annotated[int, Field(ge=1)]


@config
class VoxelGANConfig(GeometricModelConfig):
    """A GAN of voxels."""

    shape: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (16, 16, 16, 1)
    """Of one example: depth, height, width, channels."""
    channels: tuple[PositiveInt, ...] = (16, 32)
    """Of each level of both networks; a level halves every side."""
    latent_dim: PositiveInt = 32
    """Latent variables."""
    r1_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the penalty on the discriminator's gradient at real voxels."""

    def __post_init__(self) -> None:
        check_voxels(self.shape, self.channels)


class VoxelGAN(nnx.Module):
    """A GAN of voxels.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`VoxelGANConfig`.

    Example:
        >>> model = VoxelGAN(VoxelGANConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2), rngs=nnx.Rngs(0))
        >>> model.generate(3).shape
        (3, 4, 4, 4, 1)
    """

    def __init__(self, config: VoxelGANConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, VoxelGANConfig):
            raise InvalidTypeError(f"VoxelGAN takes a VoxelGANConfig, got {type(config).__name__}")
        made = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config = config
        self.generator = VoxelDecoder(config.shape, config.channels, config.latent_dim, **made)
        self.discriminator = VoxelEncoder(config.shape, config.channels, 1, normed=False, leak=0.2, **made)
        self.rngs = rngs.fork()

    def discriminator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> dict[str, Float[Array, ""]]:
        """What the discriminator descends.

        Args:
            batch: holds ``x``, voxels between 0 and 1.
            rngs: stream ``sample`` draws latents.

        Returns:
            ``loss``; ``r1``, the mean squared norm of the gradient; ``accuracy``.
        """
        x = checked_voxels(batch["x"], self.config.shape)
        made = jax.lax.stop_gradient(self._made(x.shape[0], draw_key(self, rngs)))
        real, fake = self._scores(x), self._scores(made)
        score = functional(self.discriminator)
        slope = jax.grad(lambda x: jnp.sum(score(x).astype(jnp.float32)))(x)
        r1 = jnp.mean(jnp.sum(jnp.square(slope.astype(jnp.float32)), axis=(1, 2, 3, 4)))
        loss = jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake)) + 0.5 * self.config.r1_weight * r1
        right = 0.5 * (jnp.mean((real > 0).astype(jnp.float32)) + jnp.mean((fake <= 0).astype(jnp.float32)))
        return {"loss": loss, "r1": r1, "accuracy": right}

    def generator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> dict[str, Float[Array, ""]]:
        """What the generator descends.

        Args:
            batch: tells how many to make.
            rngs: stream ``sample`` draws latents.

        Returns:
            ``loss``.
        """
        made = self._made(checked_voxels(batch["x"], self.config.shape).shape[0], draw_key(self, rngs))
        return {"loss": jnp.mean(jax.nn.softplus(-self._scores(made)))}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x``: 0 empty, 1 filled, and between (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        return VOXEL_VALUES

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples D H W C"]:
        """Voxels between 0 and 1.

        Args:
            n_samples: how many.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        return self._made(n_samples, draw_key(self, rngs))

    def _made(self, n: int, key: Array) -> Array:
        return jax.nn.sigmoid(self.generator(jax.random.normal(key, (n, self.config.latent_dim))))

    def _scores(self, x: Array) -> Array:
        return self.discriminator(x)[:, 0].astype(jnp.float32)
