"""Samples on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from artifex.core.protocols import ModalityProtocol
from artifex.core.storage import naming_file

__all__ = ["save_samples"]


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
