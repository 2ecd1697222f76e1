"""Image files in folders, read one by one when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.modalities.image.datasets.decoding import ColourMode, Fit, decode
from artifex.modalities.image.datasets.splits import ordered, require_split

__all__ = ["ImageFolder", "ImageFolderConfig", "ImageFolderSource"]

SPLIT_FOLDERS = {"train": "train", "test": "test", "validation": "validation", "valid": "validation", "val": "validation"}
"""Names of folders that are splits, and the splits' own names."""
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})


@config
class ImageFolderConfig(Config):
    """Which folder to read, and the size its pictures get."""

    folder: Path
    """Laid out as ``train/<class>/*.png`` and ``test/<class>/*.png``, or without classes, or without splits (all is
    ``train``)."""
    height: Annotated[int, Field(ge=1)]
    """Rows of every image."""
    width: Annotated[int, Field(ge=1)]
    """Columns of every image."""
    channels: ColourMode = "rgb"
    """Colour mode that every picture is converted to."""
    fit: Fit = "crop"
    """``crop`` keeps proportions and cuts what is too long, centred; ``stretch`` distorts instead."""


@dataclass(frozen=True, slots=True)
class ImageFolderSource(Sequence):
    """One split: paths until an example is asked for, so that it is small to send to another process."""

    config: ImageFolderConfig
    files: tuple[Path, ...]
    labels: tuple[int, ...] | None
    """Class of each file, or ``None`` where there are no classes."""

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """``x`` uint8 ``(height, width, c)``, and ``label`` int32 if there are classes; :class:`DataError` names a bad file."""
        path, config = self.files[index], self.config
        try:
            with Image.open(path) as picture:
                x = decode(picture, config.height, config.width, config.channels, config.fit)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"cannot read the image {path}: {error}; mend or remove the file") from error
        return {"x": x} if self.labels is None else {"x": x, "label": np.asarray(self.labels[index], np.int32)}


class ImageFolder:
    """Pictures below a folder. Classes are numbered by name, as the training folder has them."""

    def __init__(self, config: ImageFolderConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a folder; ``train`` alone where none has. Raises :class:`DataError` without the folder."""
        return ordered(self._roots())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: label i is ``classes[i]``. Empty where pictures lie in no class's folder."""
        roots = self._roots()
        return _classes_below(roots.get("train", next(iter(roots.values()))))

    def source(self, split: str) -> ImageFolderSource:
        """The pictures of one split, sorted by path.

        Raises:
            InvalidInputError: no such split.
            DataError: there is no such folder, it holds no pictures, or a class that the training folder lacks.
        """
        roots = self._roots()
        require_split(split, ordered(roots), str(self.config.folder))
        root, classes = roots[split], self.classes
        if not classes:
            return ImageFolderSource(self.config, _pictures(root), None)
        unknown = sorted(set(_classes_below(root)) - set(classes))
        if unknown:
            raise DataError(
                f"{root} has the class {unknown[0]!r}, which the training folder lacks; it has {', '.join(classes)}"
            )
        found = [
            (path, label) for label, name in enumerate(classes) if (root / name).is_dir() for path in _pictures(root / name)
        ]
        return ImageFolderSource(self.config, tuple(path for path, _ in found), tuple(label for _, label in found))

    def _roots(self) -> dict[str, Path]:
        folder = self.config.folder.expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; set 'folder' to the one that holds the pictures")
        roots: dict[str, Path] = {}
        for name, split in SPLIT_FOLDERS.items():
            if (folder / name).is_dir():
                if split in roots:
                    raise DataError(f"{roots[split]} and {folder / name} both claim the split {split!r}; keep one of them")
                roots[split] = folder / name
        return roots or {"train": folder}


def _classes_below(root: Path) -> tuple[str, ...]:
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if folders and any(path.suffix.lower() in SUFFIXES for path in root.iterdir() if path.is_file()):
        raise DataError(
            f"{root} holds both pictures and folders ({folders[0]!r}, ...); sort every picture into a class, or none"
        )
    return tuple(folders)


def _pictures(root: Path) -> tuple[Path, ...]:
    found = tuple(sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()))
    if not found:
        raise DataError(f"{root} holds no pictures; files are expected to end in {', '.join(sorted(SUFFIXES))}")
    return found
