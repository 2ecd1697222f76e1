"""One picture as an array of a given size and colour mode."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from artifex.core.errors import DataError

__all__ = ["ColourMode", "Fit", "decode"]

ColourMode: TypeAlias = Literal["grayscale", "rgb", "rgba"]
Fit: TypeAlias = Literal["crop", "stretch"]

PILLOW_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}


def decode(picture: Image.Image, height: int, width: int, channels: ColourMode, fit: Fit) -> np.ndarray:
    """``picture`` as uint8 ``(height, width, 1, 3 or 4)``, upright as its EXIF orientation says, resampled bilinearly.

    Args:
        picture: any Pillow image with 8 bits a channel.
        height: rows.
        width: columns.
        channels: the colour mode; grey is ITU-R BT.601 luma, alpha is dropped or added opaque.
        fit: ``crop`` keeps proportions and cuts the longer side, centred; ``stretch`` keeps everything and distorts.

    Raises:
        DataError: more than 8 bits a channel.
    """
    # Pillow would cut such values off at 255 without a word.
    if picture.mode.startswith(("I", "F")):
        raise DataError(f"its pixels have mode {picture.mode!r}, more than 8 bits a channel; convert it to 8 bits")
    upright = ImageOps.exif_transpose(picture).convert(PILLOW_MODES[channels])
    size = (width, height)
    if upright.size != size:
        bilinear = Image.Resampling.BILINEAR
        upright = ImageOps.fit(upright, size, bilinear) if fit == "crop" else upright.resize(size, bilinear)
    return np.asarray(upright, np.uint8).reshape(height, width, -1)
