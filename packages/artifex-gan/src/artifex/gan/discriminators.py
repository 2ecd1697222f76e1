r"""Discriminators: from an example to a logit, high for what looks real.

They are a map to features and a linear head, ``D(x) = w . f(x) + b``, so that others can build on the features. Where only
differences of logits count, a model asks for a head without ``b`` (``head_bias=False``), which nothing would train.

Shapes: ``B = batch, F = features, H W C = height, width, channels``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

import jax
from flax import nnx
from jaxtyping import Array, Float

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.nn import Conv
from artifex.gan.layers import (
    INITIAL,
    Block,
    DataFormat,
    Norm,
    PositiveInt,
    Shape,
    check_norm,
    downward,
    hwc,
    linear,
    nonlinearity,
    norm_layer,
    takes_bias,
)

__all__ = [
    "ConvDiscriminator",
    "ConvDiscriminatorConfig",
    "DenseDiscriminator",
    "DiscriminatorConfig",
    "DiscriminatorField",
    "create_discriminator",
]


@config
class DiscriminatorConfig(Config):
    """A multilayer perceptron from an example to a logit."""

    input_shape: Shape | None = None
    """Shape of one example; taken from the generator where it is left out."""
    hidden_dims: tuple[PositiveInt, ...]
    """Width of each hidden layer. Conv: the channels of each convolution, the largest image first."""
    activation: str = "leaky_relu"
    """Name of the nonlinearity after each hidden layer."""
    negative_slope: float | None = None
    """Of `leaky_relu`, 0.2 unless given."""
    norm: Norm | None = None
    """Norm before each nonlinearity: over the `batch`, or within an example over a channel (`instance`) or all (`layer`); or
    `none`. Left out: what the model's paper has."""

    def __post_init__(self) -> None:
        nonlinearity(self.activation, self.negative_slope)
        self._check_norm()

    def _check_norm(self) -> None:
        check_norm(self.norm, (), "discriminator")

    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        if self.input_shape is None:
            raise ValueError("a discriminator needs input_shape, got none")
        return self.input_shape


@config
class ConvDiscriminatorConfig(DiscriminatorConfig):
    """Strided convolutions, then a linear map of the flattened features.

    Example:
        >>> made = ConvDiscriminatorConfig(hidden_dims=(8, 16, 32), input_shape=(1, 28, 28))
        >>> made.sizes()
        ((28, 28), (14, 14), (7, 7), (4, 4))
    """

    kernel_size: tuple[PositiveInt, PositiveInt] = (4, 4)
    """Rows and columns of each kernel."""
    stride: tuple[PositiveInt, PositiveInt] = (2, 2)
    """By which each convolution makes rows and columns shorter."""
    padding: Literal["SAME", "VALID"] = "SAME"
    """`SAME`: sizes are divided by the stride, rounded up; `VALID`: nothing is added around the image."""
    data_format: DataFormat = "channels_first"
    """Axes of an example: (channels, height, width), or (height, width, channels) as the image modality has them."""

    def __post_init__(self) -> None:
        DiscriminatorConfig.__post_init__(self)
        if not self.hidden_dims:
            raise ValueError("hidden_dims is empty; a convolutional discriminator needs the channels of a convolution")

    def _check_norm(self) -> None:
        if self.input_shape is not None:
            for sizes in self.sizes()[2:]:  # the first convolution has none
                check_norm(self.norm, sizes, "discriminator")

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width before the first convolution and after each."""
        height, width, _ = hwc(self.shape(), self.data_format)
        sides = zip((height, width), self.kernel_size, self.stride, strict=True)
        return tuple(zip(*(downward(n, len(self.hidden_dims), k, s, self.padding) for n, k, s in sides), strict=True))


DiscriminatorField = Annotated[DiscriminatorConfig, Registered("discriminator")]
"""A config field that takes any registered discriminator's config, or a dict with its ``kind``."""


def create_discriminator(config: DiscriminatorConfig, **kinds: Any) -> Any:
    """The discriminator that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("discriminator", type(config))
    return plugins.resolve(entry.component)(config, **kinds)


class DenseDiscriminator(nnx.Module):
    """A multilayer perceptron on the flattened example (Goodfellow et al. 2014, arXiv:1406.2661)."""

    def __init__(
        self,
        config: DiscriminatorConfig,
        *,
        head_bias: bool = True,
        dtype: Any = None,
        param_dtype: Any = "float32",
        rngs: nnx.Rngs,
    ):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        norm, names = config.norm or "none", ("embed", "mlp")
        activation = nonlinearity(config.activation, config.negative_slope)
        widths = (math.prod(config.shape()), *config.hidden_dims)
        self.layers = nnx.List(
            [
                Block(
                    linear(i, o, (names[n % 2], names[(n + 1) % 2]), use_bias=takes_bias(norm), **kinds),
                    norm_layer(norm, o, **kinds),
                    activation,
                )
                for n, (i, o) in enumerate(pairwise(widths))
            ]
        )
        self.n_features = widths[-1]
        self.head = linear(widths[-1], 1, (names[len(self.layers) % 2], "logit"), use_bias=head_bias, **kinds)

    def features(self, x: Float[Array, "B ..."]) -> Float[Array, "B F"]:
        """What the head is given."""
        h = jax.lax.collapse(x, 1)
        for layer in self.layers:
            h = layer(h)
        return h

    def __call__(self, x: Float[Array, "B ..."]) -> Float[Array, "B"]:
        return self.head(self.features(x))[..., 0]


class ConvDiscriminator(nnx.Module):
    """Strided convolutions, the first without a norm, and a linear head (Radford et al. 2015, arXiv:1511.06434, section 3)."""

    def __init__(
        self,
        config: ConvDiscriminatorConfig,
        *,
        head_bias: bool = True,
        dtype: Any = None,
        param_dtype: Any = "float32",
        rngs: nnx.Rngs,
    ):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        *_, channels = hwc(config.shape(), config.data_format)
        activation = nonlinearity(config.activation, config.negative_slope)
        self.channels_first = config.data_format == "channels_first"
        window = {"strides": config.stride, "padding": config.padding, "kernel_init": INITIAL, **kinds}
        self.layers = nnx.List([])
        for n, (i, o) in enumerate(pairwise((channels, *config.hidden_dims))):
            norm = (config.norm or "batch") if n else "none"
            layer = Conv(i, o, config.kernel_size, use_bias=takes_bias(norm), **window)
            self.layers.append(Block(layer, norm_layer(norm, o, **kinds), activation))
        self.n_features = math.prod(config.sizes()[-1]) * config.hidden_dims[-1]
        self.head = linear(self.n_features, 1, ("embed", "logit"), use_bias=head_bias, **kinds)

    def features(self, x: Float[Array, "B ..."]) -> Float[Array, "B F"]:
        """What the head is given: the last convolution's, flattened channel by channel."""
        h = x.transpose(0, 2, 3, 1) if self.channels_first else x
        for layer in self.layers:
            h = layer(h)
        return jax.lax.collapse(h.transpose(0, 3, 1, 2), 1)

    def __call__(self, x: Float[Array, "B ..."]) -> Float[Array, "B"]:
        return self.head(self.features(x))[..., 0]
