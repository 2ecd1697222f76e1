"""Image files in folders, read one by one when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import ordered, require_split
from artifex.modalities.image.datasets.decoding import (
    MENDING,
    ColourMode,
    Damaged,
    DamagedPictureError,
    Fit,
    decode_bytes,
    whole_or_next,
)
from artifex.modalities.image.datasets.picture_layout import classes_below, splits_below
from artifex.modalities.image.datasets.picture_tree import SUFFIXES, PictureTree, listed, scan

__all__ = ["ImageFolder", "ImageFolderConfig", "ImageFolderSource"]


@config
class ImageFolderConfig(Config):
    """Which folder to read, and the size its pictures get."""

    folder: Path
    """Laid out as ``train/<class>/*.png`` and ``test/<class>/*.png``, or without classes, or without splits (all is
    ``train``); where it holds one folder alone, that one may be laid out so."""
    height: Annotated[int, Field(ge=1)]
    """Rows of every image."""
    width: Annotated[int, Field(ge=1)]
    """Columns of every image."""
    channels: ColourMode = "rgb"
    """Colour mode that every picture is converted to."""
    fit: Fit = "crop"
    """``crop`` keeps proportions and cuts what is too long, centred; ``stretch`` distorts instead."""
    damaged: Damaged = "refuse"
    """What happens at a picture that cannot be decoded. ``refuse``: an error names it. ``replace``: a warning names it, and the
    next whole picture takes its place, with its class; number and order of the pictures stay, so that a run can go on."""


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
        return whole_or_next(self._read, range(len(self))[index], len(self), self.config.damaged)

    def _read(self, index: int) -> dict[str, np.ndarray]:
        path, config = self.files[index], self.config
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"cannot open the image {path}: {error.strerror}; put it back: what was found at the start has to stay"
            ) from error
        try:
            x = decode_bytes(data, config.height, config.width, config.channels, config.fit)
        except DamagedPictureError as error:
            raise DamagedPictureError(f"cannot read the image {path}: {error}{self._mending}") from error
        except DataError as error:
            raise DataError(f"cannot read the image {path}: {error}") from error
        return {"x": x} if self.labels is None else {"x": x, "label": np.asarray(self.labels[index], np.int32)}

    @property
    def _mending(self) -> str:
        return "" if self.config.damaged == "replace" else f"; {MENDING}"


class ImageFolder:
    """Pictures below a folder, as they were when it was first looked at.

    Splits are called ``train``, ``test`` and ``validation`` whatever their folders' spelling (``Training``, ``test_set``,
    ``val2017``). Classes are numbered in the natural order of their names in the training folder: ``2`` before ``10``.
    """

    def __init__(self, config: ImageFolderConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a folder; ``train`` alone where none has. Raises :class:`DataError` without the folder."""
        return ordered(self._roots)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: label i is ``classes[i]``. Empty where pictures lie in no class's folder."""
        split = "train" if "train" in self._roots else self.splits[0]
        return tuple(classes_below(self._roots[split], split))

    def source(self, split: str) -> ImageFolderSource:
        """The pictures of one split, sorted by class and name.

        Raises:
            InvalidInputError: no such split.
            DataError: there is no such folder, it holds no pictures, or a class that the training folder lacks, or folders in
                which it is not clear what is a split or a class.
        """
        require_split(split, self.splits, str(self.config.folder))
        root, classes = self._roots[split], self.classes
        if not root.count:
            raise DataError(f"{root.path} holds no pictures; files are expected to end in {', '.join(sorted(SUFFIXES))}")
        folders = classes_below(root, split)
        if bool(folders) != bool(classes):
            having, lacking = (split, "train") if folders else ("train", split)
            raise DataError(
                f"{self.config.folder}: pictures of split {having!r} lie in folders of classes, those of {lacking!r} do not; "
                "sort both alike"
            )
        if not classes:
            return ImageFolderSource(self.config, _paths(root), None)
        if unknown := [name for name in folders if name not in classes]:
            raise DataError(
                f"{root.path} has the class {unknown[0]!r}, which the training folder lacks; it has {listed(classes)}"
            )
        found = [(path, label) for label, name in enumerate(classes) if name in folders for path in _paths(folders[name])]
        return ImageFolderSource(self.config, tuple(path for path, _ in found), tuple(label for _, label in found))

    @cached_property
    def _roots(self) -> dict[str, PictureTree]:
        folder = self.config.folder.expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; set 'folder' to the one that holds the pictures")
        return splits_below(scan(folder))


def _paths(tree: PictureTree) -> tuple[Path, ...]:
    return tuple(tree.path / name for name in tree.pictures)
