"""What the data sets say about splits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from artifex.core.errors import InvalidInputError

__all__ = ["SPLITS", "require_split", "split_of"]

SPLITS = ("train", "test", "validation")
SPELLINGS = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "validate", "validating", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "evaluate", "holdout", "heldout"),
}
"""What folders of each split are called, perhaps with ``set`` or ``data`` and a number behind: ``test_set``, ``val2017``."""
SPLIT_OF = {spelling: split for split, spellings in SPELLINGS.items() for spelling in spellings}
SPLIT_NAME = re.compile(rf"({'|'.join(SPLIT_OF)})[-_ ]?(set|split|data|dataset)?[-_ ]?\d*")


def split_of(name: str) -> str | None:
    """The split that a folder's name is of; None for any other.

    >>> split_of("Training"), split_of("val2017"), split_of("test_set"), split_of("latest")
    ('train', 'validation', 'test', None)
    """
    found = SPLIT_NAME.fullmatch(name.casefold())
    return SPLIT_OF[found[1]] if found else None


def require_split(split: str, splits: Sequence[str], dataset: str) -> None:
    """Raise :class:`InvalidInputError` unless ``split`` is among ``splits``, naming those there are."""
    if split in splits:
        return
    close = difflib.get_close_matches(str(split), splits, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise InvalidInputError(f"{dataset} has no split {split!r}; its splits are {', '.join(splits)}{hint}")
