"""What lies below a folder of pictures: pictures and folders, without the clutter of operating systems and archives."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from artifex.core.errors import DataError

__all__ = ["PictureTree", "listed", "natural", "scan"]

SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
"""Endings of the files that are read, in small letters."""
UNREAD = frozenset((".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef", ".orf", ".psd", ".raf", ".svg"))
"""Endings of pictures that are not: to pass over them would be to train on less than the user thinks."""
CLUTTER = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found", "@eadir")
)
"""Names, in small letters, that operating systems, archives and network disks leave behind; dotted names are such, too."""


@dataclass(frozen=True, slots=True)
class PictureTree:
    """A folder."""

    path: Path
    pictures: tuple[str, ...]
    """Names of the pictures that lie in it, sorted."""
    folders: dict[str, PictureTree]
    """The folders in it by name, in natural order."""
    count: int
    """Pictures in it and below."""
    is_empty: bool
    """Whether there is no file at all in it or below."""

    @property
    def with_pictures(self) -> dict[str, PictureTree]:
        """Those folders in it that hold pictures, at whatever depth."""
        return {name: tree for name, tree in self.folders.items() if tree.count}


def natural(name: str) -> tuple[list[str | int], str]:
    """What to sort names by, so that numbers in them are in order.

    >>> sorted(["10", "2", "cat10", "cat9"], key=natural)
    ['2', '10', 'cat9', 'cat10']
    """
    # words and numbers take turns, so that like is compared with like; '01' and '1' differ by the name itself
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name))], name


def listed(names: Iterable[str], most: int = 8) -> str:
    """The first few names, in quotes.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest


def scan(folder: Path, above: frozenset[str] = frozenset()) -> PictureTree:
    """What lies below ``folder``. Links are followed, but for those back to a folder that they lie in.

    Args:
        folder: where to begin.
        above: real paths of the folders on the way to it.

    Raises:
        DataError: a folder cannot be read, a link leads nowhere, there are pictures of a form that is not read, or two folders
            have one name but for its Unicode form.
    """
    above = above | {os.path.realpath(folder)}
    pictures, inner, others = [], [], False
    for entry in _entries(folder):
        if Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir():
            if not (entry.is_symlink() and os.path.realpath(entry.path) in above):
                inner.append(entry.name)
        elif _is_picture(entry):
            pictures.append(entry.name)
        else:
            others = True
    folders: dict[str, PictureTree] = {}
    for entry_name in sorted(inner, key=natural):
        name = unicodedata.normalize("NFC", entry_name)  # macOS writes 'é' in two characters, others in one
        if name in folders:
            raise DataError(f"{folder} holds two folders named {name!r}, whose characters are coded differently; merge them")
        folders[name] = scan(folder / entry_name, above)
    below = folders.values()
    count = len(pictures) + sum(tree.count for tree in below)
    is_empty = not (pictures or others) and all(tree.is_empty for tree in below)
    return PictureTree(folder, tuple(sorted(pictures)), folders, count, is_empty)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is no clutter."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in CLUTTER]
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read ({error.strerror}); mend its permissions or remove it") from error


def _is_picture(entry: os.DirEntry[str]) -> bool:
    """Whether it is a picture to be read; a link to one that is not there counts too, and is told of when it is read."""
    _, dot, ending = entry.name.rpartition(".")
    suffix = dot + ending.lower()
    leads_nowhere = entry.is_symlink() and not Path(entry.path).exists()
    if suffix in SUFFIXES:
        return leads_nowhere or entry.is_file()
    if leads_nowhere:
        target = Path(entry.path).readlink()
        raise DataError(f"{entry.path} is a link to {target}, which is not there; mend or remove the link")
    if suffix in UNREAD:
        raise DataError(
            f"{entry.path} is a picture of a form that is not read ({suffix}); convert it to .png or .jpg, or move it away"
        )
    return False
