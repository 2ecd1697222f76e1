"""Which parts an example has to have, as pure functions that tell what is missing where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from artifex.core.errors import InvalidInputError

__all__ = ["Violation", "presence", "violations"]


class Violation(NamedTuple):
    """An example that lacks something."""

    row: int
    """Which."""
    missing: tuple[str, ...]
    """Parts that it lacks and has to have; all that it lacks, where it has too few."""

    def __str__(self) -> str:
        return f"example {self.row} lacks {' and '.join(self.missing)}"


def presence(arrays: Mapping[str, Any], keys: Sequence[str]) -> Bool[np.ndarray, "N M"]:
    """Which of the parts stored under ``keys`` each example has: ``KEY.present`` says so, all of them where it is not there.

    Raises:
        InvalidInputError: no part is stored, or their numbers of examples differ.

    >>> presence({"a": np.zeros((2, 3)), "b": np.zeros((2, 1)), "b.present": np.array([True, False])}, ["a", "b", "c"]).tolist()
    [[True, True, False], [True, False, False]]
    """
    sizes = {key: len(arrays[key]) for key in keys if key in arrays}
    if len(set(sizes.values())) != 1:
        said = ", ".join(f"{n} of {key!r}" for key, n in sizes.items()) or "none"
        raise InvalidInputError(f"parts {', '.join(map(repr, keys))} of as many examples each are needed; got {said}")
    n = next(iter(sizes.values()))
    columns = []
    for key in keys:
        given = np.asarray(arrays.get(f"{key}.present", np.full(n, key in arrays)))
        if given.shape != (n,) or given.dtype != np.bool_:
            raise InvalidInputError(
                f"'{key}.present' is {given.dtype} of shape {given.shape}; booleans of shape ({n},) are needed"
            )
        columns.append(given & (key in arrays))
    return np.stack(columns, axis=1)


def violations(
    present: Bool[np.ndarray, "N M"], names: Sequence[str], *, required: Sequence[str] = (), at_least: int = 1
) -> list[Violation]:
    """Every example that lacks a required part, or has fewer parts than ``at_least``; empty where all is well.

    >>> violations(np.array([[True, True], [True, False], [False, False]]), ["image", "word"], required=["word"])
    [Violation(row=1, missing=('word',)), Violation(row=2, missing=('image', 'word'))]
    """
    present = np.asarray(present, bool)
    if present.ndim != 2 or present.shape[1] != len(names):
        raise InvalidInputError(f"one column for each of {', '.join(names)} is needed; got shape {present.shape}")
    found = []
    for row, has in enumerate(present):
        lacking = [name for name, there in zip(names, has, strict=True) if not there]
        told = lacking if has.sum() < at_least else [name for name in lacking if name in required]
        if told:
            found.append(Violation(row, tuple(told)))
    return found
