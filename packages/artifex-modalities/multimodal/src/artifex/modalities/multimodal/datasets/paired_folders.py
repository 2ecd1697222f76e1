"""Folders side by side, one for each part: files of one name belong together."""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError, RunWarning
from artifex.core.splits import ordered, require_split, split_of
from artifex.modalities.multimodal.datasets.files import READERS, read_file, stacked

__all__ = ["FolderPartConfig", "PairedFolders", "PairedFoldersConfig"]

CLUTTER = ("thumbs.db", "ehthumbs.db", "desktop.ini")
"""Names, in small letters, of what operating systems leave in folders."""


@config
class FolderPartConfig(Config):
    """Where the files of one part are."""

    stored: Annotated[str, Field(min_length=1)]
    """Key of its arrays: `x` for one of the parts."""
    folder: str
    """Its folder, inside that of the data set."""


@config
class PairedFoldersConfig(Config):
    """A folder with one folder for each split, and in it one for each part: `train/images/7.png`, `train/words/7.txt`.

    Where it holds the folders of the parts themselves, as `images/7.png`, all of it is the split `train`.
    """

    folder: str
    """Of the data set."""
    parts: Annotated[tuple[FolderPartConfig, ...], Field(min_length=2)]
    """The parts."""
    complete: bool = False
    """Leave out examples that lack a part, with a warning; else they are kept, and `KEY.present` tells what they lack."""


class PairedFolders:
    """Examples by the names of their files, without their endings; sorted.

    Files that begin with a dot, and what Windows leaves in folders, are passed over; any other file whose ending is unknown is
    an error, and so are folders without a common name.

    Raises:
        DataError: a folder is missing, or holds two files of one name.
    """

    def __init__(self, config: PairedFoldersConfig) -> None:
        self.config = config
        self.root = Path(config.folder).expanduser()
        if not self.root.is_dir():
            raise DataError(f"there is no folder {self.root}; set 'folder' to that of the data set")

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` first, then ``test``, then other folders by name. ``Training`` and ``val2017`` are theirs."""
        return ordered(self._folders)

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """The folder of each split."""
        if all((self.root / part.folder).is_dir() for part in self.config.parts):
            return {"train": self.root}
        made: dict[str, Path] = {}
        for path in sorted(self.root.iterdir()):
            if not path.is_dir() or path.name.startswith("."):
                continue
            split = split_of(path.name, numbered=True) or path.name
            if split in made:
                raise DataError(f"{made[split]} and {path} both claim the split {split!r}; keep one of them")
            made[split] = path
        if not made:
            raise DataError(f"{self.root} has no folder for a split, such as 'train'")
        return made

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """Every part of one split, as :func:`artifex.modalities.multimodal.datasets.files.stacked` makes them.

        Raises:
            InvalidInputError: there is no such split.
            DataError: a file cannot be read or does not fit the others; or no example is left.
        """
        require_split(split, self.splits, self.root)
        folder = self._folders[split]
        files = {part.stored: self._files(folder / part.folder) for part in self.config.parts}
        names = sorted(set().union(*files.values()))
        shared = [name for name in names if all(name in found for found in files.values())]
        if not any(sum(name in found for found in files.values()) > 1 for name in names):
            firsts = ", ".join(str(min(found.values())) for found in files.values() if found)
            raise DataError(
                f"{folder} has no two files of one name: {firsts}; those of one example differ in folder and ending"
            )
        if self.config.complete:
            names = self._complete(folder, files, names, shared)
        made: dict[str, np.ndarray] = {}
        for key, found in files.items():
            made |= stacked(key, [read_file(found[name]) if name in found else None for name in names])
        return made

    def _complete(self, folder: Path, files: dict[str, dict[str, Path]], names: list[str], shared: list[str]) -> list[str]:
        """The names of examples that have every part; the others are told."""
        if not shared:
            raise DataError(f"{folder} has no example that has every part; set complete: false to keep the others")
        if len(shared) < len(names):
            first = next(name for name in names if name not in shared)
            lacking = next(key for key, found in files.items() if first not in found)
            warnings.warn(
                f"{len(names) - len(shared)} of {len(names)} examples of {folder} lack a part and are left out; the "
                f"first, {first!r}, has no {lacking!r}",
                RunWarning,
                stacklevel=3,
            )
        return shared

    def _files(self, folder: Path) -> dict[str, Path]:
        """Files by their names without ending."""
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; each split has one for each part")
        found: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.lower() in CLUTTER or path.is_dir():
                continue
            if path.suffix.lower() not in READERS:
                raise DataError(f"{path} ends in {path.suffix!r}; files end in {', '.join(READERS)}")
            if path.stem in found:
                raise DataError(f"{found[path.stem]} and {path} have one name, and only one can be the part of an example")
            found[path.stem] = path
        if not found:
            raise DataError(f"{folder} holds no files, and those in folders below it are not read; move them there")
        return found
