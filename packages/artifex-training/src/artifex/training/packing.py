"""Small arrays side by side in a few large ones: to orbax every array is a millisecond of work and a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["Slot", "packed", "unpacked"]

SMALL = 1 << 16
"""Bytes up to which an array is packed."""

Slot = dict[str, Any]
"""Where a small array lies: ``pack`` is the name of the large one, ``start`` its first element there."""


def packed(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Slot]]:
    """``arrays`` with the small ones on the host laid end to end, those of a type in one array; and where each lies.

    Others, and those that lie on devices, stay as they are.

    Example:
        >>> stored, slots = packed({"a": np.ones((2, 3)), "b": np.zeros(2), "c": np.ones(10_000)})
        >>> {name: array.shape for name, array in stored.items()}, slots["b"]
        ({'c': (10000,), 'packed float64': (8,)}, {'pack': 'packed float64', 'start': 6})
    """
    small = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray) and array.nbytes <= SMALL}
    alike: dict[str, list[np.ndarray]] = {}
    slots: dict[str, Slot] = {}
    ends: dict[str, int] = {}
    for name, array in small.items():
        pack = f"packed {array.dtype.name}"
        slots[name] = {"pack": pack, "start": ends.get(pack, 0)}
        ends[pack] = slots[name]["start"] + array.size
        alike.setdefault(pack, []).append(array.ravel())
    others = {name: array for name, array in arrays.items() if name not in small}
    return {**others, **{pack: np.concatenate(parts) for pack, parts in alike.items()}}, slots


def unpacked(pack: np.ndarray, start: int, shape: tuple[int, ...]) -> np.ndarray:
    """The small array of ``shape`` that begins at element ``start`` of ``pack``: a copy.

    >>> unpacked(np.arange(8), 2, (2, 2)).tolist()
    [[2, 3], [4, 5]]
    """
    return pack[start : start + int(np.prod(shape))].reshape(shape).copy()
