"""Where the weights of a network come from: a file that the user has, or a package that is installed. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load

from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.image.features.torch_files import read_torch_file

__all__ = ["Weights", "filled", "installed_file", "read_weights"]

M = TypeVar("M", bound=nnx.Module)


@dataclass(frozen=True, eq=False)
class Weights:
    """Arrays by their names in the file, and what tells the file from every other."""

    arrays: Mapping[str, np.ndarray] = field(repr=False)
    file: str
    """Name of the file, without folders."""
    sha256: str
    """Of the whole file, hexadecimal."""

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The array ``name``, float32, once it is known to have ``shape``.

        Raises:
            DataError: it is not there, or has another shape.
        """
        if name not in self.arrays:
            raise DataError(f"the weights {self.file} have no array {name!r}: they are those of another network")
        array = np.asarray(self.arrays[name])
        if array.shape != shape:
            raise DataError(
                f"{name!r} of the weights {self.file} has the shape {array.shape}, not {shape}: they are those of another "
                "network"
            )
        return array.astype(np.float32)

    def __str__(self) -> str:
        return f"{self.file} (sha256 {self.sha256[:8]})"


def read_weights(path: str | Path) -> Weights:
    """A ``.safetensors`` file, or a state dict in one of PyTorch's own two formats (``.pth``, ``.pt``).

    Raises:
        DataError: it cannot be read; the message says why.
    """
    path = Path(path).expanduser()
    try:
        modified = path.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"there are no weights {path}: {error.strerror or error}; give the path of the file") from error
    return _read(path, modified)


@lru_cache(maxsize=4)
def _read(path: Path, modified: int) -> Weights:
    del modified  # a file that was written anew is read anew
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if path.suffix != ".safetensors":
        return Weights(read_torch_file(path), path.name, digest)
    try:
        return Weights(load(path.read_bytes()), path.name, digest)
    except SafetensorError as error:
        raise DataError(f"{path} is no safetensors file: {error}") from error


def installed_file(package: str, file: str, install: str) -> Path:
    """A file of an installed package, which is not imported (it may want PyTorch).

    Args:
        package: what it imports as.
        file: path inside it.
        install: how to install it, for the message.

    Raises:
        InvalidInputError: the package is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (path := Path(folder, file)).is_file():
            return path
    raise InvalidInputError(f"the weights {file} come with the package {package}, which is not installed: {install}")


def filled(build: Callable[[], M], weights: Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, np.ndarray]]) -> M:
    """What ``build`` makes, traced and never initialised, with given parameters.

    Args:
        build: constructor of a network that keeps nothing but parameters.
        weights: from the shape of each parameter under its dotted name to its values.
    """
    structure, state = nnx.split(nnx.eval_shape(build))
    leaves = {path: variable.get_value() for path, variable in nnx.to_flat_state(state)}
    names = {path: ".".join(map(str, path)) for path in leaves}
    values = weights({names[path]: leaf.shape for path, leaf in leaves.items()})
    arrays = {path: jax.device_put(np.asarray(values[names[path]], leaf.dtype)) for path, leaf in leaves.items()}
    return nnx.merge(structure, nnx.from_flat_state(arrays))
