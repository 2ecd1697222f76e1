"""Checksums of a checkpoint's files: written with it, checked before it is trusted.

Orbax takes whatever bytes it finds for the arrays: a bit that turned over on the disk would go unnoticed. Each process sums up
its share of the array files into a part, ``state/checksums-<i>-of-<n>.json``; ``checksums.json``, which comes last and carries
a checksum of itself, covers the parts and all the rest.
"""

from __future__ import annotations

import errno
import json
import zlib
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["COMMITTED", "CorruptCheckpoint", "check_share", "write_part", "write_whole"]

WHOLE = "checksums.json"
PART = "checksums-{}-of-{}.json"
STEP_METADATA = "_CHECKPOINT_METADATA"
"""Orbax's account of a step, which it still writes when the checksums are there already. What reading rests on is checked: by
what kind of handler each thing was written."""
COMMITTED = "commit_success.txt"
"""What orbax writes last of all, to say that a step is complete."""
CHUNK = 2**24

Entry = tuple[int, int]
"""Size and CRC-32 of a file."""


class CorruptCheckpoint(Exception):
    """A file is missing, cut off, or not what was written; the message says which and how."""


def write_part(folder: Path, process: int, processes: int) -> None:
    """Sum up ``process``'s share of the files below ``folder``, once nobody writes them any more."""
    sizes = {_name(path, folder): _size(path) for path in _files(folder) if not path.name.startswith("checksums-")}
    _write(folder / PART.format(process, processes), {name: _sum(folder / name) for name in _share(sizes, process, processes)})


def write_whole(step: Path, handlers: Mapping[str, str]) -> None:
    """Sum up all files of ``step`` that no part covers, the parts among them; ``handlers``: by what each thing was written."""
    names = [_name(path, step) for path in _files(step)]
    covered = {STEP_METADATA, *(name for part in _parts(names) for name in _read_part(step, part))}
    _write(step / WHOLE, {name: _sum(step / name) for name in names if name not in covered}, handlers)


def check_share(step: Path, process: int, processes: int) -> None:
    """Check ``process``'s share of the files of a checkpoint, whichever process wrote them.

    Raises:
        CorruptCheckpoint: one of them is missing, or is not what was written.
        OSError: one may not be read, which says nothing about what is in it.
    """
    listed, handlers = _read(step / WHOLE)
    _check_metadata(step / STEP_METADATA, handlers)
    for name in listed:
        _check(step, name, listed[name])
    for part in _parts(listed):
        listed |= _read_part(step, part)
    sizes = {name: size for name, (size, _) in listed.items()}
    for name in _share(sizes, process, processes):
        _check(step, name, listed[name])
    with _explaining(COMMITTED):
        (step / COMMITTED).stat()


def _files(folder: Path) -> list[Path]:
    """All files below ``folder``; paths of cloud storage have no ``rglob``."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        found += _files(path) if path.is_dir() else [path]
    return found


def _size(path: Path) -> int:
    found: Any = path.stat()
    return found.st_size if hasattr(found, "st_size") else found.length  # as paths of cloud storage call it


def _name(path: Path, step: Path) -> str:
    return path.relative_to(step).as_posix()


def _parts(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.rpartition("/")[2].startswith("checksums-")]


def _share(sizes: Mapping[str, int], process: int, processes: int) -> list[str]:
    """Names of ``process``'s share: shares are of like size, and each process finds the same ones."""
    loads, shares = [0] * processes, [[] for _ in range(processes)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        least = loads.index(min(loads))
        loads[least] += sizes[name]
        shares[least].append(name)
    return shares[process]


def _sum(path: Path) -> Entry:
    """Size and checksum of a file."""
    size = found = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            size, found = size + len(chunk), zlib.crc32(chunk, found)
    return size, found


def _check(step: Path, name: str, expected: Entry) -> None:
    with _explaining(name):
        size, found = _sum(step / name)
    if size < expected[0]:
        raise CorruptCheckpoint(f"{name} is cut off")
    if (size, found) != expected:
        raise CorruptCheckpoint(f"{name} is changed: its checksum is wrong")


def _check_metadata(path: Path, handlers: Mapping[str, str]) -> None:
    with _explaining(path.name):
        metadata = json.loads(path.read_bytes())
        moments = [moment for key, moment in metadata.items() if key.endswith("_nsecs")]
        if metadata["item_handlers"] != handlers or not all(isinstance(moment, int) for moment in moments):
            raise CorruptCheckpoint(f"{path.name} is changed: it does not tell what was written")


def _write(path: Path, entries: Mapping[str, Entry], handlers: Mapping[str, str] | None = None) -> None:
    told = [entries, handlers or {}]
    path.write_text(json.dumps({"crc32": _own_sum(told), "told": told}))


def _read(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """What :func:`_write` wrote, no bit of it changed."""
    with _explaining(path.name):
        table = json.loads(path.read_bytes())
        entries, handlers = table["told"]
        if table["crc32"] != _own_sum(table["told"]):
            raise CorruptCheckpoint(f"{path.name} is changed: its checksum is wrong")
        return {name: (size, found) for name, (size, found) in entries.items()}, handlers


def _read_part(step: Path, part: str) -> dict[str, Entry]:
    folder = part.rpartition("/")[0]
    return {f"{folder}/{name}": entry for name, entry in _read(step / part)[0].items()}


def _own_sum(told: Any) -> int:
    return zlib.crc32(json.dumps(told, sort_keys=True).encode())


@contextmanager
def _explaining(name: str) -> Any:
    """Tell damage from a file that may not be read, which may be as good as ever."""
    try:
        yield
    except FileNotFoundError:
        raise CorruptCheckpoint(f"{name} is missing") from None
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise CorruptCheckpoint(f"{name} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # what text in pieces gives
        raise CorruptCheckpoint(f"{name} is cut off or changed: it cannot be read") from error
