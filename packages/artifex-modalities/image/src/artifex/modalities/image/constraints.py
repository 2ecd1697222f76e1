"""What is wrong with images, and where: values outside the range, not finite, blank, of another shape, grey stored as colour.

Pure functions that list each violation and change nothing. Images are an array ``(N, H, W, C)`` or ``(N, H, W)``, or a sequence
of such images without the first axis: bytes, or floats from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError

__all__ = ["ImageViolation", "blank", "grey_as_colour", "not_finite", "out_of_range", "wrong_shapes"]

Images = Sequence[Any] | np.ndarray


@dataclass(frozen=True, slots=True)
class ImageViolation:
    """An image that breaks a rule."""

    image: int
    """Which, from 0."""
    place: tuple[int, int, int] | None
    """Row, column and channel of the first value that does; None where it is the image as a whole."""
    share: float
    """How much of the image does."""
    message: str
    """What is wrong."""


def not_finite(images: Images) -> list[ImageViolation]:
    """Images with a value that is NaN or infinite.

    >>> not_finite(np.array([[[0.5, np.nan], [0.2, 0.1]]]))[0].message
    'nan at row 0, column 1, channel 0, and 25 % of its values are not finite'
    """
    return [told for i, x in enumerate(_each(images)) for told in _places(i, x, ~np.isfinite(x), "are not finite")]


def out_of_range(
    images: Images, *, low: float = 0.0, high: float | None = None, tolerance: float = 0.0
) -> list[ImageViolation]:
    """Images with a value below ``low`` or above ``high``; what is not a number is in no range: see :func:`not_finite`.

    Args:
        images: see above.
        low: the least value.
        high: the greatest; left out, 255 for whole numbers and 1 for floats.
        tolerance: what is overlooked: 1e-3 is what 16-bit floats and resampling do.

    Raises:
        InvalidInputError: ``low`` is not below ``high``, or ``tolerance`` is negative.

    >>> out_of_range(np.array([[[0.5, 1.5], [-0.2, 0.1]]]))[0].place
    (0, 1, 0)
    """
    _check_tolerance(tolerance)
    if high is not None and not low < high:
        raise InvalidInputError(f"low is {low:g} and high {high:g}; low has to be below high")

    found = []
    for i, x in enumerate(_each(images)):
        top = high if high is not None else 255 if x.dtype.kind in "iu" else 1
        outside = (x < low - tolerance) | (x > top + tolerance)
        found += _places(i, x, outside, f"lie outside {low:g} to {top:g}")
    return found


def blank(images: Images, *, tolerance: float = 0.0) -> list[ImageViolation]:
    """Images of one colour: no channel's values differ by more than ``tolerance``.

    >>> blank(np.array([np.full((2, 2), 0.5), np.eye(2)]))
    [ImageViolation(image=0, place=None, share=1.0, message='every pixel is 0.5')]
    """
    _check_tolerance(tolerance)
    found = []
    for i, x in enumerate(_each(images)):
        pixels = x.reshape(-1, x.shape[2])
        if (pixels.max(axis=0).astype(np.float64) - pixels.min(axis=0) <= tolerance).all():
            colour = ", ".join(f"{value:g}" for value in pixels[0].astype(np.float64))
            about = f"is within {tolerance:g} of one colour, such as" if tolerance else "is"
            found.append(ImageViolation(i, None, 1.0, f"every pixel {about} {colour}"))
    return found


def grey_as_colour(images: Images, *, tolerance: float = 0.0) -> list[ImageViolation]:
    """Images of three or four channels whose first three do not differ by more than ``tolerance``: grey ones, stored thrice.

    >>> grey_as_colour(np.full((1, 2, 2, 3), 7, np.uint8))[0].message
    'its three channels are alike: a grey image, stored as colour'
    """
    _check_tolerance(tolerance)
    message = "its three channels are alike: a grey image, stored as colour"
    colours = ((i, x[..., :3].astype(np.float64)) for i, x in enumerate(_each(images)) if x.shape[2] in (3, 4))
    return [ImageViolation(i, None, 1.0, message) for i, x in colours if (np.ptp(x, axis=2) <= tolerance).all()]


def wrong_shapes(images: Images, height: int, width: int, channels: int) -> list[ImageViolation]:
    """Images of another size or number of channels; one without an axis of channels has one.

    >>> wrong_shapes([np.zeros((2, 2)), np.zeros((2, 3, 3))], 2, 2, 1)[0].message
    'it is 2 x 3 pixels with 3 channels, where 2 x 2 with 1 are wanted'
    """
    wanted = f"where {height} x {width} with {channels} are wanted"
    return [
        ImageViolation(i, None, 1.0, f"it is {x.shape[0]} x {x.shape[1]} pixels with {x.shape[2]} channels, {wanted}")
        for i, x in enumerate(_each(images))
        if x.shape != (height, width, channels)
    ]


def _places(image: int, x: np.ndarray, broken: np.ndarray, rule: str) -> list[ImageViolation]:
    """The first value of an image that breaks a rule, and the share of all; nothing where none does."""
    if not broken.any():
        return []
    row, column, channel = (int(n) for n in np.argwhere(broken)[0])
    share = float(broken.mean())
    what = f"{x[row, column, channel]:g} at row {row}, column {column}, channel {channel}"
    return [ImageViolation(image, (row, column, channel), share, f"{what}, and {100 * share:.3g} % of its values {rule}")]


def _each(images: Images) -> list[np.ndarray]:
    """Each image as ``(H, W, C)``."""
    made = []
    for i, image in enumerate(images):
        x = np.asarray(image)
        if x.ndim not in (2, 3) or 0 in x.shape or x.dtype.kind not in "biuf":
            raise InvalidInputError(
                f"image {i} is {x.dtype} of shape {x.shape}; numbers (height, width, channels) or (height, width) are needed"
            )
        made.append(x[..., None] if x.ndim == 2 else x)
    return made


def _check_tolerance(tolerance: float) -> None:
    if not tolerance >= 0:
        raise InvalidInputError(f"tolerance is {tolerance:g}; it has to be at least 0")
