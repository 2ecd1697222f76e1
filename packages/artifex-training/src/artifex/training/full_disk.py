"""A full disk, in words that tell what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifex.core.errors import RunError
from artifex.training.checkpoints import CHECKPOINTS, latest_step

__all__ = ["explaining_a_full_disk", "is_full_disk"]

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota of the disk is used up"}


def is_full_disk(error: BaseException | None) -> bool:
    """Whether ``error`` is that no more can be written."""
    return isinstance(error, OSError) and error.errno in FULL


@contextmanager
def explaining_a_full_disk(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into one that names what could not be written, how much is free, and a way on.

    Raises:
        RunError: the disk was full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        step = latest_step(folder / CHECKPOINTS)
        raise RunError(
            f"{FULL[error.errno]}: {error.filename or f'a file in {folder}'} could not be written "
            f"({_free_bytes(folder)} free in {folder})\n  Free some space"
            + ("." if step is None else f", then resume from the checkpoint of step {step}, which is whole.")
        ) from error


def _free_bytes(folder: Path) -> str:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return "an unknown amount"
    unit, size = next((u, s) for u, s in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1)) if free >= s or s == 1)
    return f"{free / size:.3g} {unit}"
