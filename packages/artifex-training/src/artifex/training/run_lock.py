"""One process at a time in a run folder: a lock that the system takes back when the process ends, however it ends."""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artifex.core.errors import RunInUseError

__all__ = ["LOCK_FILE", "hold"]

LOCK_FILE = "run.lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a file system without locks answers."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process. A lock file that a killed process left is no obstacle: the lock went with the process.

    On a file system that knows no locks nothing is held.

    Raises:
        RunInUseError: it is held already; the message says by which process, where and since when.
    """
    path = folder / LOCK_FILE
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while True:
            if not _lock(handle):
                raise RunInUseError(_who(path))
            if _is_at(handle, path):
                break
            os.close(handle)  # whoever held it has just let go, and the file with it
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        holder = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(holder).encode())
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps a file that is open
                path.unlink()  # before the lock is: who gets the lock then sees that the file is gone
    finally:
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _who(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # amid its first words
        who = "another process"
    return f"the run folder {path.parent} is in use by {who}; wait for its end, stop it, or use another folder"


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        os.lseek(handle, 2**20, os.SEEK_SET)  # a byte far behind the text: a locked one cannot be read
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        return True
