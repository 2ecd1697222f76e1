"""A model on disk: a folder with ``config.yaml`` and ``weights.safetensors``.

``config.yaml`` is the model's config with its ``kind``. The weights are one flat dict of arrays under string keys
(``decoder.head.kernel``); their file's metadata carries the format's and the libraries' versions. Random streams are not saved.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml
from flax import nnx
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from artifex.core import plugins
from artifex.core.config import explain
from artifex.core.errors import RunError
from artifex.core.factory import model_class

__all__ = ["flat_weights", "load_model", "save_model", "set_weights", "write_atomically"]

FORMAT = "1"
CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "weights.safetensors"


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either its old content or all of the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def flat_weights(model: nnx.Module) -> dict[str, jax.Array]:
    """Every array of ``model`` but its random streams, under dotted string keys."""
    state = nnx.state(model, nnx.Not(nnx.RngState))
    return {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.as_pure(state))}


def set_weights(model: nnx.Module, weights: Mapping[str, Any]) -> None:
    """Put ``weights`` (as :func:`flat_weights` gives them) into ``model``.

    Raises:
        RunError: a key is missing or unknown, or a shape differs; the message names the first few.
    """
    state = nnx.state(model, nnx.Not(nnx.RngState))
    flat = dict(nnx.to_flat_state(state))
    by_key = {".".join(map(str, path)): variable for path, variable in flat.items()}
    missing, unknown = sorted(by_key.keys() - weights.keys()), sorted(weights.keys() - by_key.keys())
    wrong = [
        f"{key}: file has {np.shape(weights[key])}, model has {variable.shape}"
        for key, variable in by_key.items()
        if key in weights and np.shape(weights[key]) != variable.shape
    ]
    if missing or unknown or wrong:
        parts = [f"missing {missing[:3]}" * bool(missing), f"unknown {unknown[:3]}" * bool(unknown), "; ".join(wrong[:3])]
        raise RunError(f"the weights do not fit {type(model).__name__}: {'; '.join(p for p in parts if p)}")
    for key, variable in by_key.items():
        variable[...] = jax.numpy.asarray(weights[key], variable.dtype)
    nnx.update(model, state)


def save_model(model: Any, folder: str | Path) -> Path:
    """Write ``model`` (which keeps its config as ``model.config``) to ``folder``, made if need be. Returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kind = plugins.registry().kind_of("model", type(model.config))
    arrays = {key: np.asarray(value) for key, value in flat_weights(model).items()}
    metadata = {"format": "artifex", "artifex_format": FORMAT, "kind": kind, "jax": jax.__version__}
    write_atomically(folder / WEIGHTS_FILE, save(arrays, metadata=metadata))
    text = yaml.safe_dump({"kind": kind, **model.config.to_dict()}, sort_keys=False, allow_unicode=True)
    write_atomically(folder / CONFIG_FILE, text.encode())
    return folder


def load_model(folder: str | Path, *, rngs: nnx.Rngs | None = None) -> Any:
    """Build the model saved in ``folder``, with its weights.

    Args:
        folder: what :func:`save_model` wrote.
        rngs: the model's random streams from now on; by default fresh ones seeded from the operating system.

    Raises:
        RunError: a file is missing or unreadable, or the weights do not fit the config.
        UnknownNameError: no installed plugin registers this kind of model.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise RunError(f"{folder} holds no saved model: {name} is missing; a model's folder has {CONFIG_FILE} and {WEIGHTS_FILE}")
    fields = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if not isinstance(fields, dict) or not isinstance(kind := fields.pop("kind", None), str):
        raise RunError(f"{folder / CONFIG_FILE} names no 'kind' of model")
    try:
        config = plugins.registry().config_class("model", kind).from_dict(fields)
    except ValidationError as error:
        raise RunError(explain(error, source=str(folder / CONFIG_FILE))) from error
    weights = _read_weights(folder / WEIGHTS_FILE)
    streams = nnx.Rngs(int.from_bytes(os.urandom(4), "little")) if rngs is None else rngs
    model = model_class(config)(config, rngs=streams)
    set_weights(model, weights)
    return model


def _read_weights(path: Path) -> dict[str, np.ndarray]:
    try:
        with safe_open(path, framework="np") as file:
            version = (file.metadata() or {}).get("artifex_format")
            if version != FORMAT:
                raise RunError(f"{path} has format {json.dumps(version)}; this artifex-core reads format {FORMAT}")
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise RunError(f"{path} cannot be read: {error}; it may be truncated") from error
