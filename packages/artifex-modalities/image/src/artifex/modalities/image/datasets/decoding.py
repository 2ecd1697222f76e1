"""One picture as an array of a given size and colour mode, and what becomes of damaged ones."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from PIL import Image, ImageOps

from artifex.core.errors import DataError, RunWarning

__all__ = ["MENDING", "ColourMode", "Damaged", "DamagedPictureError", "Fit", "decode", "decode_bytes", "whole_or_next"]

ColourMode: TypeAlias = Literal["grayscale", "rgb", "rgba"]
Fit: TypeAlias = Literal["crop", "stretch"]
Damaged: TypeAlias = Literal["refuse", "replace"]

PILLOW_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}

MENDING = (
    "put a whole picture in its place, or let the next one take it: --set data.dataset.damaged=replace "
    "(not: take it away; a run that has begun goes on with the same number of examples alone)"
)
"""What to do about a damaged picture; a run can be resumed after either."""

Example = TypeVar("Example")


class DamagedPictureError(DataError):
    """A picture that is there, but cannot be decoded."""


def decode_bytes(data: bytes, height: int, width: int, channels: ColourMode, fit: Fit) -> np.ndarray:
    """The picture in a file's bytes, as :func:`decode`.

    Raises:
        DamagedPictureError: they are no picture, or one that is cut off or broken.
        DataError: it has more than 8 bits a channel.
    """
    try:
        if not data:
            raise ValueError("it is empty")
        with Image.open(io.BytesIO(data)) as picture:
            return decode(picture, height, width, channels, fit)
    except (DataError, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise DamagedPictureError(f"it is no picture of a known form; it begins with {data[:8]!r}") from error
    except Exception as error:  # on broken data, Pillow's decoders raise whatever they come across
        raise DamagedPictureError(str(error) or type(error).__name__) from error


def decode(picture: Image.Image, height: int, width: int, channels: ColourMode, fit: Fit) -> np.ndarray:
    """``picture`` as uint8 ``(height, width, 1, 3 or 4)``, upright as its EXIF orientation says, resampled bilinearly.

    Args:
        picture: any Pillow image with 8 bits a channel, as colours of 16 bits have become when Pillow has opened them; of an
            animation the present frame, at first the first one.
        height: rows.
        width: columns.
        channels: the colour mode; grey is ITU-R BT.601 luma, alpha is dropped or added opaque.
        fit: ``crop`` keeps proportions and cuts the longer side, centred; ``stretch`` keeps everything and distorts.

    Raises:
        DataError: more than 8 bits a channel, as grey of 16 bits and floats have.
    """
    # Pillow would cut such values off at 255 without a word.
    if picture.mode.startswith(("I", "F")):
        raise DataError(f"its pixels have mode {picture.mode!r}, more than 8 bits a channel; convert it to 8 bits")
    upright = ImageOps.exif_transpose(picture)
    if "transparency" in upright.info:  # of a palette, say: converted at once, it would be mixed into the colours or warned of
        upright = upright.convert("RGBA")
    upright = upright.convert(PILLOW_MODES[channels])
    size = (width, height)
    if upright.size != size:
        bilinear = Image.Resampling.BILINEAR
        upright = ImageOps.fit(upright, size, bilinear) if fit == "crop" else upright.resize(size, bilinear)
    return np.asarray(upright, np.uint8).reshape(height, width, -1)


def whole_or_next(read: Callable[[int], Example], index: int, size: int, damaged: Damaged) -> Example:
    """Example ``index``; where it is damaged and may be replaced, the next whole one, so that their number and order stay.

    Raises:
        DamagedPictureError: it is damaged and may not be replaced, or all are.
    """
    if damaged == "refuse":
        return read(index)
    first: DamagedPictureError | None = None
    for place in (*range(index, size), *range(index)):
        try:
            example = read(place)
        except DamagedPictureError as error:
            first = first or error
            continue
        if first is not None:
            _tell_once(f"{first}; the picture number {place} takes its place")
        return example
    assert first is not None
    raise first


@functools.cache
def _tell_once(message: str) -> None:
    """Warn of a damaged picture when it is first met, and not in every epoch anew."""
    warnings.warn(message, RunWarning, stacklevel=3)
