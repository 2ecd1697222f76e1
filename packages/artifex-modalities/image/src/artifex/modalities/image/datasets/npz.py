"""Images in a NumPy ``.npz`` file."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from artifex.core.config import Config, config
from artifex.core.errors import DataError, InvalidInputError
from artifex.core.splits import ordered, require_split, split_of
from artifex.modalities.image.datasets.labels import as_labels
from artifex.modalities.image.stored import check_unit_range

__all__ = ["Npz", "NpzConfig"]


IMAGES = frozenset({"x", "image", "images"})
LABELS = frozenset({"y", "label", "labels", "target", "targets"})
"""How arrays are called, beside the name of a split."""


@config
class NpzConfig(Config):
    """Which file to read."""

    file: Path
    """The file. Its arrays are ``x_train``, ``x_test`` and so on, with labels ``y_train`` where there are any; or ``x``, and
    perhaps ``y``, alone, which is the split ``train``. Images may be called ``images`` too, labels ``label``, ``labels`` or
    ``targets``, with the split before or behind: ``train_images`` and ``train_labels``."""


class Npz:
    """Images in memory: ``x`` ``(N, h, w, c)`` as stored, uint8 in 0..255 or floats in [0, 1]; ``label`` int32 ``(N,)``.

    Images stored as ``(N, h, w)`` gain an axis for their one channel.
    """

    def __init__(self, config: NpzConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits in the file. Raises :class:`DataError` when it cannot be read."""
        with self._open() as stored:
            return ordered(self._keys(stored, IMAGES))

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """``x``, and ``label`` where there is one.

        Raises:
            InvalidInputError: no such split.
            DataError: the file is missing or damaged, or an array in it is no batch of images or labels.
        """
        with self._open() as stored:
            images = self._keys(stored, IMAGES)
            require_split(split, ordered(images), self.config.file)
            x = self._images(stored, images[split])
            key = self._keys(stored, LABELS).get(split)
            return {"x": x} if key is None else {"x": x, "label": self._labels(stored, key, len(x))}

    def _open(self) -> np.lib.npyio.NpzFile:
        path = self.config.file.expanduser()
        if not path.is_file():
            raise DataError(f"there is no file {path}; set 'file' to a .npz file")
        try:
            stored = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} cannot be read as .npz ({error}); write it with numpy.savez") from error
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds one bare array; write it with numpy.savez(file, x_train=..., x_test=...)")
        return stored

    def _keys(self, stored: np.lib.npyio.NpzFile, words: frozenset[str]) -> dict[str, str]:
        """The array of each split, of those that are called by one of these words."""
        found: dict[str, str] = {}
        for key in stored.files:
            named = [word for word in re.split(r"[\W_]+", key.casefold()) if word]
            others = [word for word in named if word not in words]
            split = split_of(" ".join(others))
            if split is None and (not others or key.startswith(("x_", "y_", "label_"))):  # image_ids are no split of images
                split = "_".join(others)
            if split is None or len(named) != len(others) + 1:
                continue
            if split in found:
                raise DataError(f"{self.config.file} holds both {found[split]!r} and {key!r}; leave one of them out")
            found[split] = key
        if words is IMAGES and bool(found.keys() - {""}) == ("" in found):
            there = ", ".join(stored.files) or "nothing"
            raise DataError(f"{self.config.file} needs either 'x' or arrays such as 'x_train' and 'x_test'; it holds {there}")
        return {split or "train": key for split, key in found.items()}

    def _read(self, stored: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
        try:
            return stored[key]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.config.file}: cannot read {key!r} ({error}); write the file anew") from error

    def _images(self, stored: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
        x = self._read(stored, key)
        if x.ndim not in (3, 4) or 0 in x.shape:
            raise DataError(f"{self.config.file}: {key!r} should have the shape (N, h, w) or (N, h, w, c), but has {x.shape}")
        if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
            raise DataError(f"{self.config.file}: {key!r} should be uint8 or floating, but is {x.dtype}; convert it")
        try:
            check_unit_range(x, f"{self.config.file}: {key}")
        except InvalidInputError as error:
            raise DataError(str(error)) from error
        return x if x.ndim == 4 else x[..., None]

    def _labels(self, stored: np.lib.npyio.NpzFile, key: str, n: int) -> np.ndarray:
        labels = self._read(stored, key)
        if labels.shape not in ((n,), (n, 1)):
            raise DataError(
                f"{self.config.file}: {key!r} should hold {n} whole numbers, one an image, but has the shape {labels.shape}; "
                f"write {key!r} anew, or leave it out"
            )
        return as_labels(labels.reshape(n), f"{self.config.file}: {key!r}", f"write {key!r} anew, or leave it out")
