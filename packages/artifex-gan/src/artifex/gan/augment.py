r"""Differentiable augmentation: random changes of all images that a discriminator sees, real and generated.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (arXiv:2006.10738), section 3. Gradients go
through them to the generator.

Shapes: ``B = batch, H W C = height, width, channels``. Images are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = ["Change", "augment", "color", "cutout", "translation"]

Change = Literal["color", "translation", "cutout"]
Images = Float[Array, "B H W C"]


def color(x: Images, key: Array) -> Images:
    """Brightness moved by up to a half, saturation times up to two, contrast times a half to three halves."""
    keys = jax.random.split(key, 3)
    brightness, saturation, contrast = (jax.random.uniform(k, (x.shape[0], 1, 1, 1), x.dtype) for k in keys)
    x = x + (brightness - 0.5)
    grey = jnp.mean(x, axis=-1, keepdims=True)
    x = (x - grey) * (2 * saturation) + grey
    mean = jnp.mean(x, axis=(1, 2, 3), keepdims=True)
    return (x - mean) * (contrast + 0.5) + mean


def translation(x: Images, key: Array) -> Images:
    """Moved by up to an eighth of its height and width; zeros come in."""
    height, width = x.shape[1:3]
    for axis, size, axis_key in zip((1, 2), (height, width), jax.random.split(key), strict=True):
        most = int(size / 8 + 0.5)
        shift = jax.random.randint(axis_key, (x.shape[0], 1), -most, most + 1)
        rows = jnp.arange(size)[None] - shift  # (B, size)
        inside = (rows >= 0) & (rows < size)
        pick = jax.nn.one_hot(jnp.where(inside, rows, size), size, dtype=x.dtype)  # a matrix product has a quick gradient
        x = jnp.einsum("bij,bjwc->biwc" if axis == 1 else "bij,bhjc->bhic", pick, x)
    return x


def cutout(x: Images, key: Array) -> Images:
    """A square of half the height and width set to zero, wherever its middle falls."""
    masks = []
    for axis, axis_key in zip((1, 2), jax.random.split(key), strict=True):
        size = x.shape[axis]
        length = int(size / 2 + 0.5)
        middle = jax.random.randint(axis_key, (x.shape[0], 1), 0, size + (1 - length % 2))
        offset = jnp.arange(size)[None] - (middle - length // 2)  # (B, size)
        masks.append((offset >= 0) & (offset < length))
    hole = masks[0][:, :, None, None] & masks[1][:, None, :, None]
    return jnp.where(hole, jnp.zeros((), x.dtype), x)


CHANGES: dict[str, Callable[[Images, Array], Images]] = {"color": color, "translation": translation, "cutout": cutout}


def augment(x: Array, changes: Sequence[Change], key: Array, *, channel_axis: int = -1) -> Array:
    """``changes``, one after the other, each drawn anew for every image.

    Args:
        x: ``(B, H, W, C)``, or ``(B, C, H, W)`` with ``channel_axis`` 1.
        changes: which.
        key: of the draws.
        channel_axis: -1 or 1.

    Raises:
        InvalidInputError: ``x`` is no batch of images, or there is no such change.

    >>> augment(jnp.ones((2, 1, 8, 8)), ("translation", "cutout"), jax.random.key(0), channel_axis=1).shape
    (2, 1, 8, 8)
    """
    if x.ndim != 4 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(f"images to be changed are (B, H, W, C) in floating point, got {x.dtype} of shape {x.shape}")
    unknown = [change for change in changes if change not in CHANGES]
    if unknown:
        raise InvalidInputError(f"there is no change called {unknown[0]!r}; there are {', '.join(CHANGES)}")
    x = jnp.moveaxis(x, channel_axis, -1)
    for i, change in enumerate(changes):
        x = CHANGES[change](x, jax.random.fold_in(key, i))
    return jnp.moveaxis(x, -1, channel_axis)
