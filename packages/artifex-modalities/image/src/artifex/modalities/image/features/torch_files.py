"""Weights that PyTorch has saved, read without PyTorch: both of its file formats, and nothing in them is executed.

``torch.save`` writes a pickle that names storages, and the storages' bytes: as members of a zip archive since version 1.6, one
after the other in one file before. The pickle is read by an unpickler that knows tensors, storages and ordered dicts and
refuses every other name, so that a file from anywhere can only be data.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from artifex.core.errors import DataError

__all__ = ["read_torch_file"]

MAGIC = 0x1950A86A20F9469CFC6C
"""First number of the older format."""
DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _Storage(NamedTuple):
    key: str
    dtype: Any
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


class _Unpickler(pickle.Unpickler):
    """Tensors, storages, ordered dicts; any other name in the file is refused."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) in known:
            return known[module, name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, and only tensors are read")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, size, *_ = pid
        return self.storages.setdefault(str(key), _Storage(str(key), dtype, int(size)))


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict that ``torch.save`` wrote, by name.

    Args:
        path: a ``.pth`` or ``.pt`` file.

    Returns:
        Host arrays with the names of the state dict; what is no tensor (an epoch's number, say) is left out. A dict below
        ``state_dict`` is taken in the place of the whole.

    Raises:
        DataError: it is not there, no such file, or holds something else than tensors (a whole model, a script).
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            found, storages = _from_zip(file) if zipfile.is_zipfile(file) else _from_stream(file)
            found = found.get("state_dict", found)
            return {name: _array(value, storages) for name, value in found.items() if isinstance(value, _Tensor)}
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error.strerror or error}; give the path of the file") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(
            f"{path} is no state dict of PyTorch: {error}; save one with torch.save(model.state_dict(), path), "
            "or as safetensors"
        ) from error


def _from_zip(file: BinaryIO) -> tuple[Mapping[str, Any], dict[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickled = next(name for name in names if name.endswith("data.pkl"))
        root = pickled.removesuffix("data.pkl") + "data/"
        found = _Unpickler(io.BytesIO(archive.read(pickled))).load()
        return found, {name.removeprefix(root): archive.read(name) for name in names if name.startswith(root)}


def _from_stream(file: BinaryIO) -> tuple[Mapping[str, Any], dict[str, bytes]]:
    """Magic number, protocol, machine, object, keys of the storages, then size and bytes of each."""
    file.seek(0)
    if (magic := _Unpickler(file).load()) != MAGIC:
        raise ValueError(f"it begins with {magic!r}")
    _Unpickler(file).load(), _Unpickler(file).load()
    unpickler = _Unpickler(file)
    found = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        (size,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(size * np.dtype(unpickler.storages[key].dtype).itemsize)
    return found, storages


def _array(tensor: _Tensor, storages: Mapping[str, bytes]) -> np.ndarray:
    """A copy of what a tensor shows of its storage."""
    storage = np.frombuffer(storages[tensor.storage.key], np.dtype(tensor.storage.dtype).newbyteorder("<"))
    span = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True)) + 1
    if 0 not in tensor.shape and span > storage.size:
        raise ValueError(f"a storage of {storage.size} elements is too short for a tensor of shape {tensor.shape}")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).astype(tensor.storage.dtype)
