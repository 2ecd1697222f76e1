r"""Residual networks on images, for encoders and decoders.

The blocks of Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (arXiv:2006.11239), appendix B, as Rombach et al. 2022
(arXiv:2112.10752) use them in their autoencoders, without the time of diffusion:

    h = W_2 * a(n(W_1 * a(n(x)))),   y = s(x) + h           n: group norm, a: activation, *: 3×3 convolution

normalisation and activation before the weights (He et al. 2016, "Identity Mappings in Deep Residual Networks",
arXiv:1603.05027); ``s`` is the identity, or a 1×1 convolution where the channels change. ``W_2`` starts at zero, so that a
block starts as its shortcut, however many there are (Zhang et al. 2019, "Fixup Initialization", arXiv:1901.09321; Ho et al. do
the same).

Shapes: ``B = batch, H W = height and width, C = channels``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.nn import Conv, GroupNorm, UpsampleConv

__all__ = ["AttentionBlock", "Downward", "GroupedActivation", "ResidualBlock", "Upward", "norm_groups"]

BLOCKS_PER_LEVEL = 2
"""Of both papers."""

Activation = Callable[[Array], Array]
ZEROS = nnx.initializers.zeros_init()


def norm_groups(channels: int) -> int:
    """How many groups a group norm has: 32, or as many as leave at least four channels in a group.

    32 groups are Wu & He's (arXiv:1803.08494), four channels in a group the fewest of Rombach et al.: with one, each channel
    would lose its mean over the image.

    >>> [norm_groups(channels) for channels in (512, 128, 64, 6, 3)]
    [32, 32, 16, 1, 1]
    """
    return next(groups for groups in range(min(32, max(1, channels // 4)), 0, -1) if channels % groups == 0)


class GroupedActivation(nnx.Module):
    """``a(n(x))``: group norm, then the activation."""

    def __init__(self, features: int, *, activation: Activation, groups: int | None = None, dtype: Any, param_dtype: Any):
        self.activation = activation
        self.norm = GroupNorm(features, groups or norm_groups(features), dtype=dtype, param_dtype=param_dtype)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        return self.activation(self.norm(x))


class ResidualBlock(nnx.Module):
    """``y = s(x) + W_2 * a(n(W_1 * a(n(x))))``, at first its shortcut ``s``."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: Activation,
        groups: int | None = None,
        rngs: nnx.Rngs,
        **kinds: Any,
    ):
        widths = (in_features, out_features)
        self.norms = nnx.List([GroupedActivation(width, activation=activation, groups=groups, **kinds) for width in widths])
        self.first = Conv(*widths, rngs=rngs, **kinds)
        self.second = Conv(out_features, out_features, kernel_init=ZEROS, rngs=rngs, **kinds)
        same = in_features == out_features
        self.shortcut = None if same else Conv(in_features, out_features, (1, 1), rngs=rngs, **kinds)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        h = self.first(self.norms[0](x))
        h = self.second(self.norms[1](h))
        return (x if self.shortcut is None else self.shortcut(x)) + h


class AttentionBlock(nnx.Module):
    """Every position looks at all: ``y = x + W_o softmax(q k^T / sqrt(C)) v`` with ``q, k, v`` linear in ``n(x)``, one head.

    ``W_o`` starts at zero: at first the block is the identity. Vaswani et al. 2017 (arXiv:1706.03762), equation 1; Ho et al.
    2020 (arXiv:2006.11239), appendix B.
    """

    def __init__(self, features: int, *, groups: int | None = None, dtype: Any, param_dtype: Any, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype}
        self.norm = GroupNorm(features, groups or norm_groups(features), **kinds)
        self.query, self.key, self.value = (Conv(features, features, (1, 1), rngs=rngs, **kinds) for _ in range(3))
        self.output = Conv(features, features, (1, 1), kernel_init=ZEROS, rngs=rngs, **kinds)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        h = self.norm(x)
        q, k, v = (jax.lax.collapse(layer(h), 1, -1) for layer in (self.query, self.key, self.value))  # (B, HW, C)
        logits = jnp.einsum("bic,bjc->bij", q, k, preferred_element_type=jnp.promote_types(q.dtype, jnp.float32))
        weights = jax.nn.softmax(logits / math.sqrt(x.shape[-1])).astype(v.dtype)  # (B, HW, HW)
        return x + self.output(jnp.einsum("bij,bjc->bic", weights, v).reshape(x.shape))


class Downward(nnx.Module):
    """From an image to features: a convolution, then the blocks of each level, halving height and width between levels.

    Sizes are halved, and rounded up, by a 3×3 convolution of stride two.

    Args:
        channels: of the image.
        widths: channels of each level, the largest image first.
        blocks: residual blocks of a level.
        stem_stride: of the first convolution; with two, the first level too has half the image's height and width.
        activation: of the blocks.
        groups: of each group norm; :func:`norm_groups` by default.
        rngs: stream ``params`` initialises.
        **kinds: ``dtype`` and ``param_dtype``.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        blocks: int,
        *,
        stem_stride: int,
        activation: Activation,
        groups: int | None = None,
        rngs: nnx.Rngs,
        **kinds: Any,
    ):
        kinds = {"rngs": rngs, **kinds}
        self.stem = Conv(channels, widths[0], strides=stem_stride, **kinds)
        self.levels = _levels(widths[0], widths, blocks, activation=activation, groups=groups, **kinds)
        self.halvings = nnx.List([Conv(width, width, strides=2, **kinds) for width in widths[:-1]])

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        h = self.stem(x)
        for i, level in enumerate(self.levels):
            h = level(self.halvings[i - 1](h) if i else h)
        return h


class Upward(nnx.Module):
    """From features to an image: the blocks of each level, doubling height and width behind it, then to the image's channels.

    Sizes are doubled by repeating neighbours and a 3×3 convolution, which leaves no pattern of squares as transposed ones do
    (:func:`artifex.core.nn.upsample_conv`), and cropped to those that the encoder had: 4, 7, 14, 28.

    Args:
        widths: channels of each level, the smallest image first.
        channels: of the result.
        blocks: residual blocks of a level.
        sizes: height and width behind each level; where there is one fewer, the last level already has the image's.
        activation: of the blocks.
        groups: of each group norm; :func:`norm_groups` by default.
        rngs: stream ``params`` initialises.
        **kinds: ``dtype`` and ``param_dtype``.
    """

    def __init__(
        self,
        widths: Sequence[int],
        channels: int,
        blocks: int,
        *,
        sizes: Sequence[tuple[int, int]],
        activation: Activation,
        groups: int | None = None,
        rngs: nnx.Rngs,
        **kinds: Any,
    ):
        self.sizes = tuple(sizes)
        self.levels = _levels(widths[0], widths, blocks, activation=activation, groups=groups, rngs=rngs, **kinds)
        doubled = widths[: len(self.sizes)]
        self.doublings = nnx.List([UpsampleConv(width, width, rngs=rngs, **kinds) for width in doubled])
        self.norm = GroupedActivation(widths[-1], activation=activation, groups=groups, **kinds)
        self.head = Conv(widths[-1], channels, rngs=rngs, **kinds)

    def __call__(self, h: Float[Array, "B h w D"]) -> Float[Array, "B H W C"]:
        for i, level in enumerate(self.levels):
            h = level(h)
            if i < len(self.sizes):
                height, width = self.sizes[i]
                h = self.doublings[i](h)[:, :height, :width]
        return self.head(self.norm(h))


def _levels(width: int, widths: Sequence[int], blocks: int, **kinds: Any) -> nnx.List:
    """``blocks`` residual blocks for each of ``widths``, one level after the other, from ``width`` channels on."""
    levels = []
    for before, after in pairwise((width, *widths)):
        befores = (before, *[after] * (blocks - 1))
        levels.append(nnx.Sequential(*(ResidualBlock(start, after, **kinds) for start in befores)))
    return nnx.List(levels)
