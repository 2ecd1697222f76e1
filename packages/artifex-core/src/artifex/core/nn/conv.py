"""Convolution layers, channels-last, whose parameters know their logical axes."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from artifex.core.nn.convolution import Padding, as_pairs, conv, conv_transpose
from artifex.core.nn.upsampling import upsample_conv

__all__ = ["Conv", "ConvTranspose", "UpsampleConv"]

Sizes = int | Sequence[int]
LECUN_NORMAL = nnx.initializers.lecun_normal()


class Conv(nnx.Module):
    """Convolution ``y = x * kernel + bias`` (:func:`artifex.core.nn.convolution.conv`).

    Args:
        in_features: channels of the input, ``C``.
        out_features: channels of the output, ``O``.
        kernel_size: one number an axis, as many as there are spatial axes (one to three); a single number means two equal axes.
        strides: one number, or one an axis.
        padding: ``"SAME"``, ``"VALID"``, zeros at every end by number (as in PyTorch), or a pair (before, after) an axis.
        use_bias: add a bias a channel.
        dtype: computes in this type; ``None`` means the common type of input and parameters.
        param_dtype: type of the parameters.
        kernel_init: initialiser of ``kernel``, shape ``(*kernel_size, C, O)``.
        rngs: stream ``params`` initialises.

    >>> Conv(1, 8, strides=2, rngs=nnx.Rngs(params=0))(jnp.ones((4, 28, 28, 1))).shape
    (4, 14, 14, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sizes = (3, 3),
        *,
        strides: Sizes = 1,
        padding: Padding = "SAME",
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        kernel_init: nnx.Initializer = LECUN_NORMAL,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.strides, self.dtype = strides, dtype
        self.padding = as_pairs(padding, len(sizes))
        self.kernel, self.bias = _parameters(sizes, in_features, out_features, use_bias, param_dtype, kernel_init, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(B, *S, C)`` to ``(B, *S', O)``."""
        x, kernel, bias = _in_dtype(self.dtype, x, self.kernel, self.bias)
        return _add_bias(conv(x, kernel, self.strides, self.padding), bias)


class ConvTranspose(nnx.Module):
    """Transposed convolution (:func:`artifex.core.nn.convolution.conv_transpose`): upsamples by ``strides`` under ``"SAME"``.

    Arguments as in :class:`Conv`, but padding is ``"SAME"`` or ``"VALID"``.

    >>> ConvTranspose(8, 3, rngs=nnx.Rngs(params=0))(jnp.ones((4, 7, 7, 8))).shape
    (4, 14, 14, 3)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sizes = (4, 4),
        *,
        strides: Sizes = 2,
        padding: str = "SAME",
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        kernel_init: nnx.Initializer = LECUN_NORMAL,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.strides, self.padding, self.dtype = strides, padding, dtype
        self.kernel, self.bias = _parameters(sizes, in_features, out_features, use_bias, param_dtype, kernel_init, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(B, *S, C)`` to ``(B, *S', O)``."""
        x, kernel, bias = _in_dtype(self.dtype, x, self.kernel, self.bias)
        return _add_bias(conv_transpose(x, kernel, self.strides, self.padding), bias)


class UpsampleConv(nnx.Module):
    """Nearest-neighbour upsampling by two, then a convolution (:func:`artifex.core.nn.upsampling.upsample_conv`).

    Arguments as in :class:`Conv`; the sizes of the kernel are odd.

    >>> UpsampleConv(8, 3, rngs=nnx.Rngs(params=0))(jnp.ones((4, 7, 7, 8))).shape
    (4, 14, 14, 3)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sizes = (3, 3),
        *,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        kernel_init: nnx.Initializer = LECUN_NORMAL,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.dtype = dtype
        self.kernel, self.bias = _parameters(sizes, in_features, out_features, use_bias, param_dtype, kernel_init, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(B, *S, C)`` to ``(B, *2S, O)``."""
        x, kernel, bias = _in_dtype(self.dtype, x, self.kernel, self.bias)
        return _add_bias(upsample_conv(x, kernel), bias)


def _parameters(
    sizes: tuple[int, ...],
    in_features: int,
    out_features: int,
    use_bias: bool,
    param_dtype: DTypeLike,
    kernel_init: nnx.Initializer,
    rngs: nnx.Rngs,
) -> tuple[nnx.Param, nnx.Param | None]:
    axes = (*(None for _ in sizes), "conv_in", "conv_out")
    kernel = nnx.Param(kernel_init(rngs.params(), (*sizes, in_features, out_features), param_dtype), logical_axes=axes)
    bias = nnx.Param(jnp.zeros((out_features,), param_dtype), logical_axes=("conv_out",)) if use_bias else None
    return kernel, bias


def _in_dtype(
    dtype: DTypeLike | None, x: jax.Array, kernel: nnx.Param, bias: nnx.Param | None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Everything in the type that the layer computes in."""
    dtype = jnp.result_type(x, kernel[...]) if dtype is None else dtype
    return x.astype(dtype), kernel[...].astype(dtype), None if bias is None else bias[...].astype(dtype)


def _add_bias(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))
