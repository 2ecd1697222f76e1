r"""Generators: from a latent ``z`` to an example.

Shapes: ``B = batch, L = latent, H W C = height, width, channels``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from flax import nnx
from jaxtyping import Array, Float

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.nn import ConvTranspose, activation as activation_named
from artifex.gan.layers import (
    INITIAL,
    Block,
    DataFormat,
    Norm,
    PositiveInt,
    Shape,
    check_norm,
    hwc,
    linear,
    nonlinearity,
    norm_layer,
    takes_bias,
    upward,
)

__all__ = ["ConvGenerator", "ConvGeneratorConfig", "DenseGenerator", "GeneratorConfig", "GeneratorField", "create_generator"]


@config
class GeneratorConfig(Config):
    """A multilayer perceptron from a latent to an example."""

    latent_dim: PositiveInt
    """Number of latent variables, each standard normal."""
    output_shape: Shape | None = None
    """Shape of one example; taken from the discriminator where it is left out."""
    hidden_dims: tuple[PositiveInt, ...]
    """Width of each hidden layer. Conv: the channels at each stage, from the smallest image upwards."""
    activation: str = "relu"
    """Name of the nonlinearity after each hidden layer."""
    negative_slope: float | None = None
    """Of `leaky_relu`, 0.2 unless given."""
    norm: Norm | None = None
    """Norm before each nonlinearity: over the `batch`, or within an example over a channel (`instance`) or all (`layer`); or
    `none`. Left out: what the model's paper has, which is `batch` for convolutions and `none` for dense layers."""
    output_activation: str = "identity"
    """What the last layer ends with; `tanh` for images in [-1, 1]."""

    def __post_init__(self) -> None:
        nonlinearity(self.activation, self.negative_slope)
        activation_named(self.output_activation)
        self._check_norm()

    def _check_norm(self) -> None:
        check_norm(self.norm, (), "generator")

    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        if self.output_shape is None:
            raise ValueError("a generator needs output_shape, got none")
        return self.output_shape


@config
class ConvGeneratorConfig(GeneratorConfig):
    """Transposed convolutions from a small image upwards.

    Example:
        >>> made = ConvGeneratorConfig(latent_dim=20, hidden_dims=(32, 16), output_shape=(1, 28, 28))
        >>> made.sizes()
        ((7, 7), (14, 14), (28, 28))
    """

    kernel_size: tuple[PositiveInt, PositiveInt] = (4, 4)
    """Rows and columns of each kernel."""
    stride: tuple[PositiveInt, PositiveInt] = (2, 2)
    """By which each stage makes rows and columns longer."""
    padding: Literal["SAME", "VALID"] = "SAME"
    """`SAME`: a stage makes the image `stride` times as large; `VALID`: larger by what the kernel overlaps, too. What is more
    than the next size is cropped, so that any size can be reached: 4, 7, 14, 28."""
    data_format: DataFormat = "channels_first"
    """Axes of an example: (channels, height, width), or (height, width, channels) as the image modality has them."""
    output_activation: str = "tanh"
    """What the last layer ends with."""

    def __post_init__(self) -> None:
        GeneratorConfig.__post_init__(self)
        if not self.hidden_dims:
            raise ValueError("hidden_dims is empty; a convolutional generator needs the channels of at least one stage")

    def _check_norm(self) -> None:
        if self.output_shape is not None:
            for sizes in self.sizes()[:-1]:  # the last stage has none
                check_norm(self.norm, sizes, "generator")

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width before the first stage and after each."""
        height, width, _ = hwc(self.shape(), self.data_format)
        sides = zip((height, width), self.kernel_size, self.stride, strict=True)
        return tuple(zip(*(upward(n, len(self.hidden_dims), k, s, self.padding) for n, k, s in sides), strict=True))


GeneratorField = Annotated[GeneratorConfig, Registered("generator")]
"""A config field that takes any registered generator's config, or a dict with its ``kind``."""


def create_generator(config: GeneratorConfig, **kinds: Any) -> Any:
    """The generator that ``config`` describes, found by its type among the installed plugins."""
    return plugins.resolve(plugins.registry().entry_of_config("generator", type(config)).component)(config, **kinds)


class DenseGenerator(nnx.Module):
    """A multilayer perceptron (Goodfellow et al. 2014, arXiv:1406.2661)."""

    def __init__(self, config: GeneratorConfig, *, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.shape, norm = config.shape(), config.norm or "none"
        activation, names = nonlinearity(config.activation, config.negative_slope), ("embed", "mlp")
        self.layers = nnx.List(
            [
                Block(
                    linear(i, o, (names[n % 2], names[(n + 1) % 2]), use_bias=takes_bias(norm), **kinds),
                    norm_layer(norm, o, **kinds),
                    activation,
                )
                for n, (i, o) in enumerate(pairwise((config.latent_dim, *config.hidden_dims)))
            ]
        )
        last = (names[len(self.layers) % 2], names[(len(self.layers) + 1) % 2])
        self.head = linear((config.latent_dim, *config.hidden_dims)[-1], math.prod(self.shape), last, **kinds)
        self.output_activation = activation_named(config.output_activation)

    def __call__(self, z: Float[Array, "B L"]) -> Float[Array, "B ..."]:
        for layer in self.layers:
            z = layer(z)
        return self.output_activation(self.head(z)).reshape(z.shape[0], *self.shape)


class ConvGenerator(nnx.Module):
    """A linear map to the smallest image, then transposed convolutions (Radford et al. 2015, arXiv:1511.06434, figure 1)."""

    def __init__(self, config: ConvGeneratorConfig, *, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        *_, channels = hwc(config.shape(), config.data_format)
        norm, activation = config.norm or "batch", nonlinearity(config.activation, config.negative_slope)
        smallest, *sizes = config.sizes()
        first, *_ = widths = config.hidden_dims
        self.smallest, self.sizes = (first, *smallest), tuple(sizes)
        self.channels_first = config.data_format == "channels_first"
        window = {"strides": config.stride, "padding": config.padding, "kernel_init": INITIAL, **kinds}
        free = {"use_bias": takes_bias(norm)}
        self.stem = linear(config.latent_dim, math.prod(self.smallest), **free, **kinds)
        self.stem_norm = norm_layer(norm, first, **kinds)
        self.activation = activation
        self.layers = nnx.List(
            [
                Block(ConvTranspose(i, o, config.kernel_size, **free, **window), norm_layer(norm, o, **kinds), activation)
                for i, o in pairwise(widths)
            ]
        )
        last = ConvTranspose(widths[-1], channels, config.kernel_size, **window)
        self.layers.append(Block(last, None, activation_named(config.output_activation)))

    def __call__(self, z: Float[Array, "B L"]) -> Float[Array, "B ..."]:
        # channels first: what divides the linear map's outputs over devices divides channels, and not images into strips
        h = self.stem(z).reshape(z.shape[0], *self.smallest).transpose(0, 2, 3, 1)
        h = self.activation(h if self.stem_norm is None else self.stem_norm(h))
        for layer, (height, width) in zip(self.layers, self.sizes, strict=True):
            h = layer(h)[:, :height, :width]
        return h.transpose(0, 3, 1, 2) if self.channels_first else h
