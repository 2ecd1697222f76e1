"""How alike two images are. Shapes: ``...`` batch axes, ``h`` rows, ``w`` columns, ``c`` channels; one number per image."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Num

from artifex.core.errors import InvalidInputError
from artifex.modalities.image.stored import ROUNDING

__all__ = ["psnr", "ssim"]


def psnr(
    samples: Num[Array, "... h w c"], references: Num[Array, "... h w c"], *, data_range: float | None = None
) -> Float[Array, "..."]:
    """Peak signal-to-noise ratio in decibels, ``10 log10(R² / mean((x - y)²))``; infinite for equal images.

    Args:
        samples: images ``x``.
        references: images ``y`` of the same shape.
        data_range: R, the distance between the least and the greatest possible intensity: 1 for [0, 1], 2 for [-1, 1], 255 for
            8-bit images; by default 1 for floating point, which then has to lie in [0, 1], and 255 for uint8.

    Raises:
        InvalidInputError: the shapes differ or are no images', one is floating point and the other uint8, the range is not
            positive, or is missing for other integers or for floats outside [0, 1].

    >>> float(psnr(jnp.zeros((8, 8, 1)), jnp.full((8, 8, 1), 0.1))).__round__(4)
    20.0
    """
    x, y = _in_units_of_range(samples, references, data_range)
    return -10.0 * jnp.log10(jnp.mean(jnp.square(x - y), axis=(-3, -2, -1)))


def ssim(
    samples: Num[Array, "... h w c"],
    references: Num[Array, "... h w c"],
    *,
    data_range: float | None = None,
    window: Literal["gaussian", "uniform"] = "gaussian",
    window_size: int | None = None,
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Float[Array, "..."]:
    """Mean structural similarity, ``mean[(2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2))]``.

    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE Transactions on Image Processing 13(4), 2004, equation 13, with ``C1 = (k1 R)²`` and ``C2 = (k2 R)²``.
    Means, variances and the covariance are taken in a window around each pixel, at every place where it lies within the image,
    channel by channel.

    Args:
        samples: images ``x``.
        references: images ``y`` of the same shape.
        data_range: R, the distance between the least and the greatest possible intensity; by default 1 for floating point,
            which then has to lie in [0, 1], and 255 for uint8.
        window: ``gaussian`` with a standard deviation of 1.5 pixels, as in the paper, or ``uniform``.
        window_size: odd side length; 11 for ``gaussian`` (as in the paper) and 7 for ``uniform`` unless given.
        sample_covariance: divide (co)variances by one less than the number of pixels in the window; the paper does not.
        k1: the paper's K1.
        k2: the paper's K2.

    Raises:
        InvalidInputError: shapes that differ or are no images', images smaller than the window, an even window, floats beside
            uint8, a bad range.
    """
    taps = _window_taps(window, window_size)
    x, y = _in_units_of_range(samples, references, data_range)
    if min(x.shape[-3:-1]) < taps.size:
        raise InvalidInputError(
            f"SSIM with a window of {taps.size} pixels needs images at least that large; got {x.shape[-3]} x {x.shape[-2]} "
            "(a smaller window_size makes it possible)"
        )
    # Variances do not change with the origin, and about the mean float32 loses least to cancellation.
    centre = jnp.mean(x, axis=(-3, -2), keepdims=True)
    x, y = x - centre, y - centre
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _windowed_means(jnp.stack([x, y, x * x, y * y, x * y]), taps)
    n = taps.size**2
    correction = n / (n - 1) if sample_covariance else 1.0
    variances = correction * ((mean_xx - mean_x**2) + (mean_yy - mean_y**2))
    covariance = correction * (mean_xy - mean_x * mean_y)
    mean_x, mean_y = mean_x + centre, mean_y + centre
    c1, c2 = k1**2, k2**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    return jnp.mean(similarity, axis=(-3, -2, -1))


def _window_taps(window: str, size: int | None) -> np.ndarray:
    """Weights along one axis; they add up to one."""
    if window not in ("gaussian", "uniform"):
        raise InvalidInputError(f"window is 'gaussian' or 'uniform', got {window!r}")
    size = (11 if window == "gaussian" else 7) if size is None else size
    if size < 3 or size % 2 == 0:
        raise InvalidInputError(f"window_size has to be odd and at least 3, got {size}")
    offsets = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (offsets / 1.5) ** 2) if window == "gaussian" else np.ones(size)
    return weights / weights.sum()


def _windowed_means(maps: Array, taps: np.ndarray) -> Array:
    """Weighted mean around each pixel whose window lies inside: ``(..., h, w, c) -> (..., h - k + 1, w - k + 1, c)``."""
    *batch, height, width, channels = maps.shape
    flat = jnp.moveaxis(maps, -1, -3).reshape(-1, 1, height, width)
    weights = jnp.asarray(taps, maps.dtype)
    for kernel in (weights[None, None, :, None], weights[None, None, None, :]):
        flat = jax.lax.conv_general_dilated(flat, kernel, (1, 1), "VALID", precision=jax.lax.Precision.HIGHEST)
    return jnp.moveaxis(flat.reshape(*batch, channels, *flat.shape[-2:]), -3, -1)


def _in_units_of_range(samples: Any, references: Any, data_range: float | None) -> tuple[Array, Array]:
    """Both as float32 in units of R, once they are known to be images of one shape, one kind and one range."""
    x, y = (a if hasattr(a, "dtype") else np.asarray(a) for a in (samples, references))
    if x.shape != y.shape or x.ndim < 3:
        raise InvalidInputError(
            f"two batches of images of one shape (..., height, width, channels) are needed; got {x.shape} and {y.shape}"
        )
    own_range = _range_of_both(x, y)
    if data_range is None:
        if own_range is None:
            raise InvalidInputError(
                f"images of {x.dtype} and {y.dtype} have no range of their own; give data_range, such as 255 for 8-bit images"
            )
        _check_floats_lie_in_unit({"samples": x, "references": y})
        data_range = own_range
    if not 0 < data_range < np.inf:
        raise InvalidInputError(f"data_range has to be positive, got {data_range}")
    return jnp.asarray(x, jnp.float32) / data_range, jnp.asarray(y, jnp.float32) / data_range


def _range_of_both(x: Any, y: Any) -> float | None:
    """The range that both have by convention, if they have any; refuses two that differ."""
    one, other = _range_of(x.dtype), _range_of(y.dtype)
    if one is None or other is None:
        return None
    if one != other:
        raise InvalidInputError(
            f"samples are {x.dtype} (0 to {one:g}), references are {y.dtype} (0 to {other:g}); give both one form: divide the "
            "uint8 ones by 255, or, if the floats reach 255, cast the uint8 ones to float32 and give data_range=255"
        )
    return one


def _range_of(dtype: Any) -> float | None:
    """The greatest intensity that images of a type have by convention; ``None`` where there is no convention."""
    if dtype == jnp.uint8:
        return 255.0
    return 1.0 if dtype == jnp.bool_ or jnp.issubdtype(dtype, jnp.floating) else None


def _check_floats_lie_in_unit(pair: dict[str, Any]) -> None:
    """Without a range given, floats have to keep to [0, 1]: of what reaches 255, or -1, the figure would be wrong."""
    floats = {name: a for name, a in pair.items() if a.size and jnp.issubdtype(a.dtype, jnp.floating)}
    if any(isinstance(a, Tracer) for a in floats.values()):
        return  # a compiled program does not know its values yet
    # NaN is no range: it shows in the figure itself
    bounds = {name: (float(jnp.nanmin(a)), float(jnp.nanmax(a))) for name, a in floats.items()}
    if any(low < -ROUNDING or high > 1.0 + ROUNDING for low, high in bounds.values()):
        found = " and ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in bounds.items())
        raise InvalidInputError(
            f"floating-point images are taken to lie in [0, 1]; got {found}: give data_range (255 for 0..255, 2 for [-1, 1]), "
            "the same range for both, or clip what only overshoots"
        )
