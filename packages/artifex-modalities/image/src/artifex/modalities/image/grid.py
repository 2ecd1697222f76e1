"""Images to look at: many laid out as one, and one written as PNG."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from artifex.core.errors import InvalidInputError, RunError
from artifex.modalities.image.transforms import to_uint8

__all__ = ["image_grid", "save_image"]


def image_grid(
    images: np.ndarray, columns: int | None = None, *, padding: int = 2, background: int = 128, zoom: int = 1
) -> np.ndarray:
    """Lay images out row by row on one canvas, with a frame of ``padding`` pixels around each.

    Args:
        images: ``(n, h, w, c)`` with 1, 3 or 4 channels; uint8, or floats in [0, 1] (clipped).
        columns: images in a row; the smallest square that holds them all unless given.
        padding: width of the frame, in pixels of the canvas.
        background: grey level of the frame and of unused places (opaque in RGBA).
        zoom: each pixel becomes ``zoom`` x ``zoom`` pixels.

    Returns:
        uint8 canvas ``(rows (h zoom + padding) + padding, columns (w zoom + padding) + padding, c)``.

    Raises:
        InvalidInputError: not a batch of images, or none in it, or a layout that cannot be.

    >>> image_grid(np.zeros((5, 8, 8, 1)), padding=1).shape
    (19, 28, 1)
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4) or 0 in images.shape:
        raise InvalidInputError(
            f"a grid needs images of shape (n, height, width, 1, 3 or 4), at least one of them; got shape {images.shape}"
        )
    if padding < 0 or zoom < 1 or (columns is not None and columns < 1):
        raise InvalidInputError(
            f"a grid needs columns >= 1, padding >= 0 and zoom >= 1; got columns={columns}, padding={padding}, zoom={zoom}"
        )
    if images.dtype.kind in "iu" and images.dtype != np.uint8:  # which would all be clipped to white
        raise InvalidInputError(f"a grid needs uint8 images, or floats in [0, 1]; got {images.dtype}: convert them to uint8")
    tiles = images if images.dtype == np.uint8 else to_uint8(images)
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    n, height, width, channels = tiles.shape
    per_row = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / per_row)
    canvas = np.full(
        (rows * (height + padding) + padding, per_row * (width + padding) + padding, channels), background, np.uint8
    )
    if channels == 4:
        canvas[..., 3] = 255
    for i, tile in enumerate(tiles):
        top = padding + (i // per_row) * (height + padding)
        left = padding + (i % per_row) * (width + padding)
        canvas[top : top + height, left : left + width] = tile
    return canvas


def save_image(path: str | Path, image: np.ndarray) -> Path:
    """Write one uint8 image ``(h, w)`` or ``(h, w, 1, 3 or 4)`` as PNG. The file appears whole or not at all.

    Returns:
        The path written.

    Raises:
        InvalidInputError: the array is no such image, or the name does not end in ``.png``.
        RunError: the file cannot be written.
    """
    path, image = Path(path), np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in (1, 3, 4)):
        raise InvalidInputError(
            f"a PNG needs uint8 of shape (height, width) or (height, width, 1, 3 or 4); got {image.dtype} of "
            f"shape {image.shape}"
        )
    if path.suffix.lower() != ".png":
        raise InvalidInputError(f"images are written as PNG; got the name {path.name!r}, which has to end in '.png'")
    picture = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image)
    try:
        _write_whole(path, picture)
    except OSError as error:
        raise RunError(
            f"cannot write the image {path}: {error.strerror or error}; choose a folder that can be written"
        ) from error
    return path


def _write_whole(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the last step is a rename inside one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        picture.save(temporary, format="PNG")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
