"""Pure functions on batches of images. Shapes: ``b`` images, ``h`` rows, ``w`` columns, ``c`` channels.

Intensities are float32 in [0, 1] unless said otherwise. Every function can be jitted; those that draw take a ``key``.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, UInt8

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "binarize",
    "convert_colour",
    "dequantize",
    "destandardize",
    "from_symmetric",
    "luma",
    "quantize",
    "random_brightness",
    "random_contrast",
    "random_crop",
    "random_flip",
    "random_shift",
    "resize",
    "sample_binary",
    "standardize",
    "to_symmetric",
    "to_uint8",
    "to_unit",
]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of ITU-R Recommendation BT.601-7 (2011), section 2.5.1."""


def to_unit(x: Num[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """``x / 255`` for uint8; floats are taken to be in [0, 1] already."""
    return x.astype(jnp.float32) / 255.0 if x.dtype == jnp.uint8 else x.astype(jnp.float32)


def to_uint8(x: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """``round(255 x)`` on the host, for ``x`` clipped to [0, 1]; what is not a number becomes 0.

    >>> to_uint8(np.array([-0.5, 0.0, 0.5, 1.0])).tolist()
    [0, 0, 128, 255]
    """
    return np.rint(np.clip(np.nan_to_num(np.asarray(x, np.float32), nan=0.0), 0.0, 1.0) * 255.0).astype(np.uint8)


def luma(x: Float[Array, "b h w 3"]) -> Float[Array, "b h w 1"]:
    """``Y = 0.299 R + 0.587 G + 0.114 B`` (ITU-R BT.601)."""
    # Written out, so that no accelerator rounds it as it would a matrix product.
    red, green, blue = (x[..., i : i + 1] * weight for i, weight in enumerate(LUMA))
    return red + green + blue


def convert_colour(x: Float[Array, "b h w c"], channels: int) -> Float[Array, "b h w n"]:
    """Grey, RGB or RGBA images (1, 3 or 4 channels) as images of 1, 3 or 4 ``channels``.

    Grey is the luma of the colours; colours of a grey image are equal; alpha is dropped, or added as 1 (opaque).
    """
    given = x.shape[-1]
    if given == channels:
        return x
    colour = x[..., :3]
    if channels == 1:
        return luma(colour)
    if given == 1:
        colour = jnp.repeat(x, 3, axis=-1)
    return colour if channels == 3 else jnp.concatenate([colour, jnp.ones_like(colour[..., :1])], axis=-1)


def resize(x: Float[Array, "b h w c"], height: int, width: int, method: str = "linear") -> Float[Array, "b height width c"]:
    """Resample to ``height`` rows and ``width`` columns; antialiased when shrinking; overshoot is clipped to [0, 1].

    Pixels are areas (their centres at half-integers), as in Pillow. ``method``: ``nearest``, ``linear``, ``cubic`` (Keys 1981),
    ``lanczos3`` or ``lanczos5``.
    """
    if x.shape[1:3] == (height, width):
        return x
    resized = jax.image.resize(x, (x.shape[0], height, width, x.shape[3]), method, precision=jax.lax.Precision.HIGHEST)
    return jnp.clip(resized, 0.0, 1.0) if method in ("cubic", "lanczos3", "lanczos5") else resized


def random_flip(key: Array, x: Float[Array, "b h w c"], probability: float = 0.5) -> Float[Array, "b h w c"]:
    """Mirror each image left to right with ``probability``."""
    flipped = jax.random.bernoulli(key, probability, (x.shape[0], 1, 1, 1))
    return jnp.where(flipped, x[:, :, ::-1, :], x)


def random_crop(key: Array, x: Float[Array, "b h w c"], padding: int) -> Float[Array, "b h w c"]:
    """Extend each side by ``padding`` pixels by reflection and cut out the original size at a random place."""
    return _crop_padded(key, x, padding, "reflect")


def random_shift(key: Array, x: Float[Array, "b h w c"], pixels: int) -> Float[Array, "b h w c"]:
    """Move each image by up to ``pixels`` along each axis; zeros come in."""
    return _crop_padded(key, x, pixels, "constant")


def _crop_padded(key: Array, x: Array, padding: int, mode: Literal["reflect", "constant"]) -> Array:
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=mode)
    corners = jax.random.randint(key, (x.shape[0], 2), 0, 2 * padding + 1)

    def crop(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], jnp.zeros_like(corner[0])), x.shape[1:])

    return jax.vmap(crop)(padded, corners)


def adjust_brightness(x: Float[Array, "b h w c"], delta: Float[Array, "b 1 1 1"]) -> Float[Array, "b h w c"]:
    """``clip(x + delta, 0, 1)``."""
    return jnp.clip(x + delta, 0.0, 1.0)


def adjust_contrast(x: Float[Array, "b h w c"], factor: Float[Array, "b 1 1 1"]) -> Float[Array, "b h w c"]:
    """``clip(m + factor (x - m), 0, 1)`` with ``m`` the mean of each channel of each image."""
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    return jnp.clip(mean + factor * (x - mean), 0.0, 1.0)


def random_brightness(key: Array, x: Float[Array, "b h w c"], delta: float) -> Float[Array, "b h w c"]:
    """:func:`adjust_brightness` by a number drawn uniformly from [-delta, delta] for each image."""
    return adjust_brightness(x, jax.random.uniform(key, (x.shape[0], 1, 1, 1), x.dtype, -delta, delta))


def random_contrast(key: Array, x: Float[Array, "b h w c"], delta: float) -> Float[Array, "b h w c"]:
    """:func:`adjust_contrast` by a factor drawn uniformly from [1 - delta, 1 + delta] for each image."""
    return adjust_contrast(x, jax.random.uniform(key, (x.shape[0], 1, 1, 1), x.dtype, 1.0 - delta, 1.0 + delta))


def binarize(x: Float[Array, "..."], threshold: float) -> Float[Array, "..."]:
    """1 where ``x >= threshold``, else 0."""
    return (x >= threshold).astype(x.dtype)


def sample_binary(key: Array, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``b ~ Bernoulli(x)``: dynamic binarisation (Salakhutdinov & Murray 2008; Burda et al. 2015, arXiv:1509.00519)."""
    return jax.random.bernoulli(key, x).astype(x.dtype)


def dequantize(key: Array, x: Float[Array, "..."], levels: int) -> Float[Array, "..."]:
    """``(v + u) / L`` with level ``v = round((L - 1) x)`` and noise ``u ~ U[0, 1)``.

    Uria et al. 2013, arXiv:1306.0186; Theis et al. 2016, arXiv:1511.01844. The result is in [0, 1); :func:`quantize` undoes it
    (unless L is neither 17 nor a power of two and the noise lies within a rounding error of a level's edge).
    """
    level = jnp.round(x * (levels - 1))
    # v + u may round up to v + 1 in float32, which is the next level: keep it below.
    below = jnp.nextafter(level + 1.0, jnp.zeros_like(level))
    return jnp.minimum(level + jax.random.uniform(key, x.shape, x.dtype), below) / levels


def quantize(x: Float[Array, "..."], levels: int) -> Float[Array, "..."]:
    """``floor(L x) / (L - 1)``: the intensity in [0, 1] of the level whose interval holds ``x``."""
    return jnp.clip(jnp.floor(x * levels), 0, levels - 1) / (levels - 1)


def to_symmetric(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``2 x - 1``: from [0, 1] to [-1, 1]."""
    return 2.0 * x - 1.0


def from_symmetric(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``(x + 1) / 2``: from [-1, 1] to [0, 1]."""
    return 0.5 * (x + 1.0)


def standardize(x: Float[Array, "b h w c"], mean: tuple[float, ...], std: tuple[float, ...]) -> Float[Array, "b h w c"]:
    """``(x - mean) / std`` per channel."""
    return (x - _per_channel(mean, x)) / _per_channel(std, x)


def destandardize(x: Float[Array, "b h w c"], mean: tuple[float, ...], std: tuple[float, ...]) -> Float[Array, "b h w c"]:
    """``x std + mean`` per channel: the inverse of :func:`standardize`."""
    return x * _per_channel(std, x) + _per_channel(mean, x)


def _per_channel(values: tuple[float, ...], like: Array) -> Array:
    return jnp.asarray(values, like.dtype).reshape((1,) * (like.ndim - 1) + (-1,))
