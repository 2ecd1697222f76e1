r"""Energies of images: plain and residual convolutions, without batch norm, with spectral norm where it is asked for.

Batch norm would make the energy of an image depend on the others of its batch, and chains of data and negatives alike; so do
Du & Mordatch 2019 (arXiv:1903.08689) and Nijkamp et al. 2019 (arXiv:1904.09770) without. Spectral norm (Miyato et al. 2018,
arXiv:1802.05957) holds the largest singular value of each kernel, as a matrix of fan-in by outputs, at one; the slope of the
convolution itself is then bounded by the square root of the kernel's positions, 3 for 3 by 3:

    y = W x / s(W) + b,   s(W) ~ v^T W u,   v = W u / |W u|,   u <- W^T v / |W^T v|      one power iteration a training step

Shapes: ``N = examples, H W C = an image, O = outputs, F = fan-in of a layer``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import Conv, activation as activation_named
from artifex.ebm.energies import EnergyConfig, PositiveInt, dense

__all__ = ["ConvEnergy", "ConvEnergyConfig", "ResNetEnergy", "ResNetEnergyConfig", "SpectralNorm"]


@config
class _ImageEnergyConfig(EnergyConfig):
    hidden_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64, 128)
    """Channels of each level; from level to level height and width are halved."""
    activation: str = "silu"
    """Name of the nonlinearity. A smooth one: chains follow the energy's gradient."""
    spectral_norm: bool = False
    """Hold the largest singular value of every kernel, as a matrix, at one."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built


@config
class ConvEnergyConfig(_ImageEnergyConfig):
    """Convolutions of stride two, and a linear map of what they leave."""


@config
class ResNetEnergyConfig(_ImageEnergyConfig):
    """Residual blocks, and a linear map of their sum over all positions."""

    blocks_per_level: PositiveInt = 1
    """Residual blocks of each level."""


class SpectralNorm(nnx.Module):
    """``y = W x / s(W) + b`` for a layer without a bias.

    Args:
        layer: linear in its ``kernel`` ``(..., O)``, without a bias.
        param_dtype: type of the bias.
        rngs: stream ``params`` draws the first ``u``.
    """

    def __init__(self, layer: Any, *, param_dtype: Any, rngs: nnx.Rngs):
        features = layer.kernel.shape[-1]
        self.layer = layer
        self.bias = nnx.Param(jnp.zeros((features,), param_dtype), logical_axes=("conv_out",))
        self.direction = nnx.Variable(_unit(jax.random.normal(rngs.params(), (features,))))

    def __call__(self, x: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        y = self.layer(x)
        return y / self.norm().astype(y.dtype) + self.bias[...].astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))

    def norm(self) -> Float[Array, ""]:
        """``v^T W u``; gradients reach ``W`` alone."""
        kernel = self._matrix()
        u = self.direction[...]
        v = jax.lax.stop_gradient(_unit(kernel @ u))
        return v @ kernel @ u

    def renew(self) -> None:
        """One power iteration."""
        kernel = jax.lax.stop_gradient(self._matrix())
        self.direction[...] = _unit(kernel.T @ _unit(kernel @ self.direction[...]))

    def _matrix(self) -> Float[Array, "F O"]:
        kernel = self.layer.kernel[...]
        return kernel.reshape(-1, kernel.shape[-1]).astype(jnp.promote_types(kernel.dtype, jnp.float32))


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


class _ImageEnergy(nnx.Module):
    """What both have: convolutions that may be normalised."""

    def __init__(
        self,
        config: _ImageEnergyConfig,
        shape: tuple[int, ...],
        *,
        n_outputs: int = 1,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        if len(shape) != 3:
            raise InvalidInputError(
                f"a convolutional energy is of images, (height, width, channels), and the shape of an example is {shape}; "
                "give input_shape three numbers, or use the energy 'mlp'"
            )
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.activation = activation_named(config.activation)
        self.spectral_norm = config.spectral_norm
        self._build(config, shape, n_outputs, kinds)

    def _build(self, config: Any, shape: tuple[int, ...], n_outputs: int, kinds: dict[str, Any]) -> None:
        raise NotImplementedError

    def _conv(self, n_in: int, n_out: int, kinds: dict[str, Any], *, strides: int = 1) -> Any:
        if not self.spectral_norm:
            return Conv(n_in, n_out, strides=strides, **kinds)
        layer = Conv(n_in, n_out, strides=strides, use_bias=False, **kinds)
        return SpectralNorm(layer, param_dtype=kinds["param_dtype"], rngs=kinds["rngs"])

    def _convolutions(self) -> list[Any]:
        raise NotImplementedError

    def renew(self) -> None:
        """One power iteration of every normalised convolution."""
        if self.spectral_norm:
            for layer in self._convolutions():
                layer.renew()


class ConvEnergy(_ImageEnergy):
    """``E(x) = w . h_L``, ``h_i = a(conv(h_{i-1}))`` with stride two.

    Example:
        >>> energy = ConvEnergy(ConvEnergyConfig(hidden_dims=(8, 16)), (8, 8, 1), rngs=nnx.Rngs(0))
        >>> energy(jnp.zeros((5, 8, 8, 1))).shape
        (5, 1)
    """

    def _build(self, config: Any, shape: tuple[int, ...], n_outputs: int, kinds: dict[str, Any]) -> None:
        height, width, channels = shape
        widths = (channels, *config.hidden_dims)
        self.layers = nnx.List([self._conv(i, o, kinds, strides=2) for i, o in pairwise(widths)])
        for _ in config.hidden_dims:
            height, width = -(-height // 2), -(-width // 2)
        self.head = dense(height * width * widths[-1], n_outputs, index=1, use_bias=n_outputs > 1, **kinds)

    def __call__(self, x: Float[Array, "N H W C"]) -> Float[Array, "N O"]:
        for layer in self.layers:
            x = self.activation(layer(x))
        return self.head(jax.lax.collapse(x, 1))

    def _convolutions(self) -> list[Any]:
        return list(self.layers)


class ResNetEnergy(_ImageEnergy):
    """``E(x) = w . sum_positions a(h_L)``, ``h <- h + conv(a(conv(a(h))))``, a convolution of stride two between levels.

    Example:
        >>> energy = ResNetEnergy(ResNetEnergyConfig(hidden_dims=(8, 16)), (8, 8, 1), n_outputs=10, rngs=nnx.Rngs(0))
        >>> energy(jnp.zeros((5, 8, 8, 1))).shape
        (5, 10)
    """

    def _build(self, config: Any, shape: tuple[int, ...], n_outputs: int, kinds: dict[str, Any]) -> None:
        widths = (shape[-1], *config.hidden_dims)
        self.entries = nnx.List(
            [self._conv(i, o, kinds, strides=1 if at == 0 else 2) for at, (i, o) in enumerate(pairwise(widths))]
        )
        self.blocks = nnx.List(
            [nnx.List([self._conv(o, o, kinds) for _ in range(2 * config.blocks_per_level)]) for o in config.hidden_dims]
        )
        self.head = dense(widths[-1], n_outputs, index=1, use_bias=n_outputs > 1, **kinds)

    def __call__(self, x: Float[Array, "N H W C"]) -> Float[Array, "N O"]:
        for entry, convolutions in zip(self.entries, self.blocks, strict=True):
            x = entry(x)
            for first, second in zip(list(convolutions)[::2], list(convolutions)[1::2], strict=True):
                x = x + second(self.activation(first(self.activation(x))))
        return self.head(jnp.sum(self.activation(x), axis=(1, 2)))

    def _convolutions(self) -> list[Any]:
        return [*self.entries, *(layer for level in self.blocks for layer in level)]
