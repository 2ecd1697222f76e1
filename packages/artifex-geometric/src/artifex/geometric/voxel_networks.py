"""Convolutions in three dimensions, from voxels to a vector and back.

Shapes: ``B`` batch, ``D H W`` voxels, ``C`` channels, ``L`` vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.core.nn import Conv, GroupNorm, UpsampleConv
from artifex.core.value_ranges import Interval, ValueRange
from artifex.geometric.layers import linear
from artifex.geometric.sets import as_numbers

__all__ = ["VOXEL_VALUES", "VoxelDecoder", "VoxelEncoder", "check_voxels", "checked_voxels", "voxel_norm"]

Shape = tuple[int, int, int, int]


def check_voxels(shape: Shape, channels: Sequence[int]) -> None:
    """Refuse voxels that cannot be halved as often as there are levels.

    Raises:
        ValueError: a side is no multiple of ``2 ** levels``, or there is no level.
    """
    if not channels:
        raise ValueError("channels name no level; give the channels of one at least")
    if any(side % 2 ** len(channels) for side in shape[:3]):
        raise ValueError(
            f"voxels of {shape[:3]} cannot be halved {len(channels)} times, once for each of channels {tuple(channels)}; "
            f"use sides that are multiples of {2 ** len(channels)}, or fewer channels"
        )


def checked_voxels(x: Float[Array, "B D H W C"], shape: Shape) -> Float[Array, "B D H W C"]:
    """``x`` in float32 at least.

    Raises:
        InvalidInputError: it is no batch of examples of that shape.
    """
    x = as_numbers(x, "x")
    if x.shape[1:] != shape:
        raise InvalidInputError(f"x has shape {x.shape}; the model's voxels are (B, {', '.join(map(str, shape))})")
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


VOXEL_VALUES: dict[str, ValueRange] = {"x": Interval(0.0, 1.0, slack=1e-3)}
"""What voxels may be: 0 empty, 1 filled, shares between; the slack is for what resampling rounds."""


def voxel_norm(channels: int, *, dtype: DTypeLike | None = None, param_dtype: DTypeLike = jnp.float32) -> GroupNorm:
    """Group norm with up to eight groups."""
    return GroupNorm(channels, math.gcd(8, channels), dtype=dtype, param_dtype=param_dtype)


class VoxelEncoder(nnx.Module):
    """Halved by a strided convolution at each level, then one linear layer.

    Args:
        shape: of an example.
        channels: of each level.
        out_features: width of the vector.
        normed: group norm at every level but the first.
        leak: slope of the leaky ReLU between layers; 0 makes it a SiLU.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.
    """

    def __init__(
        self,
        shape: Shape,
        channels: Sequence[int],
        out_features: int,
        *,
        normed: bool = True,
        leak: float = 0.0,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype}
        widths = (shape[-1], *channels)
        self.leak = leak
        self.convs = nnx.List([Conv(a, b, (4, 4, 4), strides=2, padding=1, rngs=rngs, **made) for a, b in pairwise(widths)])
        self.norms = nnx.List([voxel_norm(c, **made) for c in channels[1:]] if normed else [])
        positions = math.prod(side // 2 ** len(channels) for side in shape[:3])
        self.head = linear(positions * channels[-1], out_features, ("mlp", "embed"), param_dtype=param_dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "B D H W C"]) -> Float[Array, "B L"]:
        """The vector."""
        for i, conv in enumerate(self.convs):
            x = conv(x)
            if i and len(self.norms):
                x = self.norms[i - 1](x)
            x = jax.nn.leaky_relu(x, self.leak) if self.leak else jax.nn.silu(x)
        return self.head(jax.lax.collapse(x, 1))


class VoxelDecoder(nnx.Module):
    """One linear layer, then doubled at each level by upsampling and a convolution; the last layer's output is left as it is.

    Args:
        shape: of an example.
        channels: of each level of the encoder; the decoder goes through them backwards.
        in_features: width of the vector.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.
    """

    def __init__(
        self,
        shape: Shape,
        channels: Sequence[int],
        in_features: int,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype}
        self.start = (*(side // 2 ** len(channels) for side in shape[:3]), channels[-1])
        self.stem = linear(in_features, math.prod(self.start), ("embed", "mlp"), rngs=rngs, **made)
        self.norms = nnx.List([voxel_norm(c, **made) for c in reversed(channels)])
        widths = (*reversed(channels), shape[-1])
        self.convs = nnx.List([UpsampleConv(a, b, (3, 3, 3), rngs=rngs, **made) for a, b in pairwise(widths)])

    def __call__(self, z: Float[Array, "B L"]) -> Float[Array, "B D H W C"]:
        """The voxels."""
        x = self.stem(z).reshape(z.shape[0], *self.start)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = conv(jax.nn.silu(norm(x)))
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))
