"""From a loader to what the compiled step takes: rows of arrays that the devices hold, or batches sent to them."""

from __future__ import annotations

from typing import Any

from artifex.training.loaders import ArrayLoader, GrainLoader, Loader
from artifex.training.placement import Placement
from artifex.training.processes import is_multiprocess

__all__ = ["Feed"]


class Feed:
    """A loader's batches on the mesh, one :meth:`next` after the other.

    Args:
        loader: where they come from; its position goes on with every batch.
        placement: the mesh. Training data that are in memory and not too large are put on the devices here.
    """

    def __init__(self, loader: Loader, placement: Placement):
        self.loader, self._placement = loader, placement
        self._arrays = placement.stage(loader)

    @property
    def staged(self) -> bool:
        """Whether the devices hold the data, and a batch is told by its rows."""
        return self._arrays is not None

    def next(self) -> tuple[Any, ...]:
        """What the compiled step takes beside the state: ``(arrays, rows)`` or ``(batch,)``."""
        loader = self.loader
        if self._arrays is not None:
            assert isinstance(loader, ArrayLoader)
            return self._arrays, loader.next_rows()
        if is_multiprocess() and isinstance(loader, GrainLoader):
            size = loader.batch_size
            return (self._placement.put_share(loader.next_part(self._placement.share(size)), size),)
        return (self._placement.put(next(loader)),)

    def peek(self) -> tuple[Any, ...]:
        """What :meth:`next` will give again."""
        position = self.loader.state()
        data = self.next()
        self.loader.restore(position)
        return data
