"""What the data sets say about splits."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from artifex.core.errors import InvalidInputError

__all__ = ["ordered", "require_split"]


def require_split(split: str, splits: Sequence[str], dataset: str) -> None:
    """Raise :class:`InvalidInputError` unless ``split`` is among ``splits``, naming those there are."""
    if split in splits:
        return
    close = difflib.get_close_matches(str(split), splits, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise InvalidInputError(f"{dataset} has no split {split!r}; its splits are {', '.join(splits) or 'none'}{hint}")


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """``train`` first, then ``test``, then the others by name.

    >>> ordered(["validation", "test", "train"])
    ('train', 'test', 'validation')
    """
    first = ("train", "test")
    return tuple(sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name)))
