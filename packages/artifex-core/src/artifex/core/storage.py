"""A model on disk: a folder with ``config.yaml`` and ``weights.safetensors``.

``config.yaml`` is the model's config with its ``kind``. The weights are one flat dict of arrays under string keys
(``decoder.head.kernel``); their file's metadata carries the format's and the libraries' versions. Random streams are not saved.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
from flax import nnx
from jax.core import Tracer
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from artifex.core import plugins
from artifex.core.config import Config, explain
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError, RunError, UnknownNameError
from artifex.core.factory import model_class
from artifex.core.yamlio import dump_yaml, load_yaml

__all__ = [
    "flat_weights",
    "load_model",
    "naming_file",
    "read_folder",
    "read_weights",
    "save_model",
    "set_weights",
    "write_atomically",
    "write_weights",
]

FORMAT = "1"
CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "weights.safetensors"


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either its old content or all of the new one.

    Raises:
        OSError: it cannot be written; the error names ``path``.
    """
    with naming_file(path):  # not the temporary file, unknown to whoever asked
        _write_and_replace(path, data)


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Have every ``OSError`` name ``path``. Of itself that of opening a file names one, that of writing to it does not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _write_and_replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def flat_weights(model: nnx.Module) -> dict[str, jax.Array]:
    """Every array of ``model`` but its random streams, under dotted string keys."""
    leaves = list(nnx.to_flat_state(nnx.as_pure(_saved_state(model))))
    flat = {_key(path): leaf for path, leaf in leaves}
    if len(flat) < len(leaves):
        raise InvalidInputError(
            f"two arrays of {type(model).__name__} have one dotted name; leave dots out of the keys of its dicts"
        )
    return flat


def _saved_state(model: nnx.Module) -> Any:
    return nnx.state(model, nnx.Not(nnx.RngState))


def set_weights(model: nnx.Module, weights: Mapping[str, Any]) -> None:
    """Put ``weights`` (as :func:`flat_weights` gives them) into ``model``.

    Raises:
        RunError: a key is missing or unknown, or a shape differs; the message names the first few.
    """
    shapes = {key: np.shape(leaf) for key, leaf in flat_weights(model).items()}
    missing, unknown = sorted(shapes.keys() - weights.keys()), sorted(weights.keys() - shapes.keys())
    wrong = [
        f"{key} has shape {np.shape(weights[key])} instead of {shape}"
        for key, shape in shapes.items()
        if key in weights and np.shape(weights[key]) != shape
    ]
    if missing or unknown or wrong:
        parts = [_few("missing", missing), _few("unknown to the model", unknown), "; ".join(wrong[:3])]
        raise RunError(f"the weights do not fit {type(model).__name__}: {'; '.join(p for p in parts if p)}")
    leaves = nnx.to_flat_state(nnx.as_pure(_saved_state(model)))
    nnx.update(model, nnx.from_flat_state({path: _like(leaf, weights[_key(path)]) for path, leaf in leaves}))


def _few(what: str, keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{what}: {', '.join(keys[:3])}{more}" if keys else ""


def _like(old: Any, new: Any) -> Any:
    """``new`` with the type, and the placement if it was chosen, of ``old``."""
    if isinstance(old, bool | int | float):
        return type(old)(np.asarray(new).item())
    if isinstance(old, np.ndarray | np.generic):
        return np.asarray(new).astype(old.dtype)
    array = np.asarray(new).astype(jax.numpy.result_type(old))
    if isinstance(old, Tracer):  # weights that a model reads while it is compiled
        return jax.numpy.asarray(array)
    # device_put, not jnp.asarray, which compiles a copy for every shape
    return jax.device_put(array, old.sharding if isinstance(old, jax.Array) and old.committed else None)


def save_model(model: Any, folder: str | Path) -> Path:
    """Write ``model`` (which keeps its config as ``model.config``) to ``folder``, made if need be. Returns the folder.

    Raises:
        InvalidTypeError: ``model`` has no config, or arrays of a type that the file format lacks (4-bit integers, say).
        UnknownNameError: no installed plugin registers a model for this type of config.
        OSError: the folder cannot be made or written.
    """
    config = getattr(model, "config", None)
    if not isinstance(config, Config):
        raise InvalidTypeError(
            f"save_model takes a model that keeps its config as model.config; {type(model).__name__} does not"
        )
    kind = plugins.registry().kind_of("model", type(config))
    weights = _serialized(model, kind)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_atomically(folder / CONFIG_FILE, dump_yaml({"kind": kind, **config.to_dict()}).encode())
    return folder


def _serialized(model: nnx.Module, kind: str) -> bytes:
    arrays = {key: np.asarray(value, order="C") for key, value in flat_weights(model).items()}
    metadata = {"format": "artifex", "artifex_format": FORMAT, "kind": kind, "jax": jax.__version__, "flax": flax.__version__}
    try:
        return save(arrays, metadata=metadata)
    except (KeyError, ValueError, SafetensorError) as error:
        types = ", ".join(sorted({str(array.dtype) for array in arrays.values()}))
        raise InvalidTypeError(
            f"the weights of {type(model).__name__} ({types}) cannot be saved: {error}; convert them first"
        ) from error


def load_model(folder: str | Path, *, rngs: nnx.Rngs | None = None) -> Any:
    """Build the model saved in ``folder``, with its weights.

    Args:
        folder: what :func:`save_model` wrote.
        rngs: what the model forks its random streams from; by default fresh ones seeded from the operating system.

    Raises:
        RunError: a file is missing or unreadable, or the weights do not fit the config.
        UnknownNameError: no installed plugin registers this kind of model.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise RunError(
                f"{folder} holds no saved model: {name} is missing; a model's folder has {CONFIG_FILE} and {WEIGHTS_FILE}"
            )
    config, kind = _read_config(folder / CONFIG_FILE)
    weights = _read_weights(folder / WEIGHTS_FILE, kind)
    build = model_class(config)
    model = _filled(build, config, rngs, weights)
    if model is not None:
        return model
    model = build(config, rngs=_fresh_streams() if rngs is None else rngs)
    try:
        set_weights(model, weights)
    except RunError as error:
        raise RunError(f"{folder}: {error}") from error
    return model


def _fresh_streams() -> nnx.Rngs:
    return nnx.Rngs(int.from_bytes(os.urandom(4), "little"))


def _filled(build: Any, config: Config, rngs: nnx.Rngs | None, weights: Mapping[str, np.ndarray]) -> Any:
    """The model, without the seconds that making weights takes only to replace them; None where that cannot be exact.

    The constructor is traced, not run: the shapes come from the trace, the values from ``weights``, and only the random
    streams that the model keeps are computed, as it would have forked them. What a trace does not tell exactly (plain arrays
    and Python numbers among the variables, streams shared with the caller), and all that does not fit, is left to
    :func:`load_model`, which then builds eagerly.
    """
    streams = _fresh_streams() if rngs is None else rngs
    graph, before = nnx.split(streams)

    def construct(state: Any) -> tuple[Any, nnx.Rngs]:
        inside = nnx.merge(graph, state)
        return build(config, rngs=inside), inside

    @jax.jit
    def random_state(state: Any) -> tuple[Any, Any]:
        model, inside = construct(state)
        return nnx.as_pure(nnx.state(model, nnx.RngState)), nnx.as_pure(nnx.state(inside))

    try:
        abstract, inside = nnx.eval_shape(construct, nnx.as_pure(before))
        if not _fits_exactly(abstract, weights) or (rngs is not None and _share_variables(abstract, inside)):
            return None
        drawn, after = random_state(nnx.as_pure(before))
    except jax.errors.JAXTypeError:  # a constructor that looks at its arrays' values
        return None
    nnx.update(streams, after)  # the caller's streams have moved on as if the model had been built
    structure, state = nnx.split(abstract)
    leaves = {path: variable.get_value() for path, variable in nnx.to_flat_state(state)}
    random = dict(nnx.to_flat_state(drawn))
    values = {
        path: random[path] if path in random else jax.device_put(weights[_key(path)].astype(leaf.dtype))
        for path, leaf in leaves.items()
    }
    return nnx.merge(structure, nnx.from_flat_state(values))


def _fits_exactly(abstract: Any, weights: Mapping[str, np.ndarray]) -> bool:
    """Whether the traced model's variables are the saved arrays, all of them arrays and none a Python number."""
    variables = [(path, leaf) for path, leaf in nnx.to_flat_state(_saved_state(abstract))]
    if not all(isinstance(leaf, nnx.Variable) for _, leaf in variables):
        return False
    leaves = {_key(path): leaf.get_value() for path, leaf in variables}
    return leaves.keys() == weights.keys() and all(
        isinstance(leaf, jax.ShapeDtypeStruct) and not leaf.weak_type and leaf.shape == weights[key].shape
        for key, leaf in leaves.items()
    )


def _share_variables(*modules: Any) -> bool:
    return len(nnx.to_flat_state(nnx.state(modules))) < sum(len(nnx.to_flat_state(nnx.state(module))) for module in modules)


def _key(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def _read_config(path: Path) -> tuple[Config, str]:
    """The config in ``path``, and the kind of model that it describes."""
    try:
        fields = load_yaml(path.read_text(encoding="utf-8"), source=str(path))
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(fields, dict) or not isinstance(kind := fields.pop("kind", None), str):
        raise RunError(f"{path} names no 'kind' of model; save_model writes one")
    try:
        return plugins.registry().config_class("model", kind).from_dict(fields), kind
    except UnknownNameError as error:
        if ("model", kind) in plugins.index.DISTRIBUTION_OF:
            raise
        hint = "one that was registered with register_model has to be registered in this process first"
        raise UnknownNameError(f"{path}: {error}; {hint}") from error
    except ValidationError as error:
        raise RunError(explain(error, source=str(path))) from error


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a model's folder, or of any one safetensors file, under their names; no model is built.

    Raises:
        RunError: there is no such file, or it cannot be read.
    """
    path = Path(path)
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise RunError(f"{path} holds no weights: there is no file {file}")
    try:
        with safe_open(file, framework="np") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise RunError(f"{file} cannot be read: {error}; it may be truncated") from error


def read_folder(folder: str | Path, name: str = "model") -> dict[str, np.ndarray]:
    """The arrays of a folder of Hugging Face's libraries: of ``NAME.safetensors``, or of the files that its index lists.

    Raises:
        DataError: neither is there, or a file that the index lists is not.
        RunError: a file cannot be read.
    """
    folder = Path(folder)
    whole, index = folder / f"{name}.safetensors", folder / f"{name}.safetensors.index.json"
    files = [whole]
    if index.is_file():
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = [folder / file for file in sorted(set(listed))]
        if missing := [file.name for file in files if not file.is_file()]:
            raise DataError(f"{folder} lacks {', '.join(missing)}, which {index.name} lists; fetch all of the files")
    elif not whole.is_file():
        raise DataError(
            f"{folder} holds neither {whole.name} nor {index.name}; save the model there with safe_serialization=True"
        )
    return {key: array for file in files for key, array in read_weights(file).items()}


def write_weights(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays under their names as one safetensors file, all or nothing, for :func:`read_weights`."""
    write_atomically(path, save({name: np.asarray(array, order="C") for name, array in arrays.items()}))


def _read_weights(path: Path, kind: str) -> dict[str, np.ndarray]:
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            version = metadata.get("artifex_format")
            if version is None:
                raise RunError(f"{path} was not written by save_model: its metadata has no 'artifex_format'")
            if version != FORMAT:
                raise RunError(
                    f"{path} has format {version}; this artifex-core reads format {FORMAT}: upgrade it, or save the model anew"
                )
            if metadata.get("kind") != kind:
                raise RunError(f"{path} holds a {metadata.get('kind')!r}, and {CONFIG_FILE} beside it describes a {kind!r}")
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise RunError(f"{path} cannot be read: {error}; it may be truncated") from error
