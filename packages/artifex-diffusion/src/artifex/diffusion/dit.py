r"""The diffusion transformer, with adaptive layer norm that starts at zero.

Peebles & Xie 2022, "Scalable Diffusion Models with Transformers" (arXiv:2212.09748), figure 3:

    (b_1, a_1, g_1, b_2, a_2, g_2) = W silu(e)                            e embeds time and class
    h = h + g_1 attention((1 + a_1) n(h) + b_1)
    h = h + g_2 mlp((1 + a_2) n(h) + b_2)                                 n: layer norm without parameters

on patches of an image, to whose embeddings sines and cosines of their places are added. ``W`` starts at zero, and so every
block as the identity.

Shapes: ``B = batch, H W C = an image, p = side of a patch, N = patches, D = width``.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidInputError
from artifex.diffusion.layers import ZEROS, Attention, ClassEmbedding, TimeEmbedding, linear
from artifex.diffusion.networks import BackboneConfig, PositiveInt

__all__ = ["DiT", "DiTBackboneConfig"]

WAVES = 256
"""Of which time is told (the paper's code)."""


@config
class DiTBackboneConfig(BackboneConfig):
    """A diffusion transformer on images.

    Example:
        >>> DiTBackboneConfig(hidden_dim=384, depth=12, heads=6).patch_size
        2
    """

    patch_size: PositiveInt = 2
    """Side of the square patches that an image is cut into."""
    hidden_dim: Annotated[int, Field(gt=0, multiple_of=4)] = 192
    """Width ``D``; 384, 768, 1024 and 1152 are the paper's S, B, L and XL."""
    depth: PositiveInt = 6
    """Blocks; 12, 12, 24 and 28."""
    heads: PositiveInt = 3
    """Attention heads; 6, 12, 16 and 16."""
    mlp_ratio: PositiveInt = 4
    """Width inside the feed-forward layers, in multiples of `hidden_dim`."""

    def __post_init__(self) -> None:
        if self.hidden_dim % self.heads:
            raise ValueError(f"hidden_dim is {self.hidden_dim}, which {self.heads} heads do not divide")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Images ``(H, W, C)`` that patches divide."""
        if len(shape) != 3:
            raise ValueError(f"the backbone DiTBackboneConfig takes images, (height, width, channels), not {shape}")
        if shape[0] % self.patch_size or shape[1] % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide the sides of input_shape {shape}")


class DiT(nnx.Module):
    """``F(x, t, condition)`` of images.

    Args:
        config: what to build.
        shape: of one image, ``(H, W, C)``.
        with_null: whether there is a class that is none.
        dtype: what it computes in.
        param_dtype: what its parameters are kept in.
        rngs: stream ``params`` initialises.

    Raises:
        InvalidInputError: the shape does not fit.

    Example:
        >>> net = DiT(DiTBackboneConfig(hidden_dim=16, depth=1, heads=2), (8, 8, 1), rngs=nnx.Rngs(0))
        >>> net(jnp.ones((2, 8, 8, 1)), jnp.zeros(2)).shape
        (2, 8, 8, 1)
    """

    def __init__(
        self,
        config: DiTBackboneConfig,
        shape: tuple[int, ...],
        *,
        with_null: bool = False,
        dtype: Any = None,
        param_dtype: Any = "float32",
        rngs: nnx.Rngs,
    ):
        try:
            config.check_shape(shape)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error
        kinds: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        width, patch = config.hidden_dim, config.patch_size * config.patch_size * shape[-1]
        self.config, self.shape = config, shape
        self.time = TimeEmbedding(WAVES, width, shift=1.0, **kinds)
        classes = config.num_classes
        self.classes = None if classes is None else ClassEmbedding(classes, width, with_null=with_null, **kinds)
        self.stem = linear(patch, width, (None, "embed"), **kinds)
        self.blocks = nnx.List([DiTBlock(config, **kinds) for _ in range(config.depth)])
        self.modulation = linear(width, 2 * width, ("embed", None), kernel_init=ZEROS, **kinds)
        self.head = linear(width, patch, ("embed", None), kernel_init=ZEROS, **kinds)

    def __call__(
        self, x: Float[Array, "B H W C"], t: Float[Array, "B"], condition: Array | None = None
    ) -> Float[Array, "B H W C"]:
        """Of the shape of ``x``; ``condition`` is classes ``(B,)``."""
        embedding = self.time(t)
        if self.classes is not None and condition is not None:
            embedding = embedding + self.classes(condition)
        embedding = jax.nn.silu(embedding)  # every block begins with it
        patches = to_patches(x, self.config.patch_size)  # (B, N, p p C)
        h = self.stem(patches)  # (B, N, D)
        grid = (x.shape[1] // self.config.patch_size, x.shape[2] // self.config.patch_size)
        h = h + jnp.asarray(places(grid, self.config.hidden_dim), h.dtype)[None]
        for block in self.blocks:
            h = block(h, embedding)
        shift, scale = jnp.split(self.modulation(embedding)[:, None], 2, axis=-1)
        return from_patches(self.head(_normalized(h) * (1 + scale) + shift), self.config.patch_size, self.shape)


class DiTBlock(nnx.Module):
    """Attention and a feed-forward layer, each scaled, shifted and gated by time and class."""

    def __init__(self, config: DiTBackboneConfig, **kinds: Any):
        width = config.hidden_dim
        self.modulation = linear(width, 6 * width, ("embed", None), kernel_init=ZEROS, **kinds)
        self.attention = Attention(width, heads=config.heads, **kinds)
        self.wide = linear(width, config.mlp_ratio * width, **kinds)
        self.narrow = linear(config.mlp_ratio * width, width, ("mlp", "embed"), **kinds)

    def __call__(self, h: Float[Array, "B N D"], embedding: Float[Array, "B D"]) -> Float[Array, "B N D"]:
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = jnp.split(self.modulation(embedding)[:, None], 6, axis=-1)
        h = h + gate_1 * self.attention(_normalized(h) * (1 + scale_1) + shift_1)
        inner = self.wide(_normalized(h) * (1 + scale_2) + shift_2)
        return h + gate_2 * self.narrow(jax.nn.gelu(inner, approximate=True))


def _normalized(h: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
    """Layer norm without parameters, in float32."""
    wide = h.astype(jnp.promote_types(h.dtype, jnp.float32))
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    return (centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + 1e-6)).astype(h.dtype)


def to_patches(x: Float[Array, "B H W C"], side: int) -> Float[Array, "B N P"]:
    """Row by row; within a patch row, column, channel.

    >>> to_patches(jnp.arange(16.0).reshape(1, 4, 4, 1), 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    batch, height, width, channels = x.shape
    rows, columns = height // side, width // side
    x = x.reshape(batch, rows, side, columns, side, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows * columns, side * side * channels)


def from_patches(patches: Float[Array, "B N P"], side: int, shape: tuple[int, ...]) -> Float[Array, "B H W C"]:
    """The inverse of :func:`to_patches`."""
    height, width, channels = shape
    rows, columns = height // side, width // side
    x = patches.reshape(patches.shape[0], rows, columns, side, side, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(patches.shape[0], height, width, channels)


def places(grid: tuple[int, int], width: int) -> np.ndarray:
    """Sines and cosines of column, then of row, ``(N, D)``, a quarter of the width each.

    >>> places((2, 3), 8).shape
    (6, 8)
    """
    rows, columns = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]), indexing="ij")
    frequencies = 10_000.0 ** (-np.arange(width // 4) / (width / 4))
    waves = [axis.reshape(-1, 1) * frequencies for axis in (columns, rows)]
    return np.concatenate([part for wave in waves for part in (np.sin(wave), np.cos(wave))], axis=1).astype(np.float32)
