"""Checkpoints of the training state: written by orbax in the background, checked before they are trusted."""

from __future__ import annotations

import json
import math
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from artifex.core.errors import InvalidInputError, NonFiniteLossError, RunError, RunWarning
from artifex.training.checksums import COMMITTED, CorruptCheckpoint, check_share
from artifex.training.packing import packed, unpacked
from artifex.training.processes import put_global

if TYPE_CHECKING:
    from artifex.training.orbax_store import Writer

__all__ = ["CHECKPOINTS", "Checkpoints", "latest_step", "naming_last_good"]

CHECKPOINTS = "checkpoints"
"""Sub-folder of a run in which they lie."""
FROZEN = "frozen"
"""Sub-folder of that for what training never changes."""
UNFINISHED = ".orbax-checkpoint-tmp"
"""In the names of folders that are being written; one that is found later was left by a process that died."""


def latest_step(folder: str | Path) -> int | None:
    """Step of the newest complete checkpoint in ``folder``; None when there is none. Reads names alone."""
    return max(_steps(_located(folder)), default=None)


@contextmanager
def naming_last_good(folder: Path | None) -> Iterator[None]:
    """Let the error of numbers gone bad say where to go back to: no checkpoint is written once they have."""
    try:
        yield
    except NonFiniteLossError as error:
        step = None if folder is None else latest_step(folder)
        last = "there is no checkpoint from before" if step is None else f"the last good checkpoint is {folder}/{step}"
        raise NonFiniteLossError(f"{error}\n  {last}") from error


class Checkpoints:
    """A folder of checkpoints, one sub-folder a step. Use as a context manager: leaving it waits for what is being written.

    Args:
        folder: where they lie, made by the first :meth:`save`: a path, or a ``gs://`` address.
        keep: how many of the newest stay.
        best_metric: a figure of :meth:`evaluated` by which the best step stays, too.
        higher_is_better: which way the figure is better.

    Raises:
        InvalidInputError: ``folder`` is an address of another kind.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with Checkpoints(folder) as checkpoints:
        ...     checkpoints.save(10, {"w": jnp.arange(3.0)}, {"seed": 0})
        >>> with Checkpoints(folder) as checkpoints:
        ...     step, arrays = checkpoints.arrays("w")
        >>> step, arrays["w"].tolist()
        (10, [0.0, 1.0, 2.0])
    """

    def __init__(self, folder: str | Path, *, keep: int = 2, best_metric: str | None = None, higher_is_better: bool = False):
        self.folder = _located(folder)
        self._keep, self._best_metric, self._higher_is_better = keep, best_metric, higher_is_better
        self._figures: dict[int, dict[str, Any]] = {}
        self._writer: Writer | None = None
        self._damaged: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.wait()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # writing

    def save(self, step: int, state: Any, extra: dict[str, Any]) -> None:
        """Write ``state`` (a pytree of arrays) and ``extra`` (plain data). Returns once the arrays are copied off the devices.

        Raises:
            OSError: this or the last checkpoint could not be written; what was there before is whole.
            RunError: there is a later checkpoint.
        """
        self.wait()
        newest = latest_step(self.folder)
        if newest is not None and newest >= step:
            if newest > step:
                raise RunError(f"{self.folder} already has a checkpoint later than step {step}; nothing was written")
            return
        leaves = _by_name(state)
        # A loader's position is among `extra`, as numbers. They tell all that a grain iterator knows, for the order of batches
        # follows from the seed and a batch's number; storing the iterator besides would keep one position twice.
        stored, slots = packed(_off_devices(leaves))
        plain = {"extra": extra, "arrays": {name: _described(leaf) | slots.get(name, {}) for name, leaf in leaves.items()}}
        with self._dropping_what_fails():
            if self._writer is None:
                from artifex.training.orbax_store import Writer

                score = None if self._best_metric is None else self._score
                self._writer = Writer(self.folder, keep=self._keep, score=score)
            self._writer.save(step, stored, plain, self._figures.get(step))

    def wait(self) -> None:
        """Return when nothing is being written any more.

        Raises:
            OSError: the last checkpoint could not be written.
        """
        if self._writer is not None:
            with self._dropping_what_fails():
                self._writer.wait()

    @property
    def is_writing(self) -> bool:
        """Whether the last :meth:`save` is still under way."""
        return self._writer is not None and self._writer.is_writing

    def check(self) -> None:
        """Raise what went wrong with the last :meth:`save`, if it is over and something did; does not wait."""
        if not self.is_writing:
            self.wait()

    @contextmanager
    def _dropping_what_fails(self) -> Iterator[None]:
        """After an error, remove what it left, which may be what fills the disk, and start afresh with the next save."""
        try:
            yield
        except Exception as error:
            from artifex.training.orbax_store import as_os_error

            writer, self._writer = self._writer, None
            if writer is not None:
                writer.abandon()
            if jax.process_index() == 0 and self.folder.is_dir():
                for path in self.folder.iterdir():
                    if UNFINISHED in path.name:
                        shutil.rmtree(path, ignore_errors=True)
            raise as_os_error(error, self.folder) from error

    def save_frozen(self, frozen: Mapping[str, Any]) -> None:
        """Write the variables that training never changes, once for all checkpoints of the folder."""
        if frozen and latest_step(self.folder / FROZEN) is None:
            with Checkpoints(self.folder / FROZEN) as apart:
                apart.save(0, {FROZEN: dict(frozen)}, {})

    # the best

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Note the figures of an evaluation, which the checkpoint of ``step`` will carry; whether they are the best so far.

        Raises:
            InvalidInputError: the figure that tells the best is not among them.
        """
        if self._best_metric is None:
            return False
        if self._best_metric not in metrics:
            raise InvalidInputError(f"the best is told by {self._best_metric!r}, but an evaluation gives {', '.join(metrics)}")
        value = float(metrics[self._best_metric])
        if not math.isfinite(value):
            return False
        figures = {"metric": self._best_metric, "value": value, "higher_is_better": self._higher_is_better}
        known = self._figures or {other: _figures(self.folder / str(other)) for other in _steps(self.folder)}
        best = max((self._score(other) for at, other in known.items() if at != step), default=-math.inf)
        self._figures = {at: other for at, other in known.items() if self._score(other) == best} | {step: figures}
        return self._score(figures) > best

    def best_step(self) -> int | None:
        """The step whose checkpoint carries the best evaluation, by the figure that ``best_metric`` was; None without one."""
        found = {step: figures for step in _steps(self.folder) if (figures := _figures(self.folder / str(step)))}
        if not found:
            return None
        last = found[max(found)]
        alike = {step: f["value"] for step, f in found.items() if f["metric"] == last["metric"]}
        return (max if last["higher_is_better"] else min)(alike, key=lambda step: alike[step])

    def _score(self, figures: Mapping[str, Any]) -> float:
        """How good a step is, by its figures."""
        if figures.get("metric") != self._best_metric:
            return -math.inf
        return figures["value"] if self._higher_is_better else -figures["value"]

    # reading

    def restore(self, like: Any, layout: Any, *, step: int | None = None) -> tuple[int, Any, dict[str, Any]]:
        """The newest whole checkpoint as ``(step, state, extra)``, laid out by ``layout`` whatever mesh it was saved from.

        Damaged ones are passed over, with a warning; :meth:`set_damaged_aside` takes them out of the way.

        Args:
            like: the state's arrays, or their shapes (``jax.ShapeDtypeStruct``).
            layout: a sharding for each of them.
            step: this checkpoint instead of the newest.

        Raises:
            RunError: there is none, none is whole, or its arrays are not those of ``like``.
        """
        step, table, extra = self._newest(step)
        wanted = _by_name(like)
        if problem := _difference(wanted, {name: _leaf_shape(entry) for name, entry in table.items()}):
            raise RunError(f"checkpoint {self.folder / str(step)} does not fit this model and optimiser: {problem}")
        found = _read(self.folder / str(step), table, dict(zip(wanted, jax.tree.leaves(layout), strict=True)))
        return step, jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in wanted]), extra

    def arrays(self, *prefixes: str, step: int | None = None) -> tuple[int, dict[str, jax.Array]]:
        """Of the newest whole checkpoint, its step and the arrays at or below dotted ``prefixes``, on the first device.

        ``step``: of this checkpoint instead.

        Raises:
            RunError: there is no checkpoint, or none that is whole.
        """
        step, table, _ = self._newest(step)
        place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        below = tuple(f"{prefix}." for prefix in prefixes)
        chosen = [name for name in table if name in prefixes or name.startswith(below)]
        return step, _read(self.folder / str(step), table, dict.fromkeys(chosen, place))

    def restore_frozen(self, like: Mapping[str, Any], layout: Mapping[str, Any]) -> dict[str, Any]:
        """What :meth:`save_frozen` wrote, laid out by ``layout``.

        Raises:
            RunError: it is not there, is damaged, or has other arrays.
        """
        return Checkpoints(self.folder / FROZEN).restore({FROZEN: dict(like)}, {FROZEN: dict(layout)})[1][FROZEN]

    def frozen_arrays(self) -> dict[str, jax.Array]:
        """What :meth:`save_frozen` wrote, by dotted name, on the first device; nothing where nothing is frozen."""
        if latest_step(self.folder / FROZEN) is None:
            return {}
        found = Checkpoints(self.folder / FROZEN).arrays(FROZEN)[1]
        return {name.removeprefix(f"{FROZEN}."): array for name, array in found.items()}

    def set_damaged_aside(self) -> None:
        """Rename the damaged checkpoints that were met, so that a run that goes on can write these steps again."""
        if jax.process_index() == 0:
            for step in self._damaged:
                path = self.folder / str(step)
                path.rename(_free(path.with_name(f"{step}.damaged")))
        self._damaged = []

    def _newest(self, only: int | None = None) -> tuple[int, dict[str, Any], dict[str, Any]]:
        """Of the newest checkpoint that is whole (or of step ``only``), the step, a table of its arrays, and the plain data."""
        found: dict[int, str] = {}
        for step in reversed(_steps(self.folder)):
            if only not in (None, step):
                continue
            damage = _agreed(_damage(self.folder / str(step)))
            if damage:
                if not (self.folder / str(step)).is_dir():
                    return self._newest(only)  # a run that goes on has deleted it, because it has newer ones
                found[step] = damage
                continue
            self._tell_of(found, step)
            from artifex.training.orbax_store import load

            plain = load(self.folder / str(step), extra=None)["extra"]
            return step, plain["arrays"], plain["extra"]
        if not found:
            which = "no checkpoint to go on from" if only is None else f"no checkpoint of step {only}"
            raise RunError(f"{self.folder} holds {which}")
        reasons = "; ".join(f"{step}: {reason}" for step, reason in found.items())
        raise RunError(f"{self.folder} holds no whole checkpoint to go on from, all are damaged ({reasons}); start a new run")

    def _tell_of(self, damaged: dict[int, str], step: int) -> None:
        for bad, reason in damaged.items():
            warnings.warn(
                f"checkpoint {self.folder / str(bad)} is damaged ({reason}); the one of step {step} is used instead",
                RunWarning,
                stacklevel=4,
            )
        self._damaged = list(damaged)


def _located(folder: str | Path) -> Any:
    """The folder, as a path that can be read and written."""
    address = re.match(r"(\w{2,}):/+", str(folder))  # (a single letter is a drive)
    if address is None:
        return Path(folder).absolute()
    if address[1] != "gs":
        raise InvalidInputError(
            f"checkpoints go to a local folder or to gs://, got {folder}; {address[1]}:// would end up in a local folder"
        )
    from artifex.training.orbax_store import path_of

    return path_of(f"gs://{str(folder)[address.end() :]}")  # pathlib has made one slash of two


def _steps(folder: Any) -> list[int]:
    """Steps of the complete checkpoints in ``folder``.

    A local one gets its number for a name once everything in it is written. In cloud storage, where nothing can be renamed, a
    file tells that all is there.
    """
    if not folder.is_dir():
        return []
    named = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(int(path.name) for path in named if isinstance(path, Path) or (path / COMMITTED).exists())


def _figures(step: Any) -> dict[str, Any]:
    """The figures that a checkpoint carries; empty without any, or where they are damaged."""
    try:
        figures = json.loads((step / "metrics" / "metrics").read_bytes())
        return {"metric": figures["metric"], "value": figures["value"], "higher_is_better": figures["higher_is_better"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _damage(step: Any) -> str:
    """What is wrong with this process's share of a checkpoint's files, in words; empty when nothing is."""
    try:
        check_share(step, jax.process_index(), jax.process_count())
    except CorruptCheckpoint as damage:
        return str(damage)
    return ""


def _agreed(damage: str) -> str:
    """What any of the processes found: all of them go on from the same checkpoint."""
    if jax.process_count() == 1:
        return damage
    from jax.experimental import multihost_utils

    whole = multihost_utils.process_allgather(np.int32(not damage))
    return damage or ("" if np.all(whole) else "by what another process found")


# arrays, as they are stored: under dotted names, the keys of random streams as the numbers that they consist of


def _by_name(tree: Any) -> dict[str, Any]:
    """The leaves of ``tree`` under dotted names, in its own order."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _described(leaf: jax.Array) -> dict[str, Any]:
    """What has to be known of an array to read it back."""
    if _is_key(leaf):
        data = jax.eval_shape(jax.random.key_data, leaf)
        return {"dtype": data.dtype.name, "shape": data.shape, "key": str(jax.random.key_impl(leaf))}
    return {"dtype": leaf.dtype.name, "shape": leaf.shape}


def _off_devices(leaves: Mapping[str, jax.Array]) -> dict[str, Any]:
    """The arrays for orbax to write; those without an element, which it refuses, are told of by their shapes alone.

    Arrays that are whole on one device are handed on as host arrays, which takes orbax half the time; it copies them before it
    returns. Of the others each process writes the parts that it holds. On CPUs orbax would hold on to the devices' own memory
    until all is written, which could then not be given to the next step.
    """
    arrays = {name: jax.random.key_data(leaf) if _is_key(leaf) else leaf for name, leaf in leaves.items() if leaf.size}
    whole = {name for name, array in arrays.items() if array.is_fully_replicated or _is_host_memory(array)}
    for name in whole:
        arrays[name].copy_to_host_async()
    return {name: np.asarray(array) if name in whole else array for name, array in arrays.items()}


def _is_host_memory(array: jax.Array) -> bool:
    return array.is_fully_addressable and next(iter(array.devices())).platform == "cpu"


def _read(step: Any, table: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The arrays that ``places`` names, each laid out as it says; ``table`` tells how they are stored."""
    from artifex.training.orbax_store import load

    shapes = {name: _stored_shape(table[name], place) for name, place in places.items()}
    slots = {name: table[name] for name in places if "pack" in table[name]}
    stored = {name: shape for name, shape in shapes.items() if 0 not in shape.shape and name not in slots}
    wanted = {**stored, **_pack_shapes(table, {slot["pack"] for slot in slots.values()})}
    found = load(step, state=wanted)["state"] if wanted else {}
    small = {
        n: put_global(unpacked(found[slot["pack"]], slot["start"], shapes[n].shape), places[n]) for n, slot in slots.items()
    }
    empty = {n: jnp.zeros(s.shape, s.dtype, device=s.sharding) for n, s in shapes.items() if n not in stored and n not in slots}
    arrays = {**found, **small, **empty}
    return {name: _leaf(arrays[name], table[name], place) for name, place in places.items()}


def _pack_shapes(table: Mapping[str, Any], packs: set[str]) -> dict[str, np.ndarray]:
    """Arrays on the host of the size and type of each of ``packs``, by name."""
    sizes = dict.fromkeys(packs, 0)
    types: dict[str, Any] = {}
    for entry in table.values():
        if (pack := entry.get("pack")) in packs:
            sizes[pack] = max(sizes[pack], entry["start"] + math.prod(entry["shape"]))
            types[pack] = jnp.dtype(entry["dtype"])
    return {pack: np.empty((sizes[pack],), types[pack]) for pack in packs}


def _stored_shape(entry: Mapping[str, Any], place: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(tuple(entry["shape"]), jnp.dtype(entry["dtype"]), sharding=place)


def _leaf(stored: jax.Array, entry: Mapping[str, Any], place: Any) -> jax.Array:
    return jax.device_put(jax.random.wrap_key_data(stored, impl=entry["key"]), place) if "key" in entry else stored


def _leaf_shape(entry: Mapping[str, Any]) -> Any:
    return jax.eval_shape(lambda stored: _leaf(stored, entry, None), _stored_shape(entry, None))


def _difference(wanted: Mapping[str, Any], saved: Mapping[str, Any]) -> str:
    """What sets two lists of arrays apart, in words; empty when nothing does."""

    def shape(leaf: Any) -> str:
        return f"{leaf.dtype}{list(leaf.shape)}"

    missing, unknown = [n for n in wanted if n not in saved], [n for n in saved if n not in wanted]
    differ = [
        f"{n} is {shape(saved[n])}, not {shape(wanted[n])}"
        for n in wanted
        if n in saved and shape(saved[n]) != shape(wanted[n])
    ]
    parts = [*(f"it lacks {n}" for n in missing), *(f"it has {n} besides" for n in unknown), *differ]
    return "; ".join(parts[:3]) + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")


def _free(path: Path) -> Path:
    """``path``, or a numbered name like it that is free."""
    n, free = 1, path
    while free.exists():
        n, free = n + 1, path.with_name(f"{path.name}-{n + 1}")
    return free
