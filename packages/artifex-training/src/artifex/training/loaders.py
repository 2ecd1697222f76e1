"""Loaders: batches of host arrays, in an order that a seed fixes, resumable from a small state.

Arrays in memory take the numpy path (a permutation and a slice); what is read example by example goes through grain.
Both have one order for one seed, and a state of a few numbers; restoring it gives the very batches that would have come next.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from artifex.core.errors import DataError, InvalidInputError, RunError
from artifex.training.data_forms import as_arrays, check_dtype, check_examples, is_array, require_x

__all__ = [
    "BUCKET",
    "ArrayLoader",
    "BatchCheck",
    "BucketLoader",
    "GrainLoader",
    "HostBatch",
    "Loader",
    "as_loader",
    "batch_shapes",
    "first_examples",
]

HostBatch = dict[str, np.ndarray]
BatchCheck = Callable[[HostBatch, Sequence[int]], None]
"""``check(arrays, rows)``: raises where examples, numbered ``rows`` in their data set, hold what cannot be used."""
BUCKET = "bucket"
"""Key of the lengths that padded examples may be cut to: :class:`BucketLoader`."""


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


class _Shuffled:
    """Which examples make up which batch. Each epoch has its own permutation; what fills no last batch is left out of it."""

    def __init__(self, size: int, batch_size: int, seed: int):
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.batches = size // batch_size
        self._order: tuple[int, np.ndarray] | None = None

    def rows(self, number: int) -> np.ndarray:
        """The examples of batch ``number``, counted from the start of the first epoch."""
        epoch, index = divmod(number, self.batches)
        order = self._order  # read once: several threads may ask
        if order is None or order[0] != epoch:
            order = self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.size).astype(np.int32)
        return order[1][index * self.batch_size : (index + 1) * self.batch_size]


class _ShuffledLoader:
    """What the loaders share: a position in the shuffled order."""

    def __init__(self, size: int, *, batch_size: int, seed: int):
        self.size, self.seed = size, seed
        self.batch_size = _checked_batch_size(batch_size, size)
        self._shuffled = _Shuffled(size, batch_size, seed)
        self._done = 0

    @property
    def steps_per_epoch(self) -> int:
        return self._shuffled.batches

    def __iter__(self) -> Iterator[HostBatch]:
        return self  # type: ignore[return-value]

    def state(self) -> dict[str, Any]:
        epoch, index = divmod(self._done, self.steps_per_epoch)
        return {"epoch": epoch, "index": index, "seed": self.seed, "batch_size": self.batch_size, "size": self.size}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, what in (("seed", "seed"), ("batch_size", "batch size"), ("size", "number of examples")):
            then, now = state.get(name), getattr(self, name)
            if then != now:
                fix = "put the data back as they were" if name == "size" else f"set it to {then} again"
                raise RunError(
                    f"the data cannot be taken up where they were left: the {what} was {then} and is {now} now; "
                    f"{fix}, or start a new run"
                )
        self._done = state["epoch"] * self.steps_per_epoch + state["index"]


class ArrayLoader(_ShuffledLoader):
    """Batches from arrays that share their leading axis.

        >>> loader = ArrayLoader({"x": np.arange(6)}, batch_size=2, seed=0)
        >>> sorted(int(v) for _ in range(3) for v in next(loader)["x"])
        [0, 1, 2, 3, 4, 5]

    Args:
        arrays: host arrays by name, ``x`` among them.
        batch_size: examples in a batch.
        seed: fixes the order.

    Raises:
        DataError: there is no ``x``, the arrays differ in length, or hold something other than numbers that fit on a device.
        InvalidInputError: ``batch_size`` is less than one or more than there are examples.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, batch_size: int, seed: int):
        self.arrays = as_arrays(arrays)
        super().__init__(_common_length(self.arrays), batch_size=batch_size, seed=seed)
        _check_integers(self.arrays, range(self.size))

    def __next__(self) -> HostBatch:
        rows = self.next_rows()
        return {key: value.take(rows, axis=0) for key, value in self.arrays.items()}

    def next_rows(self) -> np.ndarray:
        """Which examples the next batch is made of, int32; for whoever holds the arrays already."""
        rows = self._shuffled.rows(self._done)
        self._done += 1
        return rows

    def one_pass(self) -> Iterator[HostBatch]:
        """Every example once, in stored order; the last batch may be smaller. The training position is left alone."""
        for start in range(0, self.size, self.batch_size):
            yield {key: value[start : start + self.batch_size] for key, value in self.arrays.items()}


class _ShuffledBuckets:
    """:class:`_Shuffled` within each bucket: a batch is of one bucket, and the buckets' batches come in a permuted order."""

    def __init__(self, buckets: Sequence[np.ndarray], batch_size: int, seed: int):
        self.buckets, self.batch_size, self.seed = buckets, batch_size, seed
        self.batches = sum(len(rows) // batch_size for rows in buckets)
        self._order: tuple[int, np.ndarray] | None = None

    def rows(self, number: int) -> np.ndarray:
        """The examples of batch ``number``, counted from the start of the first epoch."""
        epoch, index = divmod(number, self.batches)
        order = self._order
        if order is None or order[0] != epoch:
            order = self._order = epoch, self._epoch(np.random.default_rng([self.seed, epoch]))
        return order[1][index]

    def _epoch(self, random: np.random.Generator) -> np.ndarray:
        """The rows of every batch of an epoch, ``(batches, batch_size)``."""
        full = [random.permutation(rows)[: len(rows) // self.batch_size * self.batch_size] for rows in self.buckets]
        return random.permutation(np.concatenate(full).reshape(-1, self.batch_size).astype(np.int32))


class BucketLoader(_ShuffledLoader):
    """Batches of examples of similar length from padded arrays, cut to what the longest of them needs.

    ``bucket`` says of each example the length to which it may be cut along its padded axis, the second, which is that of
    ``mask`` and of every array as long as it there. Examples of one number make up batches; where there are fewer of them than
    a batch holds, they go with the next longer ones. The step is compiled once for each length. Models do not see ``bucket``.

        >>> lengths = np.array([1, 2, 1, 2])
        >>> mask = np.arange(3)[None] < lengths[:, None]
        >>> loader = BucketLoader({"x": np.zeros((4, 3, 5)), "mask": mask, "bucket": lengths}, batch_size=2, seed=0)
        >>> sorted(next(loader)["x"].shape for _ in range(2))
        [(2, 1, 5), (2, 2, 5)]

    Args:
        arrays: host arrays by name; ``x``, ``mask`` and ``bucket`` among them.
        batch_size: examples in a batch.
        seed: fixes the order.

    Raises:
        DataError: there is no ``x`` or no ``mask``, the arrays differ in length, or an example is longer than its bucket.
        InvalidInputError: ``batch_size`` is less than one or more than there are examples.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, batch_size: int, seed: int):
        given = as_arrays(arrays)
        super().__init__(_common_length(given), batch_size=batch_size, seed=seed)
        _check_integers(given, range(self.size))
        bucket = given.pop(BUCKET)
        self.arrays = given
        self._padded = _padded_arrays(given, bucket)
        self._lengths, self._buckets = _merged_buckets(bucket, batch_size)
        self._shuffled = _ShuffledBuckets(self._buckets, batch_size, seed)

    def __next__(self) -> HostBatch:
        rows = self._shuffled.rows(self._done)
        self._done += 1
        return self._batch(rows)

    def one_pass(self) -> Iterator[HostBatch]:
        """Every example once, the longest bucket first; a bucket's last batch may be smaller."""
        for bucket in reversed(self._buckets):
            for start in range(0, len(bucket), self.batch_size):
                yield self._batch(bucket[start : start + self.batch_size])

    def _batch(self, rows: np.ndarray) -> HostBatch:
        length = int(self._lengths[rows[0]])
        return {
            key: value[rows, :length] if key in self._padded else value.take(rows, axis=0) for key, value in self.arrays.items()
        }


def _padded_arrays(arrays: Mapping[str, np.ndarray], bucket: np.ndarray) -> set[str]:
    """Names of the arrays that are cut."""
    mask = arrays.get("mask")
    if mask is None or mask.ndim != 2:
        raise DataError(
            f"data with {BUCKET!r} are padded and need a mask, (examples, length); they have {', '.join(arrays)}, "
            f"mask of shape {None if mask is None else mask.shape}"
        )
    outside = mask & (np.arange(mask.shape[1])[None] >= bucket[:, None])
    if outside.any():
        row = int(np.argwhere(outside)[0, 0])
        raise DataError(
            f"example {row} is longer than its bucket, {bucket[row]}: its mask has {np.flatnonzero(mask[row])[-1] + 1}"
        )
    return {key for key, value in arrays.items() if value.ndim > 1 and value.shape[1] == mask.shape[1]}


def _merged_buckets(bucket: np.ndarray, batch_size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The length that each example is cut to, and the rows of each bucket, shortest first; each fills a batch at least."""
    lengths, groups, waiting = np.array(bucket), [], np.zeros(0, np.intp)
    for length in np.unique(bucket):
        rows = np.concatenate([waiting, np.flatnonzero(bucket == length)])
        lengths[rows] = length
        waiting = rows if len(rows) < batch_size else rows[:0]
        if not len(waiting):
            groups.append(rows)
    if len(waiting):  # the longest are too few: those before go with them
        joined = np.concatenate([*groups[-1:], waiting])
        lengths[joined] = bucket.max()
        groups[-1:] = [joined]
    return lengths, groups


class GrainLoader(_ShuffledLoader):
    """Batches read through grain, ahead of time and in several threads, for what does not fit in memory.

    The order is that of :class:`ArrayLoader`. What grain fetches is whole batches, because it costs the same for each element.
    In several processes each reads its own part of the training batches alone; :meth:`next_part`.

    Args:
        source: random-access sequence (``len``, ``[i]``) of dicts of host arrays, ``x`` among them. Where it has a method
            ``__getitems__(indices)`` that gives many examples at once, that is used.
        batch_size: examples in a batch.
        seed: fixes the order.
        threads: how many batches are read at once.
        ahead: how many batches may wait in memory.
        check: is shown every batch that is read, and which examples it is made of.

    Raises:
        DataError: the examples have no ``x``, or differ in keys or shapes.
        InvalidInputError: ``batch_size`` is less than one or more than there are examples.
    """

    def __init__(
        self,
        source: Sequence[Mapping[str, np.ndarray]],
        *,
        batch_size: int,
        seed: int,
        threads: int = 4,
        ahead: int = 8,
        check: BatchCheck | None = None,
    ):
        super().__init__(len(source), batch_size=batch_size, seed=seed)
        require_x(source[0])
        self.source, self.check, self._threads, self._ahead = source, check, threads, ahead
        self._batches: Iterator[HostBatch] | None = None

    def __next__(self) -> HostBatch:
        return self.next_part(None)

    def next_part(self, part: np.ndarray | None) -> HostBatch:
        """Of the next training batch, the examples at the positions ``part``; None for all of them.

        What is read ahead is read for the ``part`` of the first call after the start or :meth:`restore`.
        """
        if self._batches is None:
            start = self._done
            positions = slice(None) if part is None else part
            self._batches = self._fetch(lambda i: self._shuffled.rows(start + i)[positions], sys.maxsize - start)
        batch = next(self._batches)
        self._done += 1
        return batch

    def one_pass(self) -> Iterator[HostBatch]:
        """Every example once, in stored order; the last batch may be smaller. The training position is left alone."""

        def rows(i: int) -> np.ndarray:
            return np.arange(i * self.batch_size, min((i + 1) * self.batch_size, self.size))

        return self._fetch(rows, -(-self.size // self.batch_size))

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._batches = None

    def _fetch(self, rows: Callable[[int], np.ndarray], count: int) -> Iterator[HostBatch]:
        """The batches of ``rows(0)``, ``rows(1)`` …, read ahead."""
        import grain

        batches = grain.MapDataset.range(count).map(lambda i: self._read(rows(i)))
        return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=self._threads, prefetch_buffer_size=self._ahead)))

    def _read(self, rows: np.ndarray) -> HostBatch:
        batch = _read_batch(self.source, rows)
        if self.check is not None:
            self.check(batch, rows.tolist())
        return batch

    def first(self, n: int) -> HostBatch:
        """The first ``n`` examples, and no more of them; :attr:`check` is not asked."""
        return _read_batch(self.source, np.arange(min(n, self.size)))


def _read_batch(source: Any, rows: np.ndarray) -> HostBatch:
    indices = rows.tolist()
    many = getattr(source, "__getitems__", None)
    examples = [source[i] for i in indices] if many is None else many(indices)
    try:
        batch = {key: np.stack([example[key] for example in examples]) for key in examples[0]}
    except (KeyError, ValueError) as error:
        shapes = {
            str({key: np.shape(value) for key, value in example.items()}): i
            for example, i in zip(examples, indices, strict=True)
        }
        found = "; ".join(f"example {i} has {shape}" for shape, i in list(shapes.items())[:2])
        raise DataError(f"the examples of a data set have the same keys and shapes; {found}") from error
    for key, values in batch.items():
        check_dtype(key, values, indices[0])
    _check_integers(batch, indices)
    return batch


def _check_integers(arrays: Mapping[str, np.ndarray], rows: Sequence[int]) -> None:
    """Refuse integers that would wrap on a device, which holds 32 bits unless JAX is told otherwise."""
    for key, values in arrays.items():
        on_device = jax.dtypes.canonicalize_dtype(values.dtype) if values.dtype.kind in "iu" else values.dtype
        if on_device == values.dtype or not values.size:
            continue
        limits = np.iinfo(on_device)
        if values.min() < limits.min or values.max() > limits.max:
            at = tuple(np.argwhere((values < limits.min) | (values > limits.max))[0])
            raise DataError(
                f"{key!r} of example {rows[at[0]]} holds {values[at]}, which does not fit in {on_device}, as devices hold it; "
                "number labels from 0"
            )


def as_loader(data: Any, *, batch_size: int, seed: int) -> Loader:
    """A loader for ``data``: a loader as it is, a dict of arrays, one array (taken as ``x``), or a sequence of examples.

    A dict with ``bucket`` makes batches of examples of similar length.

    Raises:
        InvalidTypeError: it is nothing of the kind; the message shows what to write.
        DataError: it holds what cannot serve.
    """
    if callable(getattr(data, "one_pass", None)):
        return data
    if isinstance(data, Mapping):
        kind = BucketLoader if BUCKET in data else ArrayLoader
        return kind(data, batch_size=batch_size, seed=seed)
    if is_array(data):
        return ArrayLoader({"x": data}, batch_size=batch_size, seed=seed)
    check_examples(data)
    return GrainLoader(data, batch_size=batch_size, seed=seed)


def batch_shapes(loader: Loader) -> dict[str, Any]:
    """Shapes and dtypes (``jax.ShapeDtypeStruct``) of the loader's training batches on a device; its position stays."""
    first = {key: np.asarray(value) for key, value in first_examples(loader, 1).items()}
    as_on_device = jax.dtypes.canonicalize_dtype  # float64 becomes float32 there, unless JAX is told otherwise
    return {key: jax.ShapeDtypeStruct((loader.batch_size, *v.shape[1:]), as_on_device(v.dtype)) for key, v in first.items()}


def first_examples(loader: Loader, n: int) -> HostBatch:
    """Up to ``n`` examples from the start of the data; the loader's position stays."""
    if isinstance(loader, GrainLoader):
        return loader.first(n)  # a pass over it would read many batches ahead
    return {key: value[:n] for key, value in next(iter(loader.one_pass())).items()}


def _common_length(arrays: Mapping[str, np.ndarray]) -> int:
    require_x(arrays)
    lengths = {key: len(value) if value.ndim else -1 for key, value in arrays.items()}
    if len(set(lengths.values())) != 1 or -1 in lengths.values():
        shapes = {key: value.shape for key, value in arrays.items()}
        raise DataError(f"arrays of one data set share their leading axis; these have the shapes {shapes}")
    return lengths["x"]


def _checked_batch_size(batch_size: int, size: int) -> int:
    if size == 0:
        raise DataError("the data hold no examples")
    if not 1 <= batch_size <= size:
        raise InvalidInputError(f"batch_size is {batch_size}, but the data hold {size} examples; choose 1 to {size}")
    return batch_size
