"""Loaders: batches of host arrays, in an order that a seed fixes, resumable from a small state.

Arrays in memory take the numpy path (a permutation and a slice); what is read example by example goes through grain, batch-wise.
Either way the state is ``{epoch, index, seed}``-sized and restoring it gives the very batches that would have come next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from artifex.core.errors import DataError, InvalidInputError, RunError

__all__ = ["ArrayLoader", "GrainLoader", "HostBatch", "Loader", "as_loader"]

HostBatch = dict[str, np.ndarray]


class Loader(Protocol):
    """An endless stream of training batches, and one ordered pass for evaluation."""

    batch_size: int

    @property
    def steps_per_epoch(self) -> int: ...

    def __next__(self) -> HostBatch:
        """The next training batch, of full size, in shuffled order; a new epoch follows the last without a break."""
        ...

    def one_pass(self) -> Iterator[HostBatch]:
        """Every example once, in stored order; the last batch may be smaller. The training position is left alone."""
        ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class ArrayLoader:
    """Batches from arrays that share their leading axis.

        >>> loader = ArrayLoader({"x": np.arange(6)}, batch_size=2, seed=0)
        >>> sorted(int(v) for _ in range(3) for v in next(loader)["x"])
        [0, 1, 2, 3, 4, 5]

    The examples that do not fill a last batch are left out of that epoch; each epoch has a permutation of its own.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, batch_size: int, seed: int):
        self.arrays = {key: np.asarray(value) for key, value in arrays.items()}
        self.size = _common_length(self.arrays)
        self.batch_size = _checked_batch_size(batch_size, self.size)
        self.seed, self.epoch, self.index = seed, 0, 0
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def steps_per_epoch(self) -> int:
        return self.size // self.batch_size

    def __iter__(self) -> Iterator[HostBatch]:
        return self

    def __next__(self) -> HostBatch:
        if self.index == self.steps_per_epoch:
            self.epoch, self.index = self.epoch + 1, 0
        start = self.index * self.batch_size
        rows = self._permutation()[start : start + self.batch_size]
        self.index += 1
        return {key: value[rows] for key, value in self.arrays.items()}

    def _permutation(self) -> np.ndarray:
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        return self._order[1]

    def one_pass(self) -> Iterator[HostBatch]:
        for start in range(0, self.size, self.batch_size):
            yield {key: value[start : start + self.batch_size] for key, value in self.arrays.items()}

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "index": self.index, "seed": self.seed}

    def restore(self, state: Mapping[str, Any]) -> None:
        if state["seed"] != self.seed or not 0 <= state["index"] <= self.steps_per_epoch:
            raise RunError(f"the saved position {dict(state)} is not one of this loader (seed {self.seed}, {self.steps_per_epoch} steps an epoch)")
        self.epoch, self.index = state["epoch"], state["index"]


class GrainLoader:
    """Batches read through grain from a random-access source of single examples, for what does not fit in memory.

    Args:
        source: picklable sequence of dicts of host arrays.
        batch_size: examples in a batch.
        seed: fixes the order.
        threads: how many examples are read at once.
    """

    def __init__(self, source: Sequence[Mapping[str, np.ndarray]], *, batch_size: int, seed: int, threads: int = 8):
        import grain

        self.size = len(source)
        self.batch_size = _checked_batch_size(batch_size, self.size)
        self.seed = seed
        examples = grain.MapDataset.source(source)
        self._options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2 * batch_size, threads))
        # batches are cut before the repetition, so that none spans two epochs; each repetition has a shuffle of its own
        self._train = examples.seed(seed).shuffle().batch(batch_size, drop_remainder=True).repeat().to_iter_dataset(self._options)
        self._ordered = examples.batch(batch_size, drop_remainder=False)
        self._iterator = iter(self._train)

    @property
    def steps_per_epoch(self) -> int:
        return self.size // self.batch_size

    def __iter__(self) -> Iterator[HostBatch]:
        return self

    def __next__(self) -> HostBatch:
        return next(self._iterator)

    def one_pass(self) -> Iterator[HostBatch]:
        yield from self._ordered.to_iter_dataset(self._options)

    def state(self) -> dict[str, Any]:
        return {"grain": self._iterator.get_state(), "seed": self.seed}

    def restore(self, state: Mapping[str, Any]) -> None:
        if state["seed"] != self.seed:
            raise RunError(f"the saved position was taken with seed {state['seed']}, this loader has {self.seed}")
        self._iterator = iter(self._train)
        self._iterator.set_state(dict(state["grain"]))


def as_loader(data: Any, *, batch_size: int, seed: int) -> Loader:
    """A loader for ``data``: a loader as it is, a dict of arrays, one array (taken as ``x``), or a sequence of examples."""
    if callable(getattr(data, "one_pass", None)):
        return data
    if isinstance(data, Mapping):
        return ArrayLoader(data, batch_size=batch_size, seed=seed)
    if hasattr(data, "shape") and hasattr(data, "dtype"):
        return ArrayLoader({"x": np.asarray(data)}, batch_size=batch_size, seed=seed)
    return GrainLoader(data, batch_size=batch_size, seed=seed)


def _common_length(arrays: Mapping[str, np.ndarray]) -> int:
    lengths = {key: len(value) if value.ndim else -1 for key, value in arrays.items()}
    if "x" not in lengths:
        raise DataError(f"the data have no array 'x', which is what a model models; they have {', '.join(lengths) or 'nothing'}")
    if len(set(lengths.values())) != 1 or -1 in lengths.values():
        raise DataError(f"arrays of one data set share their leading axis; these have {lengths}")
    return lengths["x"]


def _checked_batch_size(batch_size: int, size: int) -> int:
    if not 1 <= batch_size <= size:
        raise InvalidInputError(f"batch_size is {batch_size}, but the data hold {size} examples; choose 1 to {size}")
    return batch_size
