"""One file of one part as an array: arrays, pictures, texts, waveforms, by the ending of its name."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifex.core.errors import DataError

__all__ = ["READERS", "Cell", "read_file", "stacked"]

MOST_TOLD = 3
"""Files that a message names."""


def _array(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _picture(path: Path) -> np.ndarray:
    """Grey, colours, or colours with transparency, as the file has them; upright."""
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        if picture.mode.startswith(("I", "F")):  # Pillow would cut such values off at 255 without a word
            raise ValueError(f"its pixels have mode {picture.mode!r}, more than 8 bits a channel; convert it to 8 bits")
        transparent = "A" in picture.getbands() or "transparency" in picture.info
        kind = "RGBA" if transparent else "L" if picture.mode in ("1", "L") else "RGB"
        pixels = np.asarray(ImageOps.exif_transpose(picture).convert(kind))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _text(path: Path) -> np.ndarray:
    """UTF-8 bytes, with line ends of one kind, without the mark and the last line end that editors put there."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8: {error}; save it as such") from error
    content = content.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    return np.frombuffer(content.encode(), np.uint8)


def _waveform(path: Path) -> np.ndarray:
    """16-bit mono or the mean of the channels, in [-1, 1]."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"it has {8 * file.getsampwidth()} bits a sample; 16 are read")
        channels, frames = file.getnchannels(), file.readframes(file.getnframes())
    return (np.frombuffer(frames, "<i2").reshape(-1, channels).mean(axis=1) / 32768).astype(np.float32)


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": _array,
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"), _picture),
    ".txt": _text,
    ".wav": _waveform,
}
"""How each kind of file is read."""


class Cell(NamedTuple):
    """One part of one example: what it holds, and where it came from."""

    array: np.ndarray
    source: str


def read_file(path: Path) -> Cell:
    """The array in a file.

    Raises:
        DataError: there is no such file, it cannot be read, or its ending is unknown.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} ends in {path.suffix!r}; files end in {', '.join(READERS)}")
    try:
        return Cell(reader(path), str(path))
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except Exception as error:  # decoders raise what they like
        raise DataError(f"{path} cannot be read: {error}") from error


def stacked(part: str, cells: Sequence[Cell | None]) -> dict[str, np.ndarray]:
    """One part of all examples: ``PART``, ``PART.present`` where some lack it, ``PART.mask`` where vectors differ in length.

    Vectors of different length are padded with zeros at their end; other arrays have to be of one shape.

    Raises:
        DataError: no example has the part, or shapes or types differ; it names files.
    """
    given = [cell for cell in cells if cell is not None]
    if not given:
        raise DataError(f"no example has the part {part!r}")
    first = given[0]
    for cell in given:
        alike = cell.array.ndim == first.array.ndim and cell.array.dtype == first.array.dtype
        if not alike or (cell.array.ndim > 1 and cell.array.shape != first.array.shape):
            raise DataError(
                f"part {part!r}: {cell.source} holds {cell.array.dtype} of shape {cell.array.shape}, and {first.source} "
                f"{first.array.dtype} of shape {first.array.shape}; give all one form"
            )
    shape = first.array.shape if first.array.ndim > 1 else (max(len(cell.array) for cell in given),)
    whole = np.zeros((len(cells), *shape), first.array.dtype)
    mask = np.zeros(whole.shape[:2], bool)
    for row, cell in enumerate(cells):
        if cell is not None:
            whole[row, : len(cell.array)] = cell.array
            mask[row, : len(cell.array)] = True
    made = {part: whole}
    present = np.array([cell is not None for cell in cells])
    if not present.all():
        made[f"{part}.present"] = present
    if not mask[present].all():
        made[f"{part}.mask"] = mask
    return made
