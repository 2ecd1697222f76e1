r"""Encoders: the approximate posterior ``q(z | x) = N(mean(x), diag(exp(log_variance(x))))``.

Shapes: ``B = batch, D = features of one example, H W C = height, width, channels, L = latent``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import MLP, Conv, activation as activation_named
from artifex.vae.layers import BLOCKS_PER_LEVEL, Downward, GroupedActivation
from artifex.vae.likelihoods import accumulated

__all__ = ["ConvEncoder", "DenseEncoder", "DiagonalGaussian", "EncoderConfig", "PositiveInt", "ResNetEncoder", "Shape"]

PositiveInt = Annotated[int, Field(gt=0)]
Shape = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


@config
class EncoderConfig(Config):
    """An encoder. What is left out here is taken from the decoder or the VAE."""

    input_shape: Shape | None = None
    """Shape of one example: `(height, width, channels)` for images, `(features,)` for vectors."""
    latent_dim: PositiveInt | None = None
    """Number of latent variables."""
    hidden_dims: tuple[PositiveInt, ...]
    """Dense: the width of each hidden layer (none makes a linear encoder). Conv: the channels of each convolution, each of
    which halves height and width. ResNet: the channels of each level, each of which begins by halving height and width."""
    activation: str = "relu"
    """Name of the nonlinearity after each hidden layer; before each convolution of a ResNet, for which `silu` is usual."""
    blocks_per_level: PositiveInt | None = None
    """Residual blocks of each level of a ResNet, 2 unless given; the other types have none."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built

    def sizes(self) -> tuple[tuple[int, ...], int]:
        """Shape of an example and number of latents, both of which a network has to know."""
        if self.input_shape is None or self.latent_dim is None:
            raise InvalidInputError(
                f"an encoder needs input_shape and latent_dim, got {self.input_shape} and {self.latent_dim}"
            )
        return self.input_shape, self.latent_dim


class DiagonalGaussian(NamedTuple):
    """``N(mean, diag(exp(log_variance)))``, a batch of them."""

    mean: Float[Array, "B *L"]
    log_variance: Float[Array, "B *L"]

    def reparameterize(self, noise: Float[Array, "K *L"]) -> Float[Array, "K *L"]:
        """``z = mean + exp(log_variance / 2) * noise``: a differentiable draw when ``noise ~ N(0, I)``.

        ``K`` is the batch, or any number of draws from a batch of one. Not rounded to the mean's type where that has less
        than 32 bits: ``noise`` is then still what made ``z``, as densities of ``z`` take for granted. Kingma & Welling 2013
        (arXiv:1312.6114), equation 10.
        """
        scale = jnp.exp(0.5 * accumulated(self.log_variance))
        return accumulated(self.mean) + scale * noise

    def sample(self, key: Array) -> Float[Array, "B *L"]:
        """One draw of each, of the mean's type, differentiable in mean and log variance."""
        return self.reparameterize(jax.random.normal(key, self.mean.shape)).astype(self.mean.dtype)


class DenseEncoder(nnx.Module):
    """A multilayer perceptron on the flattened example (Kingma & Welling 2013, appendix C.2)."""

    def __init__(self, config: EncoderConfig, *, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        shape, latent_dim = config.sizes()
        self.mlp = MLP(math.prod(shape), config.hidden_dims, 2 * latent_dim, activation=config.activation, **kinds)
        start_at_unit_variance(self.mlp.layers[-1].kernel, latent_dim)

    def __call__(self, x: Float[Array, "B ..."]) -> DiagonalGaussian:
        return DiagonalGaussian(*jnp.split(self.mlp(jax.lax.collapse(x, 1)), 2, axis=-1))


class ConvEncoder(nnx.Module):
    """Convolutions of stride two, one for each hidden width, then a linear map of the flattened features.

    Height and width halve each time, rounded up: 28, 14, 7, 4.
    """

    def __init__(self, config: EncoderConfig, *, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        shape, latent_dim = config.sizes()
        height, width = halvings(shape, len(config.hidden_dims))[-1]
        self.activation = activation_named(config.activation)
        widths = (shape[-1], *config.hidden_dims)
        # a zero on every side, as in PyTorch's VAEs, not "SAME" (all zeros at the end of an even side): weights carry over
        self.layers = nnx.List([Conv(i, o, (3, 3), strides=2, padding=1, **kinds) for i, o in pairwise(widths)])
        self.head = MLP(height * width * config.hidden_dims[-1], (), 2 * latent_dim, **kinds)
        start_at_unit_variance(self.head.layers[-1].kernel, latent_dim)

    def __call__(self, x: Float[Array, "B H W C"]) -> DiagonalGaussian:
        for layer in self.layers:
            x = self.activation(layer(x))
        return DiagonalGaussian(*jnp.split(self.head(jax.lax.collapse(x, 1)), 2, axis=-1))


class ResNetEncoder(nnx.Module):
    """Levels of residual blocks (:mod:`artifex.vae.layers`), then a linear map of the flattened features.

    Height and width halve before each level, rounded up: 28, 14, 7, 4.
    """

    def __init__(self, config: EncoderConfig, *, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype}
        shape, latent_dim = config.sizes()
        widths, blocks = config.hidden_dims, config.blocks_per_level or BLOCKS_PER_LEVEL
        height, width = halvings(shape, len(widths))[-1]
        activation = activation_named(config.activation)
        self.trunk = Downward(shape[-1], widths, blocks, stem_stride=2, activation=activation, rngs=rngs, **kinds)
        self.norm = GroupedActivation(widths[-1], activation=activation, **kinds)
        self.head = MLP(height * width * widths[-1], (), 2 * latent_dim, rngs=rngs, **kinds)
        start_at_unit_variance(self.head.layers[-1].kernel, latent_dim)

    def __call__(self, x: Float[Array, "B H W C"]) -> DiagonalGaussian:
        h = self.norm(self.trunk(x))
        return DiagonalGaussian(*jnp.split(self.head(jax.lax.collapse(h, 1)), 2, axis=-1))


def start_at_unit_variance(kernel: nnx.Param, latent_dim: int) -> None:
    """Scale the weights that make log variances down: ``exp`` of a large first guess would swamp the first steps."""
    kernel[...] = kernel[...].at[..., latent_dim:].multiply(0.01)


def halvings(shape: tuple[int, ...], times: int) -> list[tuple[int, int]]:
    """Height and width, then after each of ``times`` halvings, rounded up.

    >>> halvings((28, 28, 1), 3)
    [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    height, width = shape[:2]
    return [(-(-height // 2**i), -(-width // 2**i)) for i in range(times + 1)]
