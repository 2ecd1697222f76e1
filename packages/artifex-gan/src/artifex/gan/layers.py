r"""What the networks of this family are made of: norms, blocks, and the sizes of images on their way through strides.

A block is ``y = a(n(W x))``: a linear map or a convolution, its norm, the activation.

Shapes: ``B = batch, H W = height and width, C = channels, F = features``. Images are channels-last inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.nn import GroupNorm, activation as activation_named

__all__ = ["BatchNorm", "Block", "DataFormat", "Norm", "PositiveInt", "Shape", "linear", "nonlinearity", "norm_layer"]

PositiveInt = Annotated[int, Field(gt=0)]
Shape = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
DataFormat = Literal["channels_first", "channels_last"]
Norm = Literal["batch", "instance", "layer", "none"]
Activation = Callable[[Array], Array]

LEAKY_SLOPE = 0.2
"""Of Radford et al. 2015 (arXiv:1511.06434), section 3, and of most that came after."""
INITIAL = nnx.initializers.normal(0.02)
"""Weights of convolutions, ibid."""


class BatchNorm(nnx.Module):
    r"""``y = scale (x - m) / sqrt(v + eps) + bias`` with mean and variance of each channel over the batch and its positions.

    Ioffe & Szegedy 2015 (arXiv:1502.03167). Each call in training has the statistics of its own batch, so that real and
    generated ones, judged one after the other, do not mix, and moves the running averages a tenth of the way towards them
    (the variance's unbiased, as in PyTorch); in evaluation these serve.

    Args:
        features: channels.
        dtype: of the result; None means the common type of input and parameters. Statistics are float32.
        param_dtype: of the parameters.
        rngs: stream ``params`` initialises ``scale`` by N(1, 0.02²).
    """

    MOMENTUM, EPSILON = 0.1, 1e-5

    def __init__(self, features: int, *, dtype: Any = None, param_dtype: Any = "float32", rngs: nnx.Rngs):
        self.dtype, self.use_running_average = dtype, False
        noise = INITIAL(rngs.params(), (features,), param_dtype)
        self.scale = nnx.Param(1 + noise, logical_axes=("conv_out",))
        self.bias = nnx.Param(jnp.zeros((features,), param_dtype), logical_axes=("conv_out",))
        self.mean = nnx.BatchStat(jnp.zeros((features,), jnp.float32))
        self.variance = nnx.BatchStat(jnp.ones((features,), jnp.float32))

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Choose the statistics: the batch's, or the running averages.

        Args:
            use_running_average: which; None leaves it as it is.
        """
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def __call__(self, x: Float[Array, "B *S C"]) -> Float[Array, "B *S C"]:
        dtype = jnp.result_type(x, self.scale[...]) if self.dtype is None else self.dtype
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        mean, variance = (self.mean[...], self.variance[...]) if self.use_running_average else self._batch_statistics(x)
        factor = jax.lax.rsqrt(variance + self.EPSILON) * self.scale[...].astype(jnp.float32)
        shift = self.bias[...].astype(jnp.float32) - mean * factor
        wide = (1,) * (x.ndim - 1) + (-1,)
        return (x * factor.reshape(wide) + shift.reshape(wide)).astype(dtype)

    def _batch_statistics(self, x: Float[Array, "B *S C"]) -> tuple[Float[Array, "C"], Float[Array, "C"]]:
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(x, axis=axes)
        variance = jnp.mean(jnp.square(x - mean.reshape((1,) * (x.ndim - 1) + (-1,))), axis=axes)
        count = math.prod(x.shape[:-1]) if all(isinstance(n, int) for n in x.shape) else None
        unbiased = variance if count is None else variance * (count / max(count - 1, 1))
        for average, value in ((self.mean, mean), (self.variance, unbiased)):
            average[...] += self.MOMENTUM * (jax.lax.stop_gradient(value) - average[...])
        return mean, variance


def norm_layer(kind: Norm, features: int, *, dtype: Any, param_dtype: Any, rngs: nnx.Rngs) -> Callable[[Array], Array] | None:
    """The norm called ``kind``: ``instance`` and ``layer`` are over a channel and over all of one example."""
    kinds = {"dtype": dtype, "param_dtype": param_dtype}
    if kind == "batch":
        return BatchNorm(features, rngs=rngs, **kinds)
    if kind == "none":
        return None
    return GroupNorm(features, 1 if kind == "layer" else features, epsilon=1e-5, **kinds)


def takes_bias(norm: Norm) -> bool:
    """Whether a bias before ``norm`` does anything: one that takes off each channel's mean takes it off again."""
    return norm not in ("batch", "instance")


class Block(nnx.Module):
    """``y = a(n(W x))``; norm and activation may be missing."""

    def __init__(self, layer: Any, norm: Any, activation: Activation | None):
        self.layer, self.norm, self.activation = layer, norm, activation

    def __call__(self, x: Array) -> Array:
        x = self.layer(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


def linear(
    in_features: int,
    out_features: int,
    axes: tuple[str, str] = ("embed", "mlp"),
    *,
    use_bias: bool = True,
    dtype: Any,
    param_dtype: Any,
    rngs: nnx.Rngs,
) -> nnx.Linear:
    """A linear map whose parameters know their logical ``axes``."""
    return nnx.Linear(
        in_features,
        out_features,
        use_bias=use_bias,
        kernel_init=nnx.with_metadata(nnx.initializers.lecun_normal(), logical_axes=axes),
        bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=axes[1:]),
        dtype=dtype,
        param_dtype=param_dtype,
        rngs=rngs,
    )


def nonlinearity(name: str, slope: float | None) -> Activation:
    """The activation called ``name``; ``slope`` is that of ``leaky_relu`` below zero, 0.2 unless given.

    Raises:
        ValueError: there is no such activation, or one that has no slope is given one.

    >>> round(float(nonlinearity("leaky_relu", None)(-1.0)), 3)
    -0.2
    """
    if name == "leaky_relu":
        return partial(jax.nn.leaky_relu, negative_slope=LEAKY_SLOPE if slope is None else slope)
    if slope is not None:
        raise ValueError(f"negative_slope is {slope}, but activation {name!r} has none; leave it out, or use 'leaky_relu'")
    return activation_named(name)


def hwc(shape: tuple[int, ...], data_format: str) -> tuple[int, int, int]:
    """Height, width and channels of images of ``shape`` in ``data_format``.

    >>> hwc((3, 28, 32), "channels_first")
    (28, 32, 3)
    """
    if len(shape) != 3:
        raise ValueError(f"convolutions take images, {_layout(data_format)}, but the shape of one example is {shape}")
    if data_format == "channels_last":
        return shape[0], shape[1], shape[2]
    if shape[0] == shape[1] > 4 and shape[2] in (1, 3, 4):  # nobody has such strips, and many forget the other field
        raise ValueError(
            f"{shape} would be {shape[0]} channels of {shape[1]} × {shape[2]} pixels, as data_format is 'channels_first'; for "
            f"(height, width, channels) give data_format: channels_last, or the shape ({shape[2]}, {shape[0]}, {shape[1]})"
        )
    return shape[1], shape[2], shape[0]


def check_norm(norm: str | None, positions: Sequence[int], where: str) -> None:
    """Refuse an instance norm over one position: it takes off a channel's mean, and nothing is left.

    Raises:
        ValueError: it is one.

    >>> check_norm("layer", (1, 1), "discriminator")
    """
    if norm == "instance" and math.prod(positions) == 1:
        raise ValueError(
            f"{where}: an instance norm takes off the mean of each channel over its positions, and where there is one position "
            "nothing is left; use norm 'layer' or 'none', fewer hidden_dims or larger images"
        )


def _layout(data_format: str) -> str:
    axes = "(height, width, channels)" if data_format == "channels_last" else "(channels, height, width)"
    return f"{axes} with data_format {data_format!r}"


def downward(size: int, times: int, kernel: int, stride: int, padding: str) -> list[int]:
    """An axis of ``size``, and what each of ``times`` strided convolutions makes of it.

    Raises:
        ValueError: the kernel does not fit any more, a stride finds nothing to shrink, or the kernel leaves pixels unseen.

    >>> downward(28, 3, 4, 2, "SAME"), downward(28, 3, 4, 2, "VALID")
    ([28, 14, 7, 4], [28, 13, 5, 1])
    """
    if kernel < stride:
        raise ValueError(f"a kernel of {kernel} at stride {stride} passes over pixels unseen; kernel_size >= stride")
    sizes = [size]
    for i in range(times):
        after = -(-sizes[-1] // stride) if padding == "SAME" else (sizes[-1] - kernel) // stride + 1
        if after < 1 or (stride > 1 and sizes[-1] == 1):
            raise ValueError(
                f"{times} convolutions of kernel {kernel} and stride {stride} (padding {padding!r}) do not fit into an axis of "
                f"{size}: after {i} of them {sizes[-1]} is left; give fewer hidden_dims, a smaller stride or larger images"
            )
        sizes.append(after)
    return sizes


def upward(size: int, times: int, kernel: int, stride: int, padding: str) -> list[int]:
    """An axis behind each of ``times`` transposed convolutions that lead, each cropped at its end, to ``size``.

    The first entry is where they start from. A transposed convolution makes ``stride * n`` of ``n`` (``SAME``), or
    ``stride * n + kernel - stride`` (``VALID``).

    Raises:
        ValueError: these strides cannot reach ``size``, or the kernel leaves gaps between its steps.

    >>> upward(28, 3, 4, 2, "SAME"), upward(28, 3, 4, 2, "VALID")
    ([4, 7, 14, 28], [2, 6, 13, 28])
    """
    if kernel < stride:
        raise ValueError(f"a kernel of {kernel} at stride {stride} leaves pixels that nothing reaches; kernel_size >= stride")
    overlap = 0 if padding == "SAME" else kernel - stride
    sizes = [size]
    for _ in range(times):
        before = -(-(sizes[-1] - overlap) // stride)
        if before < 1 or (stride > 1 and sizes[-1] == 1):
            raise ValueError(
                f"{times} transposed convolutions of kernel {kernel} and stride {stride} (padding {padding!r}) cannot reach an "
                f"axis of {size}: of one pixel they make {_largest(times, kernel, stride, padding)}; give fewer hidden_dims, a "
                "smaller stride or larger images"
            )
        sizes.append(before)
    return sizes[::-1]


def _largest(times: int, kernel: int, stride: int, padding: str) -> int:
    size = 1
    for _ in range(times):
        size = stride * size + (0 if padding == "SAME" else kernel - stride)
    return size
