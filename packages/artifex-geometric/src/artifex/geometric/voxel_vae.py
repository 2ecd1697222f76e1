r"""A variational autoencoder of voxels.

Brock, Lim, Ritchie & Weston 2016, "Generative and discriminative voxel modeling with convolutional neural networks"
(arXiv:1608.04236):

    z ~ N(0, I),   x_i ~ Bernoulli(p_i(z))                       whether a voxel is filled
    loss = -log p(x | z) + kl_weight KL(q(z | x) || N(0, I))     nats; with a weight of 1, minus the ELBO

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
from artifex.core.value_ranges import ValueRange
from artifex.geometric.losses import binary_cross_entropy, gaussian_kl
from artifex.geometric.posteriors import DiagonalNormal, checked_latents, posterior_of
from artifex.geometric.precision import GeometricModelConfig
from artifex.geometric.voxel_networks import VOXEL_VALUES, VoxelDecoder, VoxelEncoder, check_voxels, checked_voxels

__all__ = ["VoxelVAE", "VoxelVAEConfig"]

PositiveInt = Annotated[int, Field(ge=1)]


@config
class VoxelVAEConfig(GeometricModelConfig):
    """A VAE of voxels."""

    shape: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (16, 16, 16, 1)
    """Of one example: depth, height, width, channels."""
    channels: tuple[PositiveInt, ...] = (16, 32)
    """Of each level; a level halves every side."""
    latent_dim: PositiveInt = 16
    """Latent variables."""
    kl_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the divergence in the loss; 1 makes the loss minus the ELBO."""

    def __post_init__(self) -> None:
        check_voxels(self.shape, self.channels)


class VoxelVAE(nnx.Module):
    """A VAE of voxels.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`VoxelVAEConfig`.

    Example:
        >>> model = VoxelVAE(VoxelVAEConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2), rngs=nnx.Rngs(0))
        >>> model.generate(3).shape
        (3, 4, 4, 4, 1)
    """

    def __init__(self, config: VoxelVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, VoxelVAEConfig):
            raise InvalidTypeError(f"VoxelVAE takes a VoxelVAEConfig, got {type(config).__name__}")
        made = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config = config
        self.encoder = VoxelEncoder(config.shape, config.channels, 2 * config.latent_dim, **made)
        self.decoder = VoxelDecoder(config.shape, config.channels, config.latent_dim, **made)
        self.rngs = rngs.fork()

    def __call__(self, x: Float[Array, "B D H W C"], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Encode, draw one ``z`` for each example, decode.

        Args:
            x: between 0 (empty) and 1 (filled).
            rngs: stream ``sample`` draws ``z``; the model's own by default.

        Returns:
            ``logits`` and ``reconstruction`` (probabilities) like ``x``; ``z``, ``mean`` and ``log_variance`` ``(B, L)``.
        """
        posterior = self.encode(x)
        z = posterior.sample(draw_key(self, rngs))
        logits = self.decoder(z)
        return {
            "reconstruction": jax.nn.sigmoid(logits),
            "logits": logits,
            "z": z,
            "mean": posterior.mean,
            "log_variance": posterior.log_variance,
        }

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B [-log p(x | z) + kl_weight KL]``, nats an example.

        Args:
            batch: holds ``x``.
            outputs: what the model made of it.

        Returns:
            ``loss``; ``reconstruction_loss``; ``kl``; ``elbo``.
        """
        reconstruction = jnp.mean(binary_cross_entropy(outputs["logits"], checked_voxels(batch["x"], self.config.shape)))
        kl = jnp.mean(gaussian_kl(outputs["mean"], outputs["log_variance"]))
        loss = reconstruction + self.config.kl_weight * kl
        return {"loss": loss, "reconstruction_loss": reconstruction, "kl": kl, "elbo": -reconstruction - kl}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x``: 0 empty, 1 filled, and between (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        return VOXEL_VALUES

    def encode(self, x: Float[Array, "B D H W C"]) -> DiagonalNormal:
        """``q(z | x)``.

        Raises:
            InvalidInputError: ``x`` is no batch of such voxels.
        """
        return posterior_of(self.encoder(checked_voxels(x, self.config.shape)))

    def decode(self, z: Float[Array, "B L"]) -> Float[Array, "B D H W C"]:
        """The probability that each voxel is filled.

        Raises:
            InvalidInputError: ``z`` is not ``(B, L)``.
        """
        return jax.nn.sigmoid(self.decoder(checked_latents(z, self.config.latent_dim)))

    @compiled_method()
    def reconstruct(self, x: Float[Array, "B D H W C"]) -> Float[Array, "B D H W C"]:
        """Probabilities for the posteriors' means."""
        return self.decode(self.encode(x).mean)

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples D H W C"]:
        """``z ~ N(0, I)``, then the probabilities; voxels are filled where they exceed a half.

        Args:
            n_samples: how many.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        return self.decode(jax.random.normal(draw_key(self, rngs), (n_samples, self.config.latent_dim)))
