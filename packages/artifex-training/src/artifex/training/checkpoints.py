"""Checkpoints of the training state, written by orbax in the background."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax

from artifex.core.errors import RunError

__all__ = ["Checkpoints", "latest_step"]


def latest_step(folder: str | Path) -> int | None:
    """Step of the newest complete checkpoint in ``folder``; None when there is none. Reads names alone."""
    # orbax gives a checkpoint its number for a name once everything in it is written
    steps = [int(path.name) for path in Path(folder).glob("*") if path.is_dir() and path.name.isdecimal()]
    return max(steps, default=None)


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
        self._opened: Any = None

    @property
    def _manager(self) -> Any:
        """The manager of orbax, made on first use: it makes the folder too, which is not for reading to do."""
        if self._opened is None:
            import orbax.checkpoint as ocp

            self._opened = ocp.CheckpointManager(
                self.folder,
                options=ocp.CheckpointManagerOptions(max_to_keep=self._keep, create=True, enable_async_checkpointing=True),
                item_handlers={"state": ocp.PyTreeCheckpointHandler(), "extra": ocp.JsonCheckpointHandler()},
            )
        return self._opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._opened is not None:
            try:
                self._opened.wait_until_finished()
            finally:
                self._opened.close()
                self._opened = None

    @property
    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return latest_step(self.folder)

    def save(self, step: int, state: Any, extra: dict[str, Any]) -> None:
        """Write ``state`` (a pytree of arrays) and ``extra`` (plain data). Returns once the arrays are off the devices."""
        import orbax.checkpoint as ocp

        if step != self._manager.latest_step():
            items = ocp.args.Composite(state=ocp.args.PyTreeSave(_by_name(state)), extra=ocp.args.JsonSave(extra))
            if not self._manager.save(step, args=items):
                raise RunError(f"{self.folder} already has a checkpoint later than step {step}; nothing was written")

    def restore(self, like: Any, layout: Any) -> tuple[int, Any, dict[str, Any]]:
        """The newest checkpoint as ``(step, state, extra)``, laid out by ``layout`` whatever mesh it was saved from.

        Raises:
            RunError: there is none, it cannot be read, or its arrays are not those of ``like``.
        """
        step = self._newest()
        wanted = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)
            for (name, leaf), place in zip(_by_name(like).items(), jax.tree.leaves(layout), strict=True)
        }
        saved = self._stored(step)
        if problem := _difference(wanted, saved):
            raise RunError(f"checkpoint {self.folder / str(step)} does not fit this model and optimiser: {problem}")
        arrays, extra = self._read(step, wanted)
        return step, jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in wanted]), extra

    def arrays(self, *prefixes: str) -> tuple[int, dict[str, jax.Array]]:
        """Of the newest checkpoint, its step and the arrays at or below dotted ``prefixes``, on the first device.

        Raises:
            RunError: there is no checkpoint, or it cannot be read.
        """
        step = self._newest()
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        wanted = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)
            for name, leaf in self._stored(step).items()
            if any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
        }
        return step, self._read(step, wanted)[0]

    def _newest(self) -> int:
        step = self.latest_step
        if step is None:
            raise RunError(f"{self.folder} holds no checkpoint to go on from")
        return step

    def _stored(self, step: int) -> dict[str, Any]:
        """Shape and dtype of every array of a checkpoint."""
        try:
            return dict(self._manager.item_metadata(step)["state"].tree)
        except Exception as error:  # orbax, tensorstore and json raise many types
            raise self._unreadable(step, error) from error

    def _read(self, step: int, wanted: dict[str, Any]) -> tuple[dict[str, jax.Array], dict[str, Any]]:
        import orbax.checkpoint as ocp

        places = {name: ocp.ArrayRestoreArgs(sharding=leaf.sharding) for name, leaf in wanted.items()}
        state = ocp.args.PyTreeRestore(wanted, restore_args=places, partial_restore=True)
        try:
            found = self._manager.restore(step, args=ocp.args.Composite(state=state, extra=ocp.args.JsonRestore()))
        except Exception as error:
            raise self._unreadable(step, error) from error
        return found["state"], found["extra"]

    def _unreadable(self, step: int, error: Exception) -> RunError:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        return RunError(
            f"checkpoint {self.folder / str(step)} cannot be read, it may be damaged: {reason}\n"
            "  Delete that folder to go on from the checkpoint before it."
        )


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
