r"""Networks of image translation: a residual generator from images to images, and a discriminator of patches.

Shapes: ``B = batch, H W C = height, width, channels, h w = positions of patches``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.nn import Conv, UpsampleConv, activation as activation_named
from artifex.gan.layers import (
    INITIAL,
    Block,
    DataFormat,
    Norm,
    PositiveInt,
    Shape,
    check_norm,
    hwc,
    nonlinearity,
    norm_layer,
    takes_bias,
)

__all__ = ["PatchDiscriminator", "PatchDiscriminatorConfig", "ResNetGenerator", "ResNetGeneratorConfig"]

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


@config
class ResNetGeneratorConfig(Config):
    """Downwards, residual blocks, and upwards again; from images to images of equal height and width.

    Example:
        >>> ResNetGeneratorConfig(hidden_dims=(16, 32), n_blocks=3).norm
        'instance'
    """

    hidden_dims: Widths = (64, 128, 256)
    """Channels of each level; height and width are halved, rounded up, between two."""
    n_blocks: PositiveInt = 9
    """Residual blocks at the lowest level."""
    stem_size: PositiveInt = 7
    """Rows and columns of the first and the last kernel."""
    activation: str = "relu"
    """Name of the nonlinearity after each norm."""
    negative_slope: float | None = None
    """Of `leaky_relu`, 0.2 unless given."""
    norm: Norm = "instance"
    """Norm before each nonlinearity."""
    output_activation: str = "tanh"
    """What the last layer ends with; `tanh` for images in [-1, 1]."""

    def __post_init__(self) -> None:
        nonlinearity(self.activation, self.negative_slope)
        activation_named(self.output_activation)


@config
class PatchDiscriminatorConfig(Config):
    """Convolutions to one logit for each of many overlapping patches.

    Example:
        >>> PatchDiscriminatorConfig(hidden_dims=(16, 32)).norm
        'instance'
    """

    hidden_dims: Widths = (64, 128, 256, 512)
    """Channels of each convolution; all but the last halve height and width. With these four a patch has 70 pixels."""
    kernel_size: PositiveInt = 4
    """Rows and columns of each kernel."""
    activation: str = "leaky_relu"
    """Name of the nonlinearity after each convolution."""
    negative_slope: float | None = None
    """Of `leaky_relu`, 0.2 unless given."""
    norm: Norm = "instance"
    """Norm before each nonlinearity but the first."""

    def __post_init__(self) -> None:
        nonlinearity(self.activation, self.negative_slope)


def check_levels(
    generator: ResNetGeneratorConfig, discriminator: PatchDiscriminatorConfig, size: tuple[int, int], n_scales: int = 1
) -> None:
    """Refuse networks whose instance norms would have one position left of images of ``size``.

    Raises:
        ValueError: they would.

    >>> check_levels(ResNetGeneratorConfig(hidden_dims=(8, 16)), PatchDiscriminatorConfig(hidden_dims=(8, 16)), (8, 8))
    """
    check_norm(generator.norm, _halved(size, len(generator.hidden_dims) - 1), "generator")
    if len(discriminator.hidden_dims) > 1:  # the first convolution has no norm
        smallest = (size[0] // 2 ** (n_scales - 1), size[1] // 2 ** (n_scales - 1))
        check_norm(discriminator.norm, _halved(smallest, len(discriminator.hidden_dims) - 1), "discriminator")


def _halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    return -(-size[0] // 2**times), -(-size[1] // 2**times)


class ReflectedConv(nnx.Module):
    """A convolution of stride 1 on images continued by their mirror images, so that no frame of zeros is seen at the edges."""

    def __init__(self, in_features: int, out_features: int, kernel_size: tuple[int, int] = (3, 3), **kinds: Any):
        self.pads = ((0, 0), *(((k - 1) // 2, k // 2) for k in kernel_size), (0, 0))
        self.conv = Conv(in_features, out_features, kernel_size, padding="VALID", **kinds)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W O"]:
        return self.conv(jnp.pad(x, self.pads, mode="reflect"))


class ResidualBlock(nnx.Module):
    """``y = x + n(W_2 * a(n(W_1 * x)))``."""

    def __init__(self, features: int, norm: Norm, activation: Any, **kinds: Any):
        layers = [ReflectedConv(features, features, use_bias=takes_bias(norm), kernel_init=INITIAL, **kinds) for _ in range(2)]
        norms = [norm_layer(norm, features, **kinds) for _ in range(2)]
        self.first, self.second = Block(layers[0], norms[0], activation), Block(layers[1], norms[1], None)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        return x + self.second(self.first(x))


class ResNetGenerator(nnx.Module):
    """The generator of Johnson et al. 2016 (arXiv:1603.08155) as Zhu et al. 2017 (arXiv:1703.10593), appendix 7.2, have it.

    Edges are continued by reflection, as there, but for the convolutions that halve or double. Upwards, neighbours are repeated
    and convolved, which leaves no pattern of squares as a transposed convolution does.

    Args:
        config: what to build.
        shape_in: of the images that it is given.
        shape_out: of those that it makes, of the same height and width.
        data_format: axes of both.
        **kinds: ``dtype``, ``param_dtype``, and ``rngs``, whose stream ``params`` initialises.
    """

    def __init__(
        self, config: ResNetGeneratorConfig, shape_in: Shape, shape_out: Shape, *, data_format: DataFormat, **kinds: Any
    ):
        height, width, channels_in = hwc(shape_in, data_format)
        *size_out, channels_out = hwc(shape_out, data_format)
        if [height, width] != size_out:
            raise ValueError(f"images of {height} × {width} cannot be translated to {size_out[0]} × {size_out[1]}; sizes stay")
        widths, stem = config.hidden_dims, (config.stem_size, config.stem_size)
        activation, norm = nonlinearity(config.activation, config.negative_slope), config.norm
        free = {"use_bias": takes_bias(norm), "kernel_init": INITIAL, **kinds}
        self.channels_first = data_format == "channels_first"
        self.sizes = tuple(_halved((height, width), i) for i in range(len(widths) - 1))[::-1]

        def block(layer: Any, features: int) -> Block:
            return Block(layer, norm_layer(norm, features, **kinds), activation)

        self.stem = block(ReflectedConv(channels_in, widths[0], stem, **free), widths[0])
        self.down = nnx.List([block(Conv(i, o, strides=2, padding=1, **free), o) for i, o in pairwise(widths)])
        self.blocks = nnx.List([ResidualBlock(widths[-1], norm, activation, **kinds) for _ in range(config.n_blocks)])
        self.up = nnx.List([block(UpsampleConv(i, o, **free), o) for i, o in pairwise(widths[::-1])])
        head = ReflectedConv(widths[0], channels_out, stem, kernel_init=INITIAL, **kinds)
        self.head = Block(head, None, activation_named(config.output_activation))

    def __call__(self, x: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
        h = x.transpose(0, 2, 3, 1) if self.channels_first else x
        for layer in (self.stem, *self.down, *self.blocks):
            h = layer(h)
        for layer, (height, width) in zip(self.up, self.sizes, strict=True):
            h = layer(h)[:, :height, :width]
        h = self.head(h)
        return h.transpose(0, 3, 1, 2) if self.channels_first else h


class PatchDiscriminator(nnx.Module):
    """One logit a patch (Isola et al. 2016, arXiv:1611.07004, section 3.2.2 and appendix 6.1.2).

    Args:
        config: what to build.
        channels: of the images; those of a condition beside them counted.
        channels_first: whether these come first.
        **kinds: ``dtype``, ``param_dtype``, and ``rngs``, whose stream ``params`` initialises.
    """

    def __init__(self, config: PatchDiscriminatorConfig, channels: int, *, channels_first: bool, **kinds: Any):
        activation, kernel = nonlinearity(config.activation, config.negative_slope), (config.kernel_size,) * 2
        widths = (channels, *config.hidden_dims)
        self.channels_first = channels_first
        self.layers = nnx.List([])
        for n, (i, o) in enumerate(pairwise(widths)):
            norm, strides = config.norm if n else "none", 1 if n + 1 == len(config.hidden_dims) else 2
            layer = Conv(i, o, kernel, strides=strides, use_bias=takes_bias(norm), kernel_init=INITIAL, **kinds)
            self.layers.append(Block(layer, norm_layer(norm, o, **kinds), activation))
        self.head = Conv(widths[-1], 1, kernel, kernel_init=INITIAL, **kinds)

    def __call__(self, x: Float[Array, "B ..."]) -> Float[Array, "B h w"]:
        h = x.transpose(0, 2, 3, 1) if self.channels_first else x
        for layer in self.layers:
            h = layer(h)
        return self.head(h)[..., 0]
