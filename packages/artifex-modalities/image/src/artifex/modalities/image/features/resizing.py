r"""How images get the size that a network wants: three conventions are in use, whose figures do not compare.

Each is linear and separable: ``y = R_h x R_w^T``, with a matrix for each axis.

    pytorch-fid   torch's bilinear at half-pixel centres, without antialiasing; then 2 x - 1 of intensities in [0, 1]
    clean-fid     Pillow's bicubic (a = -1/2), antialiased, clipped to 0..255; then (x - 128) / 128  (Parmar et al. 2022,
                  arXiv:2104.11222: the only one that does not alias)
    tensorflow    the original code's bilinear, whose centres are at whole pixels; then (x - 128) / 128

Shapes: ``B = images, h, w = given size, n = wanted size, c = channels``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = ["Convention", "for_inception", "resize_matrix"]

Convention: TypeAlias = Literal["pytorch-fid", "clean-fid", "tensorflow"]


def for_inception(x: Float[Array, "B h w c"], size: int, convention: Convention) -> Float[Array, "B n n c"]:
    """Intensities in [0, 1] as FID's network takes them, about [-1, 1], ``size`` rows and columns.

    >>> round(float(for_inception(jnp.ones((1, 4, 6, 3)), 8, "tensorflow").max()), 4)
    0.9922
    """
    rows, columns = (jnp.asarray(resize_matrix(n, size, convention)) for n in x.shape[1:3])
    highest = jax.lax.Precision.HIGHEST
    resized = jnp.einsum("nh,bhwc->bnwc", rows, x, precision=highest)
    resized = jnp.einsum("nw,bhwc->bhnc", columns, resized, precision=highest)
    if convention == "pytorch-fid":
        return 2.0 * resized - 1.0
    return (255.0 * jnp.clip(resized, 0.0, 1.0) - 128.0) / 128.0


@lru_cache(maxsize=32)
def resize_matrix(given: int, wanted: int, convention: Convention) -> np.ndarray:
    """Weights of the ``given`` pixels in each of the ``wanted`` ones, float32 ``(wanted, given)``; each row adds up to one.

    Raises:
        InvalidInputError: no such convention.
    """
    if convention == "clean-fid":
        return _bicubic_matrix(given, wanted).astype(np.float32)
    scale, places = given / wanted, np.arange(wanted)
    if convention == "pytorch-fid":
        source = np.maximum((places + 0.5) * scale - 0.5, 0.0)
    elif convention == "tensorflow":
        source = places * scale
    else:
        raise InvalidInputError(f"resizing follows 'pytorch-fid', 'clean-fid' or 'tensorflow', got {convention!r}")
    below = np.minimum(np.floor(source).astype(int), given - 1)
    above, part = np.minimum(below + 1, given - 1), np.minimum(source - below, 1.0)
    matrix = np.zeros((wanted, given))
    np.add.at(matrix, (places, below), 1.0 - part)
    np.add.at(matrix, (places, above), part)
    return matrix.astype(np.float32)


def _bicubic_matrix(given: int, wanted: int) -> np.ndarray:
    """Keys' cubic stretched over the pixels that fall together when an image shrinks, cut at the border and renormalised."""
    scale = given / wanted
    stretch = max(scale, 1.0)
    centres = (np.arange(wanted) + 0.5) * scale
    first = np.maximum(np.floor(centres - 2 * stretch + 0.5), 0.0)
    last = np.minimum(np.floor(centres + 2 * stretch + 0.5), given)
    pixels = np.arange(given)
    weights = _keys((pixels[None, :] + 0.5 - centres[:, None]) / stretch)
    weights *= (pixels[None, :] >= first[:, None]) & (pixels[None, :] < last[:, None])
    return weights / weights.sum(axis=1, keepdims=True)


def _keys(t: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys 1981, equation 15, doi:10.1109/TASSP.1981.1163711."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))
