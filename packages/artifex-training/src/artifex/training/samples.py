"""Samples on disk."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.core.protocols import ModalityProtocol
from artifex.core.storage import naming_file
from artifex.core.yamlio import load_yaml

__all__ = ["condition_for", "save_samples", "takes_condition"]


def takes_condition(model: Any) -> bool:
    """Whether ``model.generate`` can be given a condition."""
    return "condition" in inspect.signature(model.generate).parameters


def condition_for(model: Any, text: str, n_samples: int) -> np.ndarray:
    """One condition for each of ``n_samples`` from its text: a class, ``(n,)``, or a vector in brackets, ``(n, C)``.

    Raises:
        InvalidInputError: it is neither, or the model takes no condition.
    """
    if not takes_condition(model):
        raise InvalidInputError(f"{type(model).__name__} takes no condition; leave --condition out")
    given = load_yaml(text, source="--condition")
    if isinstance(given, int) and not isinstance(given, bool):
        return np.full(n_samples, given, np.int32)
    try:
        vector = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        vector = np.zeros(())
    if vector.ndim != 1:
        raise InvalidInputError(f"--condition {text!r} is neither a class, such as 3, nor a vector, such as [0.5, 1.2]")
    return np.tile(vector, (n_samples, 1))


def save_samples(modality: ModalityProtocol | None, samples: Any, stem: Path) -> Path:
    """Write samples the way their modality shows them, or as ``.npy`` when there is none. Returns the file."""
    array = np.asarray(samples)
    with naming_file(stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
        if modality is not None:
            return modality.save_samples(array, stem)
        if array.dtype.kind == "V":  # bfloat16 and its like, which .npy would hold as nameless bytes
            array = array.astype(np.float32)
        path = stem.with_name(f"{stem.name}.npy")
        np.save(path, array)
    return path
