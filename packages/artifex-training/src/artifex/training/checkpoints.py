"""Checkpoints of the training state, written in the background, checked before they are trusted."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np

from artifex.core.errors import NonFiniteLossError, RunError, RunWarning
from artifex.training.state_file import CorruptCheckpoint, StoredState, file_name, own_pieces, read_state, write_file

__all__ = ["CHECKPOINTS", "Checkpoints", "latest_step", "naming_last_good"]

CHECKPOINTS = "checkpoints"
"""Sub-folder of a run in which they lie."""

UNFINISHED = ".tmp"
"""Ending of folders that are being written or deleted; one that is found later was left by a process that died."""
PATIENCE = 600.0
"""Seconds that the processes of a run wait for each other's files."""


def latest_step(folder: str | Path) -> int | None:
    """Step of the newest complete checkpoint in ``folder``; None when there is none. Reads names alone."""
    return max(_steps(Path(folder)), default=None)


@contextmanager
def naming_last_good(folder: Path | None) -> Iterator[None]:
    """Let the error of numbers gone bad say where to go back to: no checkpoint is written once they have."""
    try:
        yield
    except NonFiniteLossError as error:
        step = None if folder is None else latest_step(folder)
        last = "there is no checkpoint from before" if step is None else f"the last good checkpoint is {folder}/{step}"
        raise NonFiniteLossError(f"{error}\n  {last}") from error


def _steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in ``folder``; one gets its number for a name once everything in it is written."""
    return sorted(int(path.name) for path in folder.glob("*") if path.is_dir() and path.name.isdecimal())


class Checkpoints:
    """A folder of checkpoints, one sub-folder a step. Use as a context manager: leaving it waits for what is being written.

    Args:
        folder: where they lie; made by the first :meth:`save`.
        keep: how many of the newest stay.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> folder = tempfile.mkdtemp()
        >>> with Checkpoints(folder) as checkpoints:
        ...     checkpoints.save(10, {"w": jnp.arange(3.0)}, {"seed": 0})
        >>> with Checkpoints(folder) as checkpoints:
        ...     step, arrays = checkpoints.arrays("w")
        >>> step, arrays["w"].tolist()
        (10, [0.0, 1.0, 2.0])
    """

    def __init__(self, folder: str | Path, *, keep: int = 2):
        self.folder, self._keep = Path(folder).absolute(), keep
        self._thread: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._damaged: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()
                self._thread = None

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
        if self._thread is None:
            self._prepare()
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        pieces = own_pieces(_by_name(state), jax.process_index())
        self._writing = self._thread.submit(self._write, step, pieces, extra)

    def wait(self) -> None:
        """Return when nothing is being written any more.

        Raises:
            OSError: the last checkpoint could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    @property
    def is_writing(self) -> bool:
        """Whether the last :meth:`save` is still under way."""
        return self._writing is not None and not self._writing.done()

    def check(self) -> None:
        """Raise what went wrong with the last :meth:`save`, if it is over and something did; does not wait."""
        if not self.is_writing:
            self.wait()

    def _prepare(self) -> None:
        """Make the folder, and remove what a process that died has left unfinished in it."""
        if jax.process_index() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob(f"*{UNFINISHED}"):
                shutil.rmtree(path)
        if jax.process_count() > 1:
            from jax.experimental.multihost_utils import sync_global_devices

            sync_global_devices("checkpoints: the folder is ready")

    def _write(self, step: int, pieces: Mapping[str, np.ndarray], extra: dict[str, Any]) -> None:
        """Write this process's file; process 0 gives the folder its name when all files are there."""
        process, processes = jax.process_index(), jax.process_count()
        unfinished, finished = self.folder / f"{step}{UNFINISHED}", self.folder / str(step)
        try:
            unfinished.mkdir(exist_ok=True)
            path = unfinished / file_name(process, processes)
            part = path.with_suffix(".part")
            write_file(part, pieces, extra if process == 0 else {})
            part.rename(path)
            if process == 0:
                _wait_for(*(unfinished / file_name(other, processes) for other in range(processes)))
                _sync(unfinished)
                unfinished.rename(finished)
                _sync(self.folder)
                for old in _steps(self.folder)[: -self._keep]:
                    _remove(self.folder / str(old))
            else:
                _wait_for(finished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)  # it may be what fills the disk
            raise

    def restore(self, like: Any, layout: Any) -> tuple[int, Any, dict[str, Any]]:
        """The newest whole checkpoint as ``(step, state, extra)``, laid out by ``layout`` whatever mesh it was saved from.

        Damaged ones are passed over, with a warning; :meth:`set_damaged_aside` takes them out of the way.

        Raises:
            RunError: there is none, none is whole, or its arrays are not those of ``like``.
        """
        step, stored = self._newest()
        wanted, places = _by_name(like), jax.tree.leaves(layout)
        if problem := _difference(wanted, stored.shapes):
            raise RunError(f"checkpoint {self.folder / str(step)} does not fit this model and optimiser: {problem}")
        leaves = [stored.array(name, place) for name, place in zip(wanted, places, strict=True)]
        return step, jax.tree.unflatten(jax.tree.structure(like), leaves), stored.extra

    def arrays(self, *prefixes: str) -> tuple[int, dict[str, jax.Array]]:
        """Of the newest whole checkpoint, its step and the arrays at or below dotted ``prefixes``, on the first device.

        Raises:
            RunError: there is no checkpoint, or none that is whole.
        """
        step, stored = self._newest()
        place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        return step, {
            name: stored.array(name, place)
            for name in stored.shapes
            if any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
        }

    def set_damaged_aside(self) -> None:
        """Rename the damaged checkpoints that were met, so that a run that goes on can write these steps again."""
        if jax.process_index() == 0:
            for step in self._damaged:
                path = self.folder / str(step)
                path.rename(_free(path.with_name(f"{step}.damaged")))
        self._damaged = []

    def _newest(self) -> tuple[int, StoredState]:
        """The newest checkpoint that is whole."""
        found: dict[int, str] = {}
        for step in reversed(_steps(self.folder)):
            try:
                stored = read_state(self.folder / str(step))
            except CorruptCheckpoint as damage:
                if not (self.folder / str(step)).is_dir():
                    return self._newest()  # a run that goes on has deleted it, because it has newer ones
                found[step] = str(damage)
                continue
            for bad, reason in found.items():
                warnings.warn(
                    f"checkpoint {self.folder / str(bad)} is damaged ({reason}); the one of step {step} is used instead",
                    RunWarning,
                    stacklevel=3,
                )
            self._damaged = list(found)
            return step, stored
        if not found:
            raise RunError(f"{self.folder} holds no checkpoint to go on from")
        reasons = "; ".join(f"{step}: {reason}" for step, reason in found.items())
        raise RunError(f"{self.folder} holds no whole checkpoint to go on from, all are damaged ({reasons}); start a new run")


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


def _by_name(tree: Any) -> dict[str, Any]:
    """The leaves of ``tree`` under dotted names, in its own order."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _wait_for(*paths: Path) -> None:
    """Return when all ``paths`` are there."""
    deadline = time.monotonic() + PATIENCE
    while missing := [path for path in paths if not path.exists()]:
        if time.monotonic() > deadline:
            raise RunError(f"{missing[0]} was not written by the process it belongs to within {PATIENCE:.0f} s")
        time.sleep(0.05)


def _sync(folder: Path) -> None:
    """Have the names in ``folder`` on the disk, where the system can do that for a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(folder: Path) -> None:
    """Delete a checkpoint so that what is left of it, should the process die meanwhile, is taken for none."""
    doomed = folder.rename(folder.with_name(folder.name + UNFINISHED))
    shutil.rmtree(doomed)


def _free(path: Path) -> Path:
    """``path``, or a numbered name like it that is free."""
    n, free = 1, path
    while free.exists():
        n, free = n + 1, path.with_name(f"{path.name}-{n + 1}")
    return free
