"""What the parts of a data set are called: by people, in their files' names, and by us."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from artifex.core.errors import InvalidInputError

__all__ = ["SPELLINGS", "SPLITS", "ordered", "require_split", "split_of"]

SPLITS = ("train", "test", "validation")
"""What the splits of our data sets are called, in this order."""
SPELLINGS = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "validate", "validating", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "evaluate", "holdout", "heldout"),
}
"""What people call files and folders of each split, in small letters."""
_SPLIT_OF = {spelling: split for split, spellings in SPELLINGS.items() for spelling in spellings}
_NAME = re.compile(rf"({'|'.join(_SPLIT_OF)})[-_ ]?(?:set|split|data|dataset)?([-_ ]?\d+)?")


def split_of(name: str, *, numbered: bool = False) -> str | None:
    """The split that the name of a file, without its ending, or of a folder is of; ``None`` for any other name.

    Args:
        name: perhaps in capitals, and with ``set``, ``split``, ``data`` or ``dataset`` behind.
        numbered: take a number behind it too. Folders bear the year of their data; files ``test_01``, ``test_02`` are two of
            something, and no split.

    >>> [split_of(name) for name in ("Training", "dev-data", "test_set", "latest", "val2017")]
    ['train', 'validation', 'test', None, None]
    >>> split_of("val2017", numbered=True)
    'validation'
    """
    found = _NAME.fullmatch(name.casefold())
    return None if found is None or (found[2] and not numbered) else _SPLIT_OF[found[1]]


def require_split(split: str, splits: Sequence[str], dataset: object) -> None:
    """Raise :class:`~artifex.core.errors.InvalidInputError` unless ``split`` is among ``splits``, naming those there are.

    >>> require_split("dev", ("train", "validation"), "wine")
    Traceback (most recent call last):
    artifex.core.errors.InvalidInputError: wine has no split 'dev'; its splits are train, validation; did you mean 'validation'?
    """
    if split in splits:
        return
    close = split_of(str(split)) or next(iter(difflib.get_close_matches(str(split), splits, n=1)), "")
    hint = f"; did you mean {close!r}?" if close in splits else ""
    raise InvalidInputError(f"{dataset} has no split {split!r}; its splits are {', '.join(splits) or 'none'}{hint}")


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """``train`` first, then ``test``, then the others by name.

    >>> ordered(["validation", "test", "train"])
    ('train', 'test', 'validation')
    """
    first = ("train", "test")
    return tuple(sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name)))
