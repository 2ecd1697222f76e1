r"""A variational autoencoder of point clouds.

Kim, Yoo, Lee & Hong 2021, "SetVAE: learning hierarchical composition for generative modeling of set-structured data"
(arXiv:2103.15619), with one latent for a set and transformers on sets in both directions:

    z ~ N(0, I),   s_i ~ N(0, I),   x = decoder(s, z)              points from seeds, all by one network, in any number
    q(z | x) = N(m(x), v(x))                                       the same for any order of the points
    loss = chamfer(x, x') + kl_weight KL(q(z | x) || N(0, I))

Shapes: ``B`` batch, ``N`` points, ``L`` latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import Batch
from artifex.geometric.losses import chamfer_distance, gaussian_kl
from artifex.geometric.posteriors import DiagonalNormal, checked_latents, posterior_of
from artifex.geometric.precision import GeometricModelConfig
from artifex.geometric.set_transformer import SetEncoder, SetTransformer, SetTransformerConfig
from artifex.geometric.sets import checked_set
from artifex.geometric.sizes import SizeCounts, check_size_counts, draw_sizes, given_sizes, mask_of

__all__ = ["PointCloudVAE", "PointCloudVAEConfig"]

PositiveInt = Annotated[int, Field(ge=1)]


@config
class PointCloudVAEConfig(GeometricModelConfig):
    """A VAE of point clouds."""

    max_points: PositiveInt
    """Most points of a cloud, N."""
    latent_dim: PositiveInt = 32
    """Latent variables of a cloud."""
    encoder: SetTransformerConfig = Field(default_factory=lambda: SetTransformerConfig(features=64, layers=2))
    """From a cloud to the posterior of its latent."""
    decoder: SetTransformerConfig = Field(default_factory=lambda: SetTransformerConfig(features=64, layers=3))
    """From seeds and a latent to points."""
    kl_weight: Annotated[float, Field(ge=0)] = 1e-3
    """Weight of the divergence, whose nats are many for one squared unit of distance."""
    size_counts: SizeCounts = ()
    """How often clouds of 1, 2, ... points occur; sizes of samples are drawn from it. Empty: all have `max_points`."""

    def __post_init__(self) -> None:
        check_size_counts(self.size_counts, self.max_points)


class PointCloudVAE(nnx.Module):
    """A VAE whose decoder moves random seeds to where the points of a cloud are.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`PointCloudVAEConfig`.

    Example:
        >>> small = SetTransformerConfig(features=8, layers=1)
        >>> config = PointCloudVAEConfig(max_points=16, latent_dim=2, encoder=small, decoder=small)
        >>> model = PointCloudVAE(config, rngs=nnx.Rngs(0))
        >>> model.reconstruct(jnp.ones((3, 16, 3))).shape, model.generate(2).shape
        ((3, 16, 3), (2, 16, 3))
    """

    def __init__(self, config: PointCloudVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, PointCloudVAEConfig):
            raise InvalidTypeError(f"PointCloudVAE takes a PointCloudVAEConfig, got {type(config).__name__}")
        made = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config = config
        self.encoder = SetEncoder(config.encoder, out_features=2 * config.latent_dim, **made)
        self.decoder = SetTransformer(config.decoder, in_features=config.latent_dim, out_features=0, **made)
        self.rngs = rngs.fork()

    def __call__(
        self, x: Float[Array, "B N 3"], *, mask: Bool[Array, "B N"] | None = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """Encode, draw one latent for each cloud, decode to as many points.

        Args:
            x: the clouds.
            mask: true where there is a point; everywhere by default.
            rngs: stream ``sample`` draws latents and seeds; the model's own by default.

        Returns:
            ``reconstruction`` ``(B, N, 3)``; ``z``, ``mean`` and ``log_variance`` ``(B, L)``.
        """
        x, mask = checked_set(x, mask, 3, self.config.max_points)
        key = draw_key(self, rngs)
        posterior = posterior_of(self.encoder(x, mask))
        z = posterior.sample(jax.random.fold_in(key, 0))
        made = self._points(z, mask, jax.random.fold_in(key, 1))
        return {"reconstruction": made, "z": z, "mean": posterior.mean, "log_variance": posterior.log_variance}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B [chamfer(x, x') + kl_weight KL]``.

        Args:
            batch: holds ``x``, and ``mask`` where clouds are padded.
            outputs: what the model made of it.

        Returns:
            ``loss``; ``chamfer``; ``kl``, nats.
        """
        x, mask = checked_set(batch["x"], batch.get("mask"), 3)
        chamfer = jnp.mean(chamfer_distance(outputs["reconstruction"], x, mask, mask))
        kl = jnp.mean(gaussian_kl(outputs["mean"], outputs["log_variance"]))
        return {"loss": chamfer + self.config.kl_weight * kl, "chamfer": chamfer, "kl": kl}

    def encode(self, x: Float[Array, "B N 3"], *, mask: Bool[Array, "B N"] | None = None) -> DiagonalNormal:
        """``q(z | x)``."""
        return posterior_of(self.encoder(*checked_set(x, mask, 3, self.config.max_points)))

    @compiled_method()
    def decode(
        self, z: Float[Array, "B L"], *, mask: Bool[Array, "B N"] | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B N 3"]:
        """Clouds of latents, one of many: the seeds are drawn.

        Args:
            z: latents.
            mask: which points to make; ``max_points`` of each cloud by default.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: ``z`` is not ``(B, L)``, or the mask not ``(B, N)``.
        """
        z, most = checked_latents(z, self.config.latent_dim), self.config.max_points
        mask = jnp.ones((z.shape[0], most), bool) if mask is None else jnp.asarray(mask).astype(bool)
        n = z.shape[0]
        if mask.ndim != 2 or mask.shape[0] != n or not 0 < mask.shape[1] <= most:
            raise InvalidInputError(f"the mask has shape {mask.shape}; of {n} latents it is ({n}, N up to {most})")
        return self._points(z, mask, draw_key(self, rngs))

    @compiled_method()
    def reconstruct(
        self, x: Float[Array, "B N 3"], *, mask: Bool[Array, "B N"] | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B N 3"]:
        """Clouds of the posteriors' means, of as many points."""
        x, mask = checked_set(x, mask, 3, self.config.max_points)
        return self._points(posterior_of(self.encoder(x, mask)).mean, mask, draw_key(self, rngs))

    @compiled_method(static=("n_samples",))
    def _drawn(self, sizes: Array | None, n_samples: int, *, rngs: nnx.Rngs | None = None) -> tuple[Array, Array]:
        config, key = self.config, draw_key(self, rngs)
        if sizes is None:
            sizes = draw_sizes(jax.random.fold_in(key, 0), config.size_counts, config.max_points, n_samples)
        mask = mask_of(sizes, config.max_points)
        z = jax.random.normal(jax.random.fold_in(key, 1), (n_samples, config.latent_dim))
        return self._points(z, mask, jax.random.fold_in(key, 2)), mask

    def sample_sets(
        self, n_samples: int = 1, *, sizes: Any = None, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "n_samples N 3"], Bool[Array, "n_samples N"]]:
        """Clouds and their masks.

        Args:
            n_samples: how many.
            sizes: points of each, one number or one a sample; drawn from the config's histogram by default.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        given = None if sizes is None else given_sizes(sizes, n_samples, self.config.max_points)
        return self._drawn(given, n_samples, rngs=rngs)

    def generate(self, n_samples: int = 1, *, sizes: Any = None, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples N 3"]:
        """The clouds of :meth:`sample_sets`, zeros in padded rows."""
        return self.sample_sets(n_samples, sizes=sizes, rngs=rngs)[0]

    def _points(self, z: Array, mask: Array, key: Array) -> Array:
        """Seeds, moved."""
        seeds = jnp.where(mask[..., None], jax.random.normal(key, (*mask.shape, 3), z.dtype), 0)
        given = jnp.where(mask[..., None], z[:, None], 0)
        return seeds + self.decoder(seeds, given, mask)[0]
