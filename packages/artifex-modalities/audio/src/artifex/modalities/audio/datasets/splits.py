"""What the data sets say about splits."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from artifex.core.errors import InvalidInputError

__all__ = ["SPLITS", "require_split"]

SPLITS = ("train", "test", "validation")


def require_split(split: str, splits: Sequence[str], dataset: str) -> None:
    """Raise :class:`InvalidInputError` unless ``split`` is among ``splits``, naming those there are."""
    if split in splits:
        return
    close = difflib.get_close_matches(str(split), splits, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise InvalidInputError(f"{dataset} has no split {split!r}; its splits are {', '.join(splits)}{hint}")
