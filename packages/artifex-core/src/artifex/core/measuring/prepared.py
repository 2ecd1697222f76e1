"""References: stored examples, prepared a block at a time, so that what a modality draws does not depend on batches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np
from flax import nnx

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.measuring.programs import filled

__all__ = ["BLOCK", "Prepared"]

BLOCK = 256
"""Examples that are prepared, or samples that are drawn, with one key."""


class Prepared:
    """Stored examples and, a block at a time, what the modality makes of them.

    Args:
        data: a dict of arrays, ``x`` among them, one array, or a sequence of examples.
        modality: prepares them; None leaves them as they are.
        key: of what it draws.
        most: how many are taken, the first ones; None for all.

    Raises:
        DataError: there are no examples, they have no ``x``, or arrays are not of one length.
    """

    def __init__(self, data: Any, modality: Any, key: jax.Array, most: int | None):
        self._data: Any = {"x": data} if hasattr(data, "shape") else data
        if isinstance(self._data, Mapping) and "x" not in self._data:
            raise DataError(f"the data have no array 'x'; they have {', '.join(map(str, self._data)) or 'nothing'}")
        if isinstance(self._data, Mapping) and getattr(self._data["x"], "ndim", 1) == 0:
            raise DataError("'x' is a single number; its first axis counts examples")
        n = len(self._data["x"]) if isinstance(self._data, Mapping) else len(self._data)
        if isinstance(self._data, Mapping):
            lengths = {key: len(value) if getattr(value, "ndim", 1) else None for key, value in self._data.items()}
            if unlike := {key: length for key, length in lengths.items() if length != n}:
                said = ", ".join(f"{key!r} has {'no axis' if one is None else one}" for key, one in unlike.items())
                raise DataError(f"the arrays of the data have one row for each example, {n} of them in 'x'; {said}")
        if n == 0:
            raise DataError("there are no references: the data hold no examples")
        self._n, self._modality, self._key = min(n, most or n), modality, key
        self._kept: dict[int, dict[str, np.ndarray]] = {}

    def __len__(self) -> int:
        return self._n

    @cached_property
    def example(self) -> dict[str, Any]:
        """The first example as it is stored."""
        return {key: value[0] for key, value in self.stored(0, 1).items()}

    def stored(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Rows as they are stored."""
        if isinstance(self._data, Mapping):
            return {key: np.asarray(value[start:stop]) for key, value in self._data.items()}
        rows = [self._data[i] for i in range(start, stop)]
        return {key: np.stack([np.asarray(row[key]) for row in rows]) for key in rows[0]}

    def rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Prepared rows."""
        if not 0 <= start < stop <= self._n:
            raise InvalidInputError(f"rows {start} to {stop} of {self._n} were asked for")
        parts = [
            {key: value[max(0, start - block * BLOCK) : stop - block * BLOCK] for key, value in self._block(block).items()}
            for block in range(start // BLOCK, (stop - 1) // BLOCK + 1)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if len(parts) > 1 else parts[0]

    def _block(self, block: int) -> dict[str, np.ndarray]:
        if block not in self._kept:
            n = min(BLOCK, self._n - block * BLOCK)
            stored = self.stored(block * BLOCK, block * BLOCK + n)
            if self._modality is not None:
                whole = {key: filled(value, BLOCK) for key, value in stored.items()}
                prepared = self._prepare(whole, jax.random.fold_in(self._key, block))
                stored = {key: np.asarray(value)[:n] for key, value in prepared.items()}
            for old in list(self._kept)[:-3]:
                del self._kept[old]
            self._kept[block] = stored
        return self._kept[block]

    @cached_property
    def _prepare(self) -> Any:
        def prepared(batch: dict[str, Any], key: jax.Array) -> Any:
            return self._modality.prepare(batch, rngs=nnx.Rngs(key), train=False)

        return jax.jit(prepared)
