"""A folder of files in the IDX format of MNIST: MNIST itself, Fashion-MNIST, KMNIST, EMNIST.

The format (Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits"): two zero bytes, a byte for the
type (8: unsigned bytes), one for the number of axes, the length of each axis as a big-endian 32-bit integer, then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import require_split

__all__ = ["Idx", "IdxConfig", "read_idx"]

UNSIGNED_BYTE = 0x08


@config
class IdxConfig(Config):
    """Which files to read."""

    folder: Path
    """Folder of the four files, as in ``train-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, each with or without
    ``.gz``."""
    emnist: Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"] | None = None
    """Which part of EMNIST: its files are called ``emnist-letters-train-images-idx3-ubyte`` and so on, and its images are
    stored transposed, which is undone. Labels stay as published: those of the letters go from 1 to 26, for which a model
    needs 27 classes. Not for other data sets."""
    validation_size: Annotated[int, Field(ge=0)] = 0
    """How many images, the last ones of the training files, are set apart as the split ``validation``."""


class Idx:
    """Images and labels in memory: ``x`` uint8 ``(N, rows, columns, 1)`` in 0..255, ``label`` int32 ``(N,)`` as stored.

    ``train`` and ``test`` are as published (the training and the ``t10k`` or ``test`` files).

    >>> Idx(IdxConfig(folder="fashion-mnist", validation_size=10_000)).splits
    ('train', 'test', 'validation')
    """

    def __init__(self, config: IdxConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, and ``validation`` where one is set apart."""
        return ("train", "test", "validation") if self.config.validation_size else ("train", "test")

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """``x`` and ``label`` of one split.

        Raises:
            InvalidInputError: no such split.
            DataError: the folder or a file is missing or damaged; the message names it.
        """
        require_split(split, self.splits, f"the data set in {self.config.folder}")
        part = "test" if split == "test" else "train"
        image_file, label_file = self._find(part, "images", 3), self._find(part, "labels", 1)
        images, labels = read_idx(image_file, axes=3), read_idx(label_file, axes=1)
        if len(images) != len(labels):
            raise DataError(
                f"{image_file} holds {len(images)} images, {label_file} {len(labels)} labels; they do not belong together: "
                "fetch both files anew"
            )
        if self.config.emnist is not None:
            images = images.transpose(0, 2, 1)
        chosen = slice(None) if part == "test" else self._chosen(split, len(images))
        return {"x": np.ascontiguousarray(images[chosen, ..., None]), "label": labels[chosen].astype(np.int32)}

    def _chosen(self, split: str, n: int) -> slice:
        kept = n - self.config.validation_size
        if kept < 1:
            raise DataError(
                f"validation_size={self.config.validation_size} leaves no training images of the {n} in {self.config.folder}; "
                "lower it"
            )
        return slice(kept, None) if split == "validation" else slice(None, kept)

    def _find(self, part: str, content: str, axes: int) -> Path:
        folder = self.config.folder.expanduser()
        if not folder.is_dir():
            raise DataError(
                f"there is no folder {folder}; set 'folder' (data.dataset.folder in a run) to the one with the IDX files. "
                "Those of Fashion-MNIST: `apt-get install dataset-fashion-mnist`, or github.com/zalandoresearch/fashion-mnist"
            )
        if self.config.emnist is None:
            stem = f"{'t10k' if part == 'test' else 'train'}-{content}"
        else:
            stem = f"emnist-{self.config.emnist}-{part}-{content}"
        # Some archives unpack to a dot before the suffix.
        names = [f"{stem}{dot}idx{axes}-ubyte{packed}" for dot in "-." for packed in ("", ".gz")]
        for name in names:
            if (folder / name).is_file():
                return folder / name
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise DataError(
            f"{folder} has no {names[0]} (nor that name with '.gz'), but: {there}; put the file there, or set 'folder' "
            "(and 'emnist' for a part of EMNIST) to what is there"
        )


def read_idx(path: Path, *, axes: int) -> np.ndarray:
    """One IDX file of unsigned bytes, gzipped if its name ends in ``.gz``, as a uint8 array with ``axes`` axes.

    Raises:
        DataError: the file cannot be read, or is not what its header should say.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; fetch the file anew") from error
    header = 4 + 4 * axes
    if len(data) < header or data[:4] != bytes([0, 0, UNSIGNED_BYTE, axes]):
        raise DataError(
            f"{path} is no IDX file of unsigned bytes with {axes} axes: it begins with "
            f"{data[:4].hex(' ') or 'nothing'} instead of "
            f"00 00 08 {axes:02x}; fetch the file anew"
            + ("" if path.suffix == ".gz" or data[:2] != b"\x1f\x8b" else ", or let its name end in '.gz', since it is gzipped")
        )
    shape = struct.unpack(f">{axes}I", data[4:header])
    if math.prod(shape) != len(data) - header:
        raise DataError(
            f"{path} should hold {math.prod(shape)} bytes after its header (shape {shape}), but holds {len(data) - header}; "
            "fetch the file anew"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
