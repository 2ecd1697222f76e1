"""A training state on disk: one safetensors file a process, with what it takes to find out that a file was damaged.

A file holds arrays, or the pieces of them that its process owned, under their dotted names; the key of a piece says where in
the array it belongs, ``decoder.kernel@0:64,128:256``. The header's metadata carries plain data and a checksum of all else: a
file that was cut off, or in which one bit turned over, is not taken for a good one. Any reader of safetensors can open it.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import safe_open

from artifex.core.errors import InvalidTypeError
from artifex.core.storage import naming_file

__all__ = ["CorruptCheckpoint", "StoredState", "file_name", "own_pieces", "read_state", "write_file"]

FORMAT = "1"
DTYPES = {
    "bool": "BOOL", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64",
    "complex64": "C64",
}  # fmt: skip
"""Names of the dtypes in the file format."""
CHUNK = 2**24

Index = tuple[slice, ...]


class CorruptCheckpoint(Exception):
    """A file is missing, cut off, or not what was written; the message says which and how."""


def file_name(process: int, processes: int) -> str:
    """The file of one process of several."""
    return f"state-{process}-of-{processes}.safetensors"


def own_pieces(arrays: Mapping[str, jax.Array], process: int) -> dict[str, np.ndarray]:
    """Copies in host memory of what ``process`` has to write of ``arrays``: each element is written by one process.

    Returns when the copies are made; the arrays may then be given away.
    """
    for array in arrays.values():
        array.copy_to_host_async()
    pieces: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.is_fully_addressable or array.is_fully_replicated:
            if process == 0 or not array.is_fully_replicated:
                pieces[name] = np.array(array)
        else:
            shards = [shard for shard in array.addressable_shards if shard.replica_id == 0]
            pieces |= {_piece_name(name, shard.index, array.shape): np.array(shard.data) for shard in shards}
    return pieces


def write_file(path: Path, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
    """Write ``arrays`` and plain data to ``path``, down to the disk.

    Raises:
        OSError: it cannot be written; the error names ``path``.
        InvalidTypeError: an array is of a type that the format lacks (4-bit integers, say).
    """
    table, start = {}, 0
    for name, array in arrays.items():
        where = [start, start := start + array.nbytes]
        if array.dtype.name not in DTYPES:
            raise InvalidTypeError(f"{name} is {array.dtype.name}; a checkpoint holds {', '.join(DTYPES)}")
        table[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": where}
    metadata = {"artifex_format": FORMAT, "extra": json.dumps(extra)}
    raw: list[Any] = [array.reshape(-1).view(np.uint8) for array in arrays.values()]
    header = json.dumps({"__metadata__": metadata | {"crc32": str(_checksum(table, metadata, raw))}, **table}).encode()
    header += b" " * (-len(header) % 8)
    with naming_file(path), path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for data in raw:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class StoredState:
    """The files of a state, all of them whole."""

    shapes: dict[str, jax.ShapeDtypeStruct]
    """Shape and dtype of every array."""
    extra: dict[str, Any]
    """The plain data."""
    pieces: dict[str, list[tuple[Index, Any, str]]]
    """Of every array, which parts of it lie in which (open) file under which key."""

    def array(self, name: str, sharding: Any) -> jax.Array:
        """An array, laid out by ``sharding``; only what this process needs of it is read."""
        leaf = self.shapes[name]

        def region(index: Index | None) -> np.ndarray:
            return self._region(name, index or ())

        return jax.make_array_from_callback(leaf.shape, sharding, region, dtype=leaf.dtype)

    def _region(self, name: str, index: Index) -> np.ndarray:
        wanted = [range(*part.indices(size)) for part, size in zip(index, self.shapes[name].shape, strict=True)]
        region = np.empty([len(part) for part in wanted], self.shapes[name].dtype)
        for piece, file, key in self.pieces[name]:
            common = [range(max(w.start, p.start), min(w.stop, p.stop)) for w, p in zip(wanted, piece, strict=True)]
            if all(common) or not common:
                stored = file.get_slice(key) if common else file.get_tensor(key)
                region[_inside(common, wanted)] = stored[_inside(common, piece)]
        return region


def _inside(parts: Iterable[range], whole: Iterable[range | slice]) -> Index:
    """``parts`` counted from the start of ``whole``."""
    return tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(parts, whole, strict=True))


def read_state(folder: Path) -> StoredState:
    """What the files in ``folder`` hold, after every byte of them was checked.

    Raises:
        CorruptCheckpoint: one of them is missing, or is not what was written.
    """
    counts = [path.stem.rpartition("-")[2] for path in folder.glob("state-*-of-*.safetensors")]
    if not counts or not counts[0].isdecimal():
        raise CorruptCheckpoint("it has no state-*.safetensors")
    processes = int(counts[0])
    extra: dict[str, Any] = {}
    shapes: dict[str, jax.ShapeDtypeStruct] = {}
    pieces: dict[str, list[tuple[Index, Any, str]]] = {}
    for process in range(processes):
        path = folder / file_name(process, processes)
        table, plain, file = _read_checked(path)
        extra |= plain
        for key, entry in table.items():
            name, index = _piece_index(key, entry["shape"])
            stops = [part.stop for part in index]
            if name in shapes:
                stops = [max(pair) for pair in zip(stops, shapes[name].shape, strict=True)]
            shapes[name] = jax.ShapeDtypeStruct(tuple(stops), _dtype(entry["dtype"]))
            pieces.setdefault(name, []).append((index, file, key))
    return StoredState(shapes, extra, pieces)


def _read_checked(path: Path) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """The table of arrays and the plain data of a file whose checksum is right, and the file, open."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise CorruptCheckpoint(f"{path.name} is cut off")
            table = json.loads(file.read(length))
            metadata = table.pop("__metadata__")
            expected = metadata.pop("crc32")
            found = _checksum(table, metadata, iter(lambda: file.read(CHUNK), b""))
            if str(found) != expected:
                raise CorruptCheckpoint(f"{path.name} is cut off or changed: its checksum is wrong")
            return table, json.loads(metadata["extra"]), safe_open(path, framework="np")
    except FileNotFoundError:
        raise CorruptCheckpoint(f"{path.name} is missing") from None
    except OSError as error:
        if error.errno != errno.EIO:
            raise  # no permission, say: the file may be as good as ever
        raise CorruptCheckpoint(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # what a header in pieces gives
        raise CorruptCheckpoint(f"{path.name} is cut off or changed: its header cannot be read") from error


def _checksum(table: Mapping[str, Any], metadata: Mapping[str, str], chunks: Iterable[Any]) -> int:
    found = zlib.crc32(json.dumps([table, metadata], sort_keys=True).encode())
    for chunk in chunks:
        found = zlib.crc32(chunk, found)
    return found


def _dtype(code: str) -> np.dtype:
    return jax.numpy.dtype(next(name for name, known in DTYPES.items() if known == code))


def _piece_name(name: str, index: Index, shape: tuple[int, ...]) -> str:
    bounds = (part.indices(size) for part, size in zip(index, shape, strict=True))
    return f"{name}@{','.join(f'{start}:{stop}' for start, stop, _ in bounds)}"


def _piece_index(key: str, shape: list[int]) -> tuple[str, Index]:
    """An array's name, and the place in it, of what lies under ``key``."""
    name, at, bounds = key.partition("@")
    if not at:
        return name, tuple(slice(0, size) for size in shape)
    return name, tuple(slice(*map(int, part.split(":"))) for part in bounds.split(","))
