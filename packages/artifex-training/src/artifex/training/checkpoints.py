"""Checkpoints of the training state, written by orbax in the background."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax

from artifex.core.errors import RunError

__all__ = ["Checkpoints"]


class Checkpoints:
    """A folder of checkpoints, one sub-folder a step. Use as a context manager: leaving it waits for what is being written.

    Args:
        folder: where they lie; made if need be.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: str | Path, *, keep: int = 2):
        import orbax.checkpoint as ocp

        self.folder = Path(folder).absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, enable_async_checkpointing=True)
        self._ocp, self._manager = ocp, ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    @property
    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, extra: dict[str, Any]) -> None:
        """Write ``state`` (a pytree of arrays) and ``extra`` (plain data). Returns once the arrays are copied off the devices."""
        if step == self._manager.latest_step():
            return
        args = self._ocp.args
        self._manager.save(step, args=args.Composite(state=args.StandardSave(_by_name(state)), extra=args.JsonSave(extra)))

    def restore(self, like: Any, layout: Any) -> tuple[int, Any, dict[str, Any]]:
        """The newest checkpoint as ``(step, state, extra)``, its arrays laid out by ``layout``, whatever mesh they were saved from.

        Raises:
            RunError: there is none, or its arrays are not those of ``like``.
        """
        step = self._manager.latest_step()
        if step is None:
            raise RunError(f"{self.folder} holds no checkpoint to resume from")
        named = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)
            for (name, leaf), place in zip(_by_name(like).items(), jax.tree.leaves(layout), strict=True)
        }
        args = self._ocp.args
        try:
            saved = self._manager.restore(step, args=args.Composite(state=args.StandardRestore(named), extra=args.JsonRestore()))
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise RunError(f"checkpoint {self.folder / str(step)} does not fit this model and optimiser: {str(error).splitlines()[0]}") from error
        leaves = [saved["state"][name] for name in named]
        return step, jax.tree.unflatten(jax.tree.structure(like), leaves), saved["extra"]


def _by_name(tree: Any) -> dict[str, Any]:
    """The leaves of ``tree`` under dotted names, in its own order."""
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
