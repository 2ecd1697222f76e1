"""Which folder is which: splits, then classes, in the spellings and wrappings in which people have them.

What could be read in two ways is refused: to guess wrong would be to train on test pictures, or on classes that are none.
"""

from __future__ import annotations

import re

from artifex.core.errors import DataError
from artifex.core.splits import SPELLINGS
from artifex.modalities.image.datasets.picture_tree import PictureTree, listed

__all__ = ["classes_below", "split_of", "splits_below"]

SPLIT_OF = {spelling: split for split, spellings in SPELLINGS.items() for spelling in spellings}
"""How folders of each split are called, beside numbers and words such as ``set``: ``Train``, ``test_set``, ``val2017``."""
FILLERS = frozenset(
    ("set", "split", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos")
)

LAYOUT = "expected are <split>/<class>/<pictures>, <class>/<pictures>, <split>/<pictures> or <pictures>"


def split_of(name: str) -> tuple[str, str] | None:
    """The split that a folder's name speaks of, and the rest of the name; ``None`` where it speaks of none, or of two.

    >>> split_of("Train"), split_of("test_set"), split_of("seg_train"), split_of("latest")
    (('train', ''), ('test', ''), ('train', 'seg'), None)
    """
    words = [word for word in map(_without_filler, re.findall(r"[^\W\d_]+", name.casefold())) if word]
    found = [word for word in words if word in SPLIT_OF]
    return (SPLIT_OF[found[0]], " ".join(w for w in words if w not in SPLIT_OF)) if len(found) == 1 else None


def _without_filler(word: str) -> str:
    """``trainset`` as ``train``, ``images`` as nothing."""
    fillers = (filler for filler in FILLERS if word.endswith(filler) and word.removesuffix(filler) in {"", *SPLIT_OF})
    return next((word.removesuffix(filler) for filler in fillers), word)


def splits_below(top: PictureTree) -> dict[str, PictureTree]:
    """The folders of the splits by the splits' names; ``train`` for everything where there are none.

    Folders that hold nothing but one other folder are passed through.

    Raises:
        DataError: two folders claim one split, or pictures lie beside the splits.
    """
    root = top
    while not (names := _split_folders(root)):
        if (inner := _only_folder(root)) is None:
            return {"train": _unwrapped(top, "train")}
        root = inner
    beside = [name for name in root.with_pictures if name not in names.values()]
    if beside or root.pictures:
        found = f"the folders {listed(beside)}" if beside else f"pictures such as {root.pictures[0]!r}"
        raise DataError(
            f"{root.path} holds folders of splits ({listed(names.values())}) and beside them {found}, which belong to no "
            "split: move those away or into a split; if all are classes, put them into a folder 'train' together"
        )
    return {split: _unwrapped(root.folders[name], split) for split, name in names.items()}


def _split_folders(root: PictureTree) -> dict[str, str]:
    """Names of the folders that are splits: those called so alone, or else ``x_train`` beside ``x_test``."""
    named = {name: found for name in root.folders if (found := split_of(name)) is not None}
    rests = {rest for _, rest in named.values()}
    alike = {rest: [name for name, found in named.items() if found[1] == rest] for rest in rests}
    pairs = [rest for rest, names in alike.items() if len({named[name][0] for name in names}) > 1]
    if "" not in rests and len(pairs) > 1:
        raise DataError(f"{root.path} holds {listed(named)}, classes and splits in one name; {LAYOUT}")
    chosen = alike[""] if "" in rests else alike[pairs[0]] if pairs else []
    by_split: dict[str, str] = {}
    for name in chosen:
        split = named[name][0]
        if split in by_split:
            one, other = root.path / by_split[split], root.path / name
            raise DataError(f"{one} and {other} both claim the split {split!r}; keep one of them")
        by_split[split] = name
    return by_split


def _only_folder(root: PictureTree) -> PictureTree | None:
    """The only folder in ``root``, if no pictures lie outside of it."""
    inner = list(root.with_pictures.values())
    return inner[0] if len(inner) == 1 and not root.pictures else None


def _unwrapped(root: PictureTree, split: str) -> PictureTree:
    """Where the split's classes or pictures are: below folders that bear its name again, or hold the folder of several."""
    if (inner := _only_folder(root)) is None:
        return root
    if (spoken := split_of(inner.path.name)) is not None:
        return _unwrapped(inner, split) if spoken[0] == split else root
    while (deeper := _only_folder(inner)) is not None:
        inner = deeper
    return inner if inner.with_pictures and not inner.pictures else root  # or else a class, the only one


def classes_below(root: PictureTree, split: str) -> dict[str, PictureTree]:
    """The folders with the pictures of each class of a split, by class; empty where its pictures lie in no class's folder.

    Raises:
        DataError: pictures lie beside folders of pictures, or a class has no pictures or holds folders of its own.
    """
    folders = root.with_pictures
    if not folders:
        return {}
    _check_not_mixed(root)
    if all((split_of(name) or ("", name))[1] == "" for name in folders):
        raise DataError(
            f"{root.path} is read as the split {split!r}, but holds splits of its own: {listed(folders)}; "
            f"set 'folder' to {root.path}"
        )
    if empty := [name for name, tree in root.folders.items() if tree.is_empty]:
        raise DataError(f"{root.path / empty[0]} holds no pictures; fill or remove it: classes are numbered by their folders")
    return {name: _class_folder(tree) for name, tree in folders.items()}


def _class_folder(tree: PictureTree) -> PictureTree:
    """The folder with a class's pictures: itself, or the only one in it, as in ``n01443537/images``."""
    _check_not_mixed(tree)
    folders = tree.with_pictures
    if not folders:
        return tree
    if len(folders) > 1 or any(map(split_of, folders)):
        raise DataError(
            f"{tree.path} is read as a class, but holds {'splits' if any(map(split_of, folders)) else 'folders'} of its own: "
            f"{listed(folders)}; {LAYOUT}: put the splits or classes on top, or move the pictures up"
        )
    return _class_folder(next(iter(folders.values())))


def _check_not_mixed(root: PictureTree) -> None:
    if root.pictures and (inner := root.with_pictures):
        raise DataError(
            f"{root.path} holds both pictures and folders of pictures ({root.pictures[0]!r} beside {listed(inner)}); "
            "sort every picture into a folder, or none"
        )
