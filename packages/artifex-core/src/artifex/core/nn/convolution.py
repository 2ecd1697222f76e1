"""Convolutions as pure functions, in the form that the machine at hand runs fastest.

On the CPU, XLA computes a strided transposed convolution over the zeros between its inputs, several times slower than need be.
:func:`conv_transpose` rewrites it there as one convolution of stride one, or in one and three dimensions as a matrix product;
:func:`conv` makes one of a strided convolution in three dimensions, whose gradient XLA computes ten to a hundred times slower.
The choice is made when the program is lowered for a platform (:func:`jax.lax.platform_dependent`), so tracing it starts no
backend, and a program exported for several platforms carries the right form for each.

Shapes: ``B`` batch, ``*S`` spatial sizes (one, two or three of them), ``*K`` kernel sizes, ``C`` input and ``O`` output
channels. Arrays are channels-last, kernels are ``(*K, C, O)``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from artifex.core.errors import InvalidInputError

__all__ = [
    "Padding",
    "conv",
    "conv_transpose",
    "patches_conv",
    "plain_conv",
    "plain_conv_transpose",
    "subpixel_conv_transpose",
]

Padding = str | int | Sequence[tuple[int, int]]
"""``"SAME"``, ``"VALID"``, a number of zeros at every end, or a pair (before, after) for each spatial axis."""

_LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def conv(x: jax.Array, kernel: jax.Array, strides: int | Sequence[int] = 1, padding: Padding = "SAME") -> jax.Array:
    """Convolution ``y[b, t, o] = sum_{d, c} x[b, s t + d - p, c] kernel[d, c, o]``.

    Args:
        x: ``(B, *S, C)``.
        kernel: ``(*K, C, O)``.
        strides: ``s``, one number or one an axis.
        padding: ``"SAME"`` (output sizes ``ceil(S / s)``), ``"VALID"`` (no padding), or zeros by number: ``p`` at every end,
            as in PyTorch, or a pair (before, after) for each spatial axis. Where a stride leaves an odd number of zeros,
            ``"SAME"`` puts the larger half at the end: with kernel 3 and stride 2 on an even size, all of it.

    Returns:
        ``(B, *S', O)``.

    Raises:
        InvalidInputError: the shapes do not fit, or the padding is none of these.

    >>> conv(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), 2, "VALID").tolist()
    [[[[9.0]]]]
    """
    strides, pads = _check_window(x, kernel, strides, padding)
    if len(strides) < 3 or max(strides) == 1:
        return plain_conv(x, kernel, strides, pads)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: patches_conv(x, kernel, strides, pads),
        default=lambda x, kernel: plain_conv(x, kernel, strides, pads),
    )


def conv_transpose(x: jax.Array, kernel: jax.Array, strides: int | Sequence[int] = 2, padding: str = "SAME") -> jax.Array:
    """Transposed convolution ``y[b, s i + K - 1 - d - p, o] += x[b, i, c] kernel[d, c, o]``, in the form for the platform.

    The kernel is not flipped, as in ``flax.nnx.ConvTranspose``; PyTorch's weight is this kernel reversed along its spatial
    axes.

    Args:
        x: ``(B, *S, C)``.
        kernel: ``(*K, C, O)``.
        strides: ``s``, one number or one an axis.
        padding: ``"SAME"`` (output sizes ``s S``) or ``"VALID"`` (``s S + max(K - s, 0)``).

    Returns:
        ``(B, *S', O)``.

    Raises:
        InvalidInputError: the shapes do not fit, or the padding has another name.

    >>> conv_transpose(jnp.ones((1, 2, 1)), jnp.array([[[1.0]], [[2.0]]]), 2).tolist()
    [[[2.0], [1.0], [2.0], [1.0]]]
    """
    strides = _check_transpose(x, kernel, strides, padding)
    if max(strides) == 1 or kernel.shape[-1] == 1:  # there XLA's form is the faster one on the CPU too (benchmarks/core_nn.py)
        return plain_conv_transpose(x, kernel, strides, padding)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: subpixel_conv_transpose(x, kernel, strides, padding),
        default=lambda x, kernel: plain_conv_transpose(x, kernel, strides, padding),
    )


def plain_conv(x: jax.Array, kernel: jax.Array, strides: int | Sequence[int] = 1, padding: Padding = "SAME") -> jax.Array:
    """:func:`conv` as XLA's own operation."""
    strides, pads = _check_window(x, kernel, strides, padding)
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_LAYOUTS[len(strides)])


def plain_conv_transpose(x: jax.Array, kernel: jax.Array, strides: int | Sequence[int] = 2, padding: str = "SAME") -> jax.Array:
    """:func:`conv_transpose` as XLA's own operation."""
    strides = _check_transpose(x, kernel, strides, padding)
    return lax.conv_transpose(x, kernel, strides, padding, dimension_numbers=_LAYOUTS[len(strides)])


def patches_conv(x: jax.Array, kernel: jax.Array, strides: int | Sequence[int] = 1, padding: Padding = "SAME") -> jax.Array:
    """:func:`conv` as one matrix product over the input's patches ("im2col", Chellapilla et al. 2006).

    It serves :func:`subpixel_conv_transpose` in one and three dimensions, and strides in three. Elsewhere XLA's own form is as
    fast or faster on a CPU, for one to three input channels too (benchmarks/core_nn.py).
    """
    strides, pads = _check_window(x, kernel, strides, padding)
    *sizes, n_in, n_out = kernel.shape
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    for axis in reversed(range(len(sizes))):  # an axis at a time: the sum of the sizes in slices, not their product
        step, outs = strides[axis], (x.shape[axis + 1] - sizes[axis]) // strides[axis] + 1
        taps = [lax.slice_in_dim(x, d, d + (outs - 1) * step + 1, step, axis + 1) for d in range(sizes[axis])]
        x = jnp.concatenate(taps, axis=-1)
    return x @ kernel.reshape(math.prod(sizes) * n_in, n_out)


def subpixel_conv_transpose(
    x: jax.Array, kernel: jax.Array, strides: int | Sequence[int] = 2, padding: str = "SAME"
) -> jax.Array:
    """:func:`conv_transpose` as a convolution to ``prod(s) O`` channels, a group for each phase of the output, rearranged.

    Output ``s n + r`` meets only every ``s``-th element of the kernel, those of phase ``r``, so ``ceil(K / s)`` elements at
    stride one serve each phase (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?",
    arXiv:1609.07009).
    """
    strides = _check_transpose(x, kernel, strides, padding)
    *sizes, _, n_out = kernel.shape
    n = len(sizes)
    taps = [-(-k // s) for k, s in zip(sizes, strides, strict=True)]
    grouped = _by_phase(kernel, taps, strides)
    x = jnp.pad(x, ((0, 0), *((m - 1, m - 1) for m in taps), (0, 0)))
    form = plain_conv if n == 2 else patches_conv  # XLA is slow at these in one and three dimensions
    y = form(x, grouped, 1, "VALID")  # (B, *(S + m - 1), prod(s) O)
    full = y.shape[1:-1]
    y = y.reshape(y.shape[0], *full, *strides, n_out)
    y = y.transpose(0, *(axis for i in range(n) for axis in (1 + i, 1 + n + i)), 1 + 2 * n)
    y = y.reshape(y.shape[0], *(f * s for f, s in zip(full, strides, strict=True)), n_out)
    crops = []
    for size, k, s, length in zip(x.shape[1:-1], sizes, strides, y.shape[1:-1], strict=True):
        start, out = _transpose_window(size - 2 * (-(-k // s) - 1), k, s, padding)
        crops.append((-start, start + out - length, 0))
    return lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *crops, (0, 0, 0)))


def _by_phase(kernel: jax.Array, taps: Sequence[int], strides: Sequence[int]) -> jax.Array:
    """``(*K, C, O)`` to ``(*taps, C, prod(s) O)``: the kernel's elements gathered by their phase modulo the stride."""
    *sizes, n_in, n_out = kernel.shape
    n = len(sizes)
    # Reversed, element d weighs the input d steps back; padded to whole strides; then the taps take the order of the window.
    kernel = jnp.flip(kernel, range(n))
    kernel = jnp.pad(kernel, (*((0, m * s - k) for m, s, k in zip(taps, strides, sizes, strict=True)), (0, 0), (0, 0)))
    kernel = kernel.reshape(*itertools.chain(*zip(taps, strides, strict=True)), n_in, n_out)
    kernel = jnp.flip(kernel, range(0, 2 * n, 2))
    kernel = kernel.transpose(*range(0, 2 * n, 2), 2 * n, *range(1, 2 * n, 2), 2 * n + 1)
    return kernel.reshape(*taps, n_in, math.prod(strides) * n_out)


def _transpose_window(size: int, k: int, s: int, padding: str) -> tuple[int, int]:
    """Where the padded transposed convolution begins in the full one, and its length (the rule of ``lax.conv_transpose``)."""
    if padding == "VALID":
        return 0, size * s + max(k - s, 0)
    before = k - 1 if s > k - 1 else math.ceil((k + s - 2) / 2)
    return k - 1 - before, size * s


def _check_transpose(x: jax.Array, kernel: jax.Array, strides: int | Sequence[int], padding: str) -> tuple[int, ...]:
    """The strides, one an axis, once everything is known to fit."""
    strides = _check(x, kernel, strides)
    if padding not in ("SAME", "VALID"):
        raise InvalidInputError(f"padding of a transposed convolution is 'SAME' or 'VALID', got {padding!r}.")
    return strides


def as_pairs(padding: Padding, axes: int) -> str | tuple[tuple[int, int], ...]:
    """``padding`` as one of its two names, or as a pair (before, after) for each of ``axes`` spatial axes.

    Raises:
        InvalidInputError: it is none of these.
    """
    if isinstance(padding, str):
        if padding in ("SAME", "VALID"):
            return padding
    elif isinstance(padding, int):
        return ((padding, padding),) * axes
    elif len(padding) == axes and all(isinstance(pair, Sequence) and len(pair) == 2 for pair in padding):
        return tuple((before, after) for before, after in padding)
    raise InvalidInputError(
        f"padding is 'SAME' or 'VALID', one number, or a pair (before, after) for each of {axes} spatial axes; got {padding!r}."
    )


def _check_window(
    x: jax.Array, kernel: jax.Array, strides: int | Sequence[int], padding: Padding
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """The strides and the zeros before and after, one and a pair an axis, once the kernel is known to lie within both."""
    strides, inputs, sizes = _check(x, kernel, strides), x.shape[1:-1], kernel.shape[:-2]
    ends = as_pairs(padding, len(sizes))
    pads = lax.padtype_to_pads(inputs, sizes, strides, ends) if isinstance(ends, str) else ends
    if any(n + before + after < k for n, (before, after), k in zip(inputs, pads, sizes, strict=True)):
        raise InvalidInputError(
            f"A kernel of sizes {sizes} does not fit into sizes {inputs} under padding {padding!r}; use 'SAME'."
        )
    return strides, tuple((before, after) for before, after in pads)


def _check(x: jax.Array, kernel: jax.Array, strides: int | Sequence[int]) -> tuple[int, ...]:
    """The strides, one an axis, once the shapes are known to fit."""
    n = kernel.ndim - 2
    if n not in _LAYOUTS:
        raise InvalidInputError(f"A kernel is (*sizes, in, out) with one to three sizes; got shape {kernel.shape}.")
    if x.ndim != n + 2:
        raise InvalidInputError(
            f"A kernel of shape {kernel.shape} takes x of shape (batch, *sizes, channels), {n + 2} axes; got shape {x.shape}. "
            f"Add or merge leading axes to have exactly one batch axis."
        )
    if x.shape[-1] != kernel.shape[-2]:
        raise InvalidInputError(
            f"x of shape {x.shape} has {x.shape[-1]} channels in its last axis, the kernel of shape {kernel.shape} takes "
            f"{kernel.shape[-2]}. Channels come last."
        )
    strides = (strides,) * n if isinstance(strides, int) else tuple(strides)
    if len(strides) != n or min(strides) < 1:
        raise InvalidInputError(f"strides is one positive number, or one for each of the {n} spatial axes; got {strides}.")
    return strides
