r"""Decoders: from a latent ``z`` to the parameters of the likelihood ``p(x | z)``.

Shapes: ``B = batch, L = latent, H W C = height, width, channels, P = parameters for each element of the data``
(:attr:`artifex.vae.likelihoods.Likelihood.n_parameters`). The output has the data's shape, its last axis ``P`` times as long.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any

from flax import nnx
from jaxtyping import Array, Float
from pydantic import AliasChoices, Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import MLP, ConvTranspose, activation as activation_named
from artifex.vae.encoders import PositiveInt, Shape, halvings
from artifex.vae.layers import BLOCKS_PER_LEVEL, Upward

__all__ = ["ConvDecoder", "DecoderConfig", "DenseDecoder", "ResNetDecoder"]


@config
class DecoderConfig(Config):
    """A decoder, of the encoder's type. What is left out here is taken from the encoder or the VAE."""

    latent_dim: PositiveInt | None = None
    """Number of latent variables."""
    output_shape: Annotated[Shape | None, Field(validation_alias=AliasChoices("output_shape", "output_dim"))] = None
    """Shape of one example, equal to the encoder's `input_shape`. Also accepted as `output_dim`."""
    hidden_dims: tuple[PositiveInt, ...]
    """Dense: the width of each hidden layer (none makes a linear decoder). Conv: the channels at each stage, from the smallest
    image upwards; each stage ends by doubling height and width. ResNet: the channels of each level, likewise."""
    activation: str = "relu"
    """Name of the nonlinearity after each hidden layer; before each convolution of a ResNet, for which `silu` is usual."""
    blocks_per_level: PositiveInt | None = None
    """Residual blocks of each level of a ResNet, 2 unless given; the other types have none."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built

    def sizes(self) -> tuple[tuple[int, ...], int]:
        """Shape of an example and number of latents, both of which a network has to know."""
        if self.output_shape is None or self.latent_dim is None:
            raise InvalidInputError(
                f"a decoder needs output_shape and latent_dim, got {self.output_shape} and {self.latent_dim}"
            )
        return self.output_shape, self.latent_dim


class DenseDecoder(nnx.Module):
    """A multilayer perceptron (Kingma & Welling 2013, appendix C.1)."""

    def __init__(
        self, config: DecoderConfig, *, n_parameters: int, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs
    ):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        shape, latent_dim = config.sizes()
        self.shape = (*shape[:-1], n_parameters * shape[-1])
        self.mlp = MLP(latent_dim, config.hidden_dims, math.prod(self.shape), activation=config.activation, **kinds)

    def __call__(self, z: Float[Array, "B L"]) -> Float[Array, "B ..."]:
        return self.mlp(z).reshape(z.shape[0], *self.shape)


class ConvDecoder(nnx.Module):
    """A dense layer to the smallest image, then transposed convolutions of stride two: the encoder's way backwards.

    Sizes need not be powers of two: after each doubling the image is cropped to the size that the encoder had there: 4, 7, 14,
    28.
    """

    def __init__(
        self, config: DecoderConfig, *, n_parameters: int, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs
    ):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        shape, latent_dim = config.sizes()
        widths = (*config.hidden_dims, n_parameters * shape[-1])
        *sizes, smallest = halvings(shape, len(config.hidden_dims))
        self.sizes = tuple(sizes)
        self.smallest = (*smallest, widths[0])
        self.activation = activation_named(config.activation)
        self.stem = MLP(latent_dim, (), math.prod(self.smallest), **kinds)
        self.layers = nnx.List([ConvTranspose(i, o, (4, 4), strides=2, **kinds) for i, o in pairwise(widths)])

    def __call__(self, z: Float[Array, "B L"]) -> Float[Array, "B H W P*C"]:
        h = self.stem(z).reshape(z.shape[0], *self.smallest)
        for layer, (height, width) in zip(self.layers, reversed(self.sizes), strict=True):
            h = layer(self.activation(h))[:, :height, :width]
        return h


class ResNetDecoder(nnx.Module):
    """A dense layer to the smallest image, then levels of residual blocks (:mod:`artifex.vae.layers`), each doubling the image.

    Cropped after each doubling to the sizes that the encoder had: 4, 7, 14, 28.
    """

    def __init__(
        self, config: DecoderConfig, *, n_parameters: int, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs
    ):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        shape, latent_dim = config.sizes()
        widths, blocks = config.hidden_dims, config.blocks_per_level or BLOCKS_PER_LEVEL
        *sizes, smallest = halvings(shape, len(widths))
        self.smallest = (*smallest, widths[0])
        self.stem = MLP(latent_dim, (), math.prod(self.smallest), **kinds)
        activation = activation_named(config.activation)
        self.trunk = Upward(widths, n_parameters * shape[-1], blocks, sizes=sizes[::-1], activation=activation, **kinds)

    def __call__(self, z: Float[Array, "B L"]) -> Float[Array, "B H W P*C"]:
        return self.trunk(self.stem(z).reshape(z.shape[0], *self.smallest))
