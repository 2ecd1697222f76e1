"""Data sets of any kinds side by side: row ``i`` of each belongs to row ``i`` of the others."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.errors import DataError
from artifex.core.protocols import ArrayDataset, NamesClasses
from artifex.core.splits import require_split

__all__ = ["DatasetPartConfig", "SideBySide", "SideBySideConfig"]


@config
class DatasetPartConfig(Config):
    """One of the data sets."""

    stored: Annotated[str, Field(min_length=1)]
    """Key of its `x`: `x` for one of them, whose labels are those of the examples. What it has beside `x` stands below that
    key: `series.mask`."""
    dataset: Annotated[Config, Registered("dataset")]
    """The config of any installed data set that fits in memory, with its `kind`."""


@config
class SideBySideConfig(Config):
    """Several data sets whose rows belong together.

    >>> SideBySideConfig.from_dict({"parts": [{"stored": "x", "dataset": {"kind": "digit_words"}}]}).parts[0].stored
    'x'
    """

    parts: Annotated[tuple[DatasetPartConfig, ...], Field(min_length=1)]
    """The data sets. Their splits that all of them have are those of the examples."""

    def __post_init__(self) -> None:
        keys = [part.stored for part in self.parts]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"several data sets are stored as {', '.join(repeated)}; give each a key of its own")
        if "x" not in keys:
            raise ValueError(f"the data sets are stored as {', '.join(keys)}; one of them is stored as x")


class SideBySide:
    """Data sets as one; a modality learns each part from that part's own data set.

    Each keeps the order of its rows. One that draws its splits by itself mixes them: give it a file for each split.

    Raises:
        DataError: a data set does not fit in memory, or no split is common to all.

    >>> made = SideBySide(SideBySideConfig.from_dict({"parts": [{"stored": "x", "dataset": {"kind": "digit_words"}}]}))
    >>> made.splits, made.arrays("test")["x"].shape
    (('train', 'test', 'validation'), (300, 8, 8, 1))
    """

    def __init__(self, config: SideBySideConfig) -> None:
        self.config = config
        self._parts = {part.stored: _made(part) for part in config.parts}
        if not self.splits:
            said = "; ".join(f"{key}: {', '.join(part.splits)}" for key, part in self._parts.items())
            raise DataError(f"no split is common to all of the data sets ({said})")

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that all have, in the order of the first."""
        first, *others = self._parts.values()
        return tuple(split for split in first.splits if all(split in other.splits for other in others))

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the data set that is stored as ``x``; empty where they have no names."""
        return tuple(self._parts["x"].classes) if isinstance(self._parts["x"], NamesClasses) else ()

    def of_part(self, key: str) -> Any:
        """The data set that is stored under a key."""
        return self._parts[key]

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """``x`` of each data set under its key, and what it has beside it below that key.

        Raises:
            InvalidInputError: there is no such split.
            DataError: they do not have as many rows each.
        """
        require_split(split, self.splits, "the whole of these data sets")
        found = {key: part.arrays(split) for key, part in self._parts.items()}
        rows = {key: len(arrays["x"]) for key, arrays in found.items()}
        if len(set(rows.values())) != 1:
            said = ", ".join(f"{n} in {key!r}" for key, n in rows.items())
            raise DataError(f"row i of each data set belongs to row i of the others, and the rows of {split!r} are {said}")
        return {_below(key, name): array for key, arrays in found.items() for name, array in arrays.items()}


def _below(key: str, name: str) -> str:
    """``KEY`` for ``x``; beside the one that is stored as ``x`` all but a mask keeps its name."""
    if name == "x" or (key == "x" and name != "mask"):
        return key if name == "x" else name
    return f"{key}.{name}"


def _made(part: DatasetPartConfig) -> Any:
    entry = plugins.registry().entry_of_config("dataset", type(part.dataset))
    made = plugins.resolve(entry.dataset)(part.dataset)
    if not isinstance(made, ArrayDataset):
        raise DataError(
            f"{entry.name!r}, stored as {part.stored!r}, is read example by example; data sets in memory are needed"
        )
    return made
