"""Orbax, set up for the checkpoints of a run. Imported at the first save or restore: it takes the better part of a second.

A step holds two things: ``state``, one flat dict of arrays under dotted names, and ``extra``, plain data. Beside them lie
checksums of all files; :mod:`artifex.training.checksums`.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
from etils import epath
from orbax.checkpoint import v1 as ocp

from artifex.training.checksums import write_part, write_whole

__all__ = ["Writer", "as_os_error", "load", "path_of"]

PATIENCE = 600
"""Seconds that the processes of a run wait for each other's files."""


def path_of(url: str) -> Any:
    """A path in cloud storage, with the methods of ``pathlib.Path``."""
    return epath.Path(url)


def load(step: Path, **wanted: Any) -> dict[str, Any]:
    """Of a step, what ``wanted`` names: ``extra=None``, and in ``state`` the shapes and places of some or all arrays."""
    context = _context()
    context.pytree.loading.partial_load = True
    with context:
        return ocp.load_checkpointables(str(step), wanted)


class Writer:
    """Writes steps to a folder, in the background; makes the folder, and removes what a process that died left unfinished.

    Args:
        folder: where the steps lie.
        keep: how many of the newest stay.
        score: of a step's figures, how good they are; the best step stays, too. None: the newest alone.
    """

    def __init__(self, folder: Path, *, keep: int, score: Callable[[Mapping[str, Any]], float] | None):
        policies = ocp.training.preservation_policies
        kept: list[Any] = [policies.LatestN(keep)]
        if score is not None:
            kept.append(policies.BestN(get_metric_fn=score, n=1, keep_checkpoints_without_metrics=False))
        preserved: Any = policies.AnyPreservationPolicy(kept)
        self.failure: BaseException | None = None
        self.unfinished: Path | None = None
        self._handlers: dict[str, str] = {}
        context = _context()
        context.checkpointables.registry = _handlers(self)
        context.asynchronous.post_finalization_callback = lambda: self._sum_up()  # a method would be copied, and its object
        self._checkpointer = ocp.training.Checkpointer(
            str(folder),
            context=context,
            save_decision_policy=_Always(),
            preservation_policy=preserved,
            cleanup_tmp_directories=True,
        )
        # The run asks JAX itself, after each step, whether a signal ends it. Orbax would ask as well, from a thread and for the
        # step of the checkpoint, which to JAX looks as if this process had gone back; the processes could then miss each other.
        self._checkpointer._manager.reached_preemption = lambda step: False  # noqa: ARG005

    def save(self, step: int, state: dict[str, Any], extra: Any, figures: dict[str, Any] | None) -> None:
        """Start to write a step; returns when the arrays are copied off the devices."""
        things = {"state": state, "extra": extra}
        self._handlers = {name: kind for name, kind in _KINDS.items() if name in things or (name == "metrics" and figures)}
        self._checkpointer.save_checkpointables_async(step, things, force=True, metrics=figures)

    @property
    def is_writing(self) -> bool:
        return self.failure is None and self._checkpointer.is_saving_in_progress()

    def wait(self) -> None:
        """Return when nothing is being written any more; raise what went wrong."""
        if self.failure is not None:
            raise self.failure
        self._checkpointer.wait()

    def abandon(self) -> None:
        """After an error: see that this process writes no more. Orbax would raise the error again with the next step."""
        if jax.process_count() == 1:  # others might be waited for in vain
            with suppress(Exception):
                self._checkpointer.wait()

    def close(self) -> None:
        self._checkpointer.close()

    def _sum_up(self) -> None:
        """Called by orbax in the first process, when all is written and before the step gets its name."""
        assert self.unfinished is not None
        write_whole(self.unfinished, self._handlers)


class _Always:
    """Orbax's view of when to save: the run has decided that."""

    def should_save(self, step: Any, previous_steps: Sequence[Any], *, context: Any) -> bool:
        del step, previous_steps, context
        return True


class _ArraysHandler:
    """Orbax's handler of arrays; when it has done, sums up this process's share of the files, and keeps what went wrong.

    Orbax tells of an error when all processes have met, for which they may wait long.
    """

    writer: Writer

    def __init__(self) -> None:
        self._orbax = ocp.handlers.PyTreeHandler()

    async def save(self, directory: Any, checkpointable: Any) -> Awaitable[None]:
        self.writer.unfinished = _plain(directory.path).parent
        return self._finish(directory, await self._orbax.save(directory, checkpointable))

    async def _finish(self, directory: Any, written: Awaitable[None]) -> None:
        try:
            await written
            write_part(_plain(directory.path), jax.process_index(), jax.process_count())
        except BaseException as error:
            self.writer.failure = error
            raise

    def is_handleable(self, checkpointable: Any) -> bool:
        return self._orbax.is_handleable(checkpointable)


_ORBAX = {
    "state": ocp.handlers.PyTreeHandler,
    "extra": ocp.handlers.JsonHandler,
    "metrics": ocp.handlers.global_registry().get("metrics"),
}
_KINDS = {name: f"{handler.__module__}.{handler.__qualname__}" for name, handler in _ORBAX.items()}
"""What is written by what, in the words of orbax's own account of a step."""


def _handlers(writer: Writer) -> Any:
    """What writes what. The handler of arrays goes by the name of orbax's own, so that orbax alone can read what it wrote."""
    module, _, name = _KINDS["state"].rpartition(".")
    arrays = type(name, (_ArraysHandler,), {"writer": writer, "__module__": module, "__qualname__": name})
    registry = ocp.handlers.local_registry(include_global_registry=False)
    for thing, handler in {**_ORBAX, "state": arrays}.items():
        registry.add(handler, checkpointable_name=thing)
    return registry


def _context() -> Any:
    """How orbax works here: without compression, which saves little and costs much."""
    context = ocp.Context()
    context.array.saving.use_compression = False
    context.asynchronous.timeout_secs = PATIENCE
    return context


def _plain(path: Any) -> Any:
    """``path`` as a ``pathlib.Path`` where it is one of this machine."""
    return path if "://" in str(path) else Path(str(path))


def as_os_error(error: BaseException, path: Path) -> BaseException:
    """``error``, or the ``OSError`` that it stands for: the library that writes the arrays tells of them in words alone."""
    if isinstance(error, OSError):
        return error if error.filename or error.errno is None else OSError(error.errno, error.strerror, str(path))
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number is None:
        return error
    files = re.findall(r'(?:local file|Failed writing:) "([^"]+)"', str(error))  # from the folder to the file in it
    return OSError(int(number[1]), os.strerror(int(number[1])), files[-1] if files else str(path))


class _Silence(logging.Filter):
    """Leaves out what orbax logs: it raises its errors as well, and how often to save is not its affair."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "orbax" not in record.pathname


logging.getLogger("absl").addFilter(_Silence())


def _leave_out_late_news(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``sys.unraisablehook`` without one thing: after an error, arrays that are still being written report to nobody.

    They want to tell an event loop that has ended with the first error, which would print a traceback of no use.
    """

    def told(unraisable: Any) -> None:
        if not (isinstance(unraisable.exc_value, RuntimeError) and str(unraisable.exc_value) == "Event loop is closed"):
            hook(unraisable)

    return told


sys.unraisablehook = _leave_out_late_news(sys.unraisablehook)
