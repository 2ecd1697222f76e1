"""What a trainer looks for in the data before the first step, and in what is read along the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import ChecksData, DeclaresValues
from artifex.core.value_ranges import Columns, ValueRange, check_finite, check_values
from artifex.training.loaders import ArrayLoader, BucketLoader, GrainLoader, HostBatch, Loader, first_examples

__all__ = ["DataCheck"]

FEW = 16
"""Examples that are looked at before the start, of those that are read one by one."""


class DataCheck:
    """Refuses data whose values the modality or the model cannot take; messages name key, row and value.

    Arrays in memory are looked at whole, before the first step. Of what is read one by one the first few are, and then each
    batch as it is read.

    Args:
        model: asked which values it takes, if it says so (:class:`~artifex.core.protocols.DeclaresValues`).
        modality: asked what it can prepare, if it says so (:class:`~artifex.core.protocols.ChecksData`). Without one, ``x`` is
            the model's input.
        key: for what the modality draws while it prepares the first examples, to be looked at too.
        what: what to call the data in messages.
    """

    def __init__(self, model: Any, modality: Any, key: jax.Array, what: str = ""):
        self._model, self._modality, self._key, self._what = model, modality, key, what

    def __call__(self, loader: Loader) -> None:
        if isinstance(loader, GrainLoader):
            loader.check = self.check
        first = first_examples(loader, FEW)
        arrays = (
            loader.arrays if isinstance(loader, ArrayLoader | BucketLoader) else {k: np.asarray(v) for k, v in first.items()}
        )
        self.check(arrays, range(len(arrays["x"])))
        if self._modality is not None:
            self._check_prepared(first)

    def check(self, arrays: HostBatch, rows: Sequence[int]) -> None:
        """Raise for examples, numbered ``rows`` in their data set, that hold what cannot be used."""
        try:
            self._check(arrays, rows)
        except (DataError, InvalidInputError) as error:
            if not self._what:
                raise
            raise type(error)(f"{self._what}: {error}") from error

    def _check(self, arrays: HostBatch, rows: Sequence[int]) -> None:
        if isinstance(self._modality, ChecksData):
            _check_stored(self._modality, arrays, rows)
        ranges = self._ranges(arrays)
        if self._modality is not None:  # what is stored as x is its affair
            arrays = {key: values for key, values in arrays.items() if key != "x"}
        check_finite(arrays, rows=rows)
        check_values(arrays, ranges, type(self._model).__name__, rows=rows)

    def _ranges(self, arrays: Mapping[str, Any]) -> Mapping[str, ValueRange]:
        return self._model.value_ranges(arrays) if isinstance(self._model, DeclaresValues) else {}

    def _check_prepared(self, stored: Mapping[str, Any]) -> None:
        """Refuse a modality that prepares ``x`` for another model."""

        def prepare(batch: Mapping[str, Any], key: jax.Array) -> dict[str, jax.Array]:
            return self._modality.prepare(batch, rngs=nnx.Rngs(key), train=False)

        wanted = self._ranges(jax.eval_shape(prepare, stored, self._key)).get("x")
        if wanted is None:
            return
        prepared = jax.jit(prepare)(stored, self._key)
        seen = {key: np.asarray(prepared[key]) for key in ("x", "mask") if key in prepared}
        try:
            check_values(seen, {"x": wanted}, type(self._model).__name__)
        except DataError as error:
            if isinstance(wanted, Columns):
                raise InvalidInputError(f"as {type(self._modality).__name__} prepares it, {error}") from error
            x = seen["x"]
            message, _, _ = str(error).rpartition(": ")
            raise InvalidInputError(
                f"as {type(self._modality).__name__} prepares it, {message}: they are {x.min():g} to {x.max():g}; set the "
                "modality's scale to what the model takes, or choose a model (a likelihood, say) that takes these"
            ) from error


def _check_stored(modality: ChecksData, arrays: HostBatch, rows: Sequence[int]) -> None:
    """Let the modality look at stored arrays; where they are out of order, one by one, so that it names the right row."""
    try:
        modality.check(arrays, first_row=rows[0] if len(rows) else 0)
    except InvalidInputError:
        if not isinstance(rows, range):
            for i, row in enumerate(rows):
                modality.check({key: values[i : i + 1] for key, values in arrays.items()}, first_row=row)
        raise
