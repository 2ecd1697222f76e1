"""Nearest-neighbour upsampling by two and a convolution, as one operation.

Odena, Dumoulin & Olah 2016, "Deconvolution and Checkerboard Artifacts" (Distill), recommend it in place of a transposed
convolution, whose overlapping windows leave a pattern of squares:

    u[j] = x[j // 2],   y[t] = sum_d u[t + d - p] kernel[d]

Every output meets only about half of the kernel's sizes, for neighbouring elements of ``u`` are equal: the operation is the
transposed convolution of stride two by the kernel whose taps are summed in pairs. With a 3×3 kernel that takes four ninths of
the multiplications, and it is what the CPU is given.

Shapes: ``B`` batch, ``*S`` spatial sizes (one to three of them), ``*K`` kernel sizes, ``C`` input and ``O`` output channels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from artifex.core.errors import InvalidInputError
from artifex.core.nn.convolution import conv, subpixel_conv_transpose

__all__ = ["plain_upsample_conv", "subpixel_upsample_conv", "upsample_conv"]


def upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Every element twice along each spatial axis, then a convolution under ``"SAME"``, in the form for the platform.

    Args:
        x: ``(B, *S, C)``.
        kernel: ``(*K, C, O)``, odd sizes.

    Returns:
        ``(B, *2S, O)``.

    Raises:
        InvalidInputError: the shapes do not fit, or a size of the kernel is even.

    >>> upsample_conv(jnp.array([[[1.0], [2.0]]]), jnp.ones((3, 1, 1))).ravel().tolist()
    [2.0, 4.0, 5.0, 4.0]
    """
    return lax.platform_dependent(x, kernel, cpu=subpixel_upsample_conv, default=plain_upsample_conv)


def plain_upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """:func:`upsample_conv` as it is defined."""
    _check(kernel)
    for axis in range(1, kernel.ndim - 1):
        x = jnp.repeat(x, 2, axis=axis)
    return conv(x, kernel)


def subpixel_upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """:func:`upsample_conv` as a transposed convolution of stride two, whose kernel has each tap added to the one before it."""
    _check(kernel)
    for axis in range(kernel.ndim - 2):
        ends = [(0, 0)] * kernel.ndim
        ends[axis] = (0, 1)
        kernel = jnp.pad(kernel, ends) + jnp.pad(kernel, [(b, a) for a, b in ends])
    return subpixel_conv_transpose(x, kernel, 2)


def _check(kernel: jax.Array) -> None:
    if any(size % 2 == 0 for size in kernel.shape[:-2]):
        raise InvalidInputError(f"The kernel has sizes {kernel.shape[:-2]}; behind an upsampling by two they have to be odd.")
