"""Columns on disk: samples, features and statistics survive a SIGKILL, and nothing that was computed is computed twice.

A column is two files: ``NAME.json`` with key, dtype and shape of a row, and ``NAME.rows`` with the rows one after the other.
The rows of a batch are handed to the system as soon as they are computed, before the next batch begins. From then on they
outlive the process: a kill costs the batch in flight, which had not ended, and where it falls into the writing itself (tens of
microseconds a batch) those rows of it that were not written. A row that was cut short is written over. Nothing is synced to the
disk, which would cost milliseconds a batch: after a power failure delete the folder.

Every row is written at its own place, so that two evaluations of one run at once, which compute the same rows, write them twice
and leave them whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from artifex.core.errors import DataError
from artifex.core.measuring.columns import Column
from artifex.core.storage import flat_weights

__all__ = ["DiskColumns", "data_digest", "model_digest"]

DIGITS = 16
"""Of a checksum."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an error of writing, which says no more than that the disk is full."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


class DiskColumns:
    """Columns in a folder, each found again by its key.

    Args:
        folder: made if need be.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     DiskColumns(Path(folder)).column("squares").append(np.arange(3) ** 2)
        ...     DiskColumns(Path(folder)).column("squares").read(1, 3).tolist()
        [1, 4]
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._open: dict[str, _DiskColumn] = {}

    def column(self, key: str) -> Column:
        if key not in self._open:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{key.partition('|')[0]}-{hashlib.sha256(key.encode()).hexdigest()[:DIGITS]}"
            self._open[key] = _DiskColumn(self.folder / name, key)
        return self._open[key]


class _DiskColumn:
    def __init__(self, stem: Path, key: str):
        self._rows, self._form, self._key = stem.with_name(f"{stem.name}.rows"), stem.with_name(f"{stem.name}.json"), key
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] = ()
        self._length = 0
        if self._form.is_file():
            self._take_up()

    def _take_up(self) -> None:
        """Find out what an earlier evaluation left; a row that was cut short does not count."""
        try:
            form = json.loads(self._form.read_text(encoding="utf-8"))
            self._dtype, self._shape = np.dtype(form["dtype"]), tuple(form["shape"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self._form} is damaged: {error}; delete it, and what it describes is computed anew") from error
        there = self._rows.stat().st_size if self._rows.is_file() else 0
        self._length = there // self._width

    @property
    def _width(self) -> int:
        """Bytes of a row."""
        assert self._dtype is not None
        return max(1, self._dtype.itemsize * int(np.prod(self._shape, dtype=np.int64)))

    def __len__(self) -> int:
        return self._length

    def append(self, rows: np.ndarray) -> None:
        rows = np.ascontiguousarray(rows)
        if self._dtype is None:
            form = {"key": self._key, "dtype": rows.dtype.str, "shape": list(rows.shape[1:])}
            new = self._form.with_suffix(f".{os.getpid()}.new")
            new.write_text(json.dumps(form), encoding="utf-8")
            new.replace(self._form)  # whole or not at all, and not synced: the first batch is not yet kept
            self._dtype, self._shape = rows.dtype, rows.shape[1:]
        self._rows.touch()
        with naming(self._rows), self._rows.open("r+b") as file:
            file.seek(self._length * self._width)
            file.write(rows.astype(self._dtype, copy=False).tobytes())
        self._length += len(rows)

    def read(self, start: int, stop: int) -> np.ndarray:
        assert self._dtype is not None
        count = (stop - start) * int(np.prod(self._shape, dtype=np.int64))
        found = np.fromfile(self._rows, self._dtype, count, offset=start * self._width)
        return found.reshape(stop - start, *self._shape)


def model_digest(model: Any) -> str:
    """Checksum of a model's config and weights.

    Example:
        >>> from flax import nnx
        >>> len(model_digest(nnx.Linear(2, 2, rngs=nnx.Rngs(0))))
        16
    """
    found = hashlib.sha256(repr(getattr(model, "config", type(model).__name__)).encode())
    weights = flat_weights(model) if isinstance(model, nnx.Module) else {}
    for name, array in sorted(weights.items()):
        _add(found, name, np.asarray(array))
    return found.hexdigest()[:DIGITS]


def data_digest(data: Any, what: str = "") -> str:
    """Checksum of stored examples: of all bytes of arrays, of the first and last rows of what is read row by row."""
    found = hashlib.sha256(what.encode())
    if hasattr(data, "shape"):
        data = {"x": data}
    if not isinstance(data, Mapping):
        found.update(str(len(data)).encode())
        rows = [data[i] for i in sorted({0, len(data) - 1})] if len(data) else []
        data = {f"{i}.{key}": value for i, row in enumerate(rows) for key, value in row.items()}
    for name, array in sorted(data.items()):
        _add(found, name, np.asarray(array))
    return found.hexdigest()[:DIGITS]


def _add(found: Any, name: str, array: np.ndarray) -> None:
    found.update(f"{name}{array.dtype}{array.shape}".encode())
    whole = np.ascontiguousarray(array)
    found.update(whole.data if whole.dtype.kind in "biufc" else whole.tobytes())  # no copy of what may be large
