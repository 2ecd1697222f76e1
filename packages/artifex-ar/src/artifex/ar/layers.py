r"""Convolutions on images that see nothing of a pixel's future, computed for a whole image, a row, or one pixel.

In raster order the past of the pixel in row ``r`` and column ``c`` is every row above and, in its own row, the columns before
it. Two streams of features cover it without a blind spot (van den Oord et al. 2016, "Conditional Image Generation with PixelCNN
Decoders", arXiv:1606.05328, section 2.2):

    downward, a :class:`DownConv`: rows up to ``r``, columns on both sides
    rightward, a :class:`RightConv`: row ``r`` alone, columns up to ``c``

Each is a plain convolution with zeros before it, ``strictly`` one that leaves its last row or column out. While an image is
drawn each needs only the last few rows, or columns, of what it is applied to, and these are kept (Ramachandran et al. 2017,
"Fast Generation for Convolutional Autoregressive Models", arXiv:1704.06001): :meth:`DownConv.last` and :meth:`RightConv.last`
compute what is new and nothing again.

Shapes: ``B = batch, H W = height and width, C = input channels, O = output channels, K J = kernel height and width``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.nn.convolution import conv, patches_conv

__all__ = ["DownConv", "RightConv", "gate", "plain_linear", "with_new"]

LECUN_NORMAL = nnx.initializers.lecun_normal()


def with_new(kept: Float[Array, "B K ..."], new: Float[Array, "B ..."]) -> Float[Array, "B K+1 ..."]:
    """What is kept, and what is new behind it."""
    return jnp.concatenate([kept, new[:, None].astype(kept.dtype)], axis=1)


def gate(x: Float[Array, "... 2*C"]) -> Float[Array, "... C"]:
    """``tanh(a) sigmoid(b)`` for the halves ``a, b`` of ``x`` (arXiv:1606.05328, equation 2).

    >>> gate(jnp.array([0.0, 100.0])).tolist()
    [0.0]
    """
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.tanh(a) * nnx.sigmoid(b)


def _conv(x: Float[Array, "B H W C"], kernel: Float[Array, "K J C O"], side: int) -> Float[Array, "B h w O"]:
    """A convolution with ``side`` zeros left and right of each row.

    On CPUs, XLA computes the gradient of one with so few rows fifteen times as slowly as that of a product with its patches.
    """
    padding = ((0, 0), (side, side))
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: patches_conv(x, kernel, 1, padding),
        default=lambda x, kernel: conv(x, kernel, 1, padding),
    )


class _CausalConv(nnx.Module):
    """Parameters of a convolution, in the type that it computes in."""

    def __init__(
        self,
        sizes: tuple[int, int],
        in_features: int,
        out_features: int,
        *,
        scale: float = 1.0,
        dtype: Any,
        param_dtype: Any,
        rngs: nnx.Rngs,
    ):
        shape = (*sizes, in_features, out_features)
        self.dtype = dtype
        kernel = scale * LECUN_NORMAL(rngs.params(), shape, param_dtype)
        self.kernel = nnx.Param(kernel, logical_axes=(None, None, "conv_in", "conv_out"))
        self.bias = nnx.Param(jnp.zeros((out_features,), param_dtype), logical_axes=("conv_out",))

    def _in_one_type(self, x: Array) -> tuple[Array, Array, Array]:
        dtype = jnp.result_type(x, self.kernel[...]) if self.dtype is None else self.dtype
        return x.astype(dtype), self.kernel[...].astype(dtype), self.bias[...].astype(dtype)


class DownConv(_CausalConv):
    """``y[r, c] = sum_{i < K, |j| <= J/2} x[r - i, c + j] w[i, j]``, or ``x[r - 1 - i, c + j]`` where ``strictly`` above.

    Args:
        in_features: ``C``.
        out_features: ``O``.
        sizes: ``(K, J)``; ``J`` is odd.
        strictly: see rows above only.
        rngs: stream ``params`` initialises.
        **kinds: ``dtype``, ``param_dtype``, and a ``scale`` of what the kernel starts with.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        sizes: tuple[int, int],
        *,
        strictly: bool = False,
        rngs: nnx.Rngs,
        **kinds: Any,
    ):
        super().__init__(sizes, in_features, out_features, rngs=rngs, **kinds)
        self.rows, self.side, self.strictly = sizes[0], sizes[1] // 2, strictly

    @property
    def memory(self) -> int:
        """How many rows before the new one :meth:`last` needs."""
        return self.rows if self.strictly else self.rows - 1

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W O"]:
        x, kernel, bias = self._in_one_type(x)
        above = jnp.pad(x, ((0, 0), (self.memory, 0), (0, 0), (0, 0)))
        above = above[:, :-1] if self.strictly else above
        return _conv(above, kernel, self.side) + bias.reshape(1, 1, 1, -1)

    def last(self, rows: Float[Array, "B K W C"]) -> Float[Array, "B W O"]:
        """One row of the result from the ``K`` rows that it sees."""
        rows, kernel, bias = self._in_one_type(rows)
        return _conv(rows, kernel, self.side)[:, 0] + bias.reshape(1, 1, -1)


class RightConv(_CausalConv):
    """``y[r, c] = sum_{j < J} x[r, c - j] w[j]``, or ``x[r, c - 1 - j]`` where ``strictly`` to the left.

    Args:
        in_features: ``C``.
        out_features: ``O``.
        size: ``J``.
        strictly: see columns before only.
        rngs: stream ``params`` initialises.
        **kinds: ``dtype``, ``param_dtype``, and a ``scale`` of what the kernel starts with.
    """

    def __init__(self, in_features: int, out_features: int, size: int, *, strictly: bool = False, rngs: nnx.Rngs, **kinds: Any):
        super().__init__((1, size), in_features, out_features, rngs=rngs, **kinds)
        self.columns, self.strictly = size, strictly

    @property
    def memory(self) -> int:
        """How many columns before the new one :meth:`last` needs."""
        return self.columns if self.strictly else self.columns - 1

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W O"]:
        x, kernel, bias = self._in_one_type(x)
        before = jnp.pad(x, ((0, 0), (0, 0), (self.memory, 0), (0, 0)))
        before = before[:, :, :-1] if self.strictly else before
        return _conv(before, kernel, 0) + bias.reshape(1, 1, 1, -1)

    def last(self, columns: Float[Array, "B J C"]) -> Float[Array, "B O"]:
        """One pixel of the result from the ``J`` columns that it sees."""
        columns, kernel, bias = self._in_one_type(columns)
        seen = columns.shape[1] * columns.shape[2]
        return columns.reshape(columns.shape[0], seen) @ kernel.reshape(seen, -1) + bias.reshape(1, -1)


def plain_linear(n_in: int, n_out: int, *, use_bias: bool = True, rngs: nnx.Rngs, dtype: Any, param_dtype: Any) -> nnx.Linear:
    """A 1×1 convolution."""
    return nnx.Linear(
        n_in,
        n_out,
        use_bias=use_bias,
        kernel_init=nnx.with_metadata(LECUN_NORMAL, logical_axes=("conv_in", "conv_out")),
        bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=("conv_out",)),
        dtype=dtype,
        param_dtype=param_dtype,
        rngs=rngs,
    )
