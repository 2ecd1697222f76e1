"""Samples of which there are none: every registered modality refuses to write them, in one way, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from artifex.core.config import Config
from artifex.core.errors import InvalidInputError
from artifex.core.plugins import registry, resolve
from artifex.core.protocols import DrawsSamples
from artifex.modalities.tabular import TabularModality
from artifex.modalities.timeseries import TimeseriesModality

PARTS = [{"part": "word", "modality": {"kind": "letters"}}, {"part": "sound", "modality": {"kind": "waves", "length": 40}}]
CONFIGS: dict[str, list[dict[str, Any]]] = {
    "audio": [{"length": 40}],
    "image": [{"height": 8, "width": 8}],
    "letters": [{}],
    "molecular": [{"representation": "smiles"}, {"representation": "conformer"}],
    "multimodal": [{"parts": PARTS}],
    "protein": [{"max_seq_length": 4}],
    "text": [{"length": 8}],
    "waves": [{"length": 40}],
}
FITTED: dict[str, Callable[[], Any]] = {
    "tabular": lambda: TabularModality.fit(pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": list("xyx")})),
    "timeseries": lambda: TimeseriesModality.fit(np.random.default_rng(0).normal(size=(3, 5, 2))),
}
OF_TOKENS = {"text", "letters", "molecular"}
"""Samples are whole numbers."""


def made(name: str) -> list[Any]:
    """Modalities of a name."""
    if name in FITTED:
        return [FITTED[name]()]
    (entry,) = (entry for entry, _ in registry().entries("modality") if entry.name == name)
    config: type[Config] = resolve(entry.config)
    return [resolve(entry.modality)(config.from_dict(fields)) for fields in CONFIGS[name]]


def test_every_registered_modality_is_here() -> None:
    assert {entry.name for entry, _ in registry().entries("modality")} == CONFIGS.keys() | FITTED.keys()


def one_sample(modality: Any, name: str) -> np.ndarray:
    """Of zeros, which are a sample of most; a single atom is one of molecules in space."""
    if getattr(modality.config, "representation", None) == "conformer":
        return np.eye(*modality.shape, k=4, dtype=np.float32)[None] * (np.arange(modality.shape[0]) == 0)[:, None]
    return np.zeros((1, *modality.shape), np.int32 if name in OF_TOKENS else np.float32)


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() | FITTED.keys()))
def test_no_samples_are_refused_and_one_is_written(name: str, tmp_path: Path) -> None:
    for i, modality in enumerate(made(name)):
        one = one_sample(modality, name)
        writers = [modality.save_samples, *([modality.draw_samples] if isinstance(modality, DrawsSamples) else [])]
        for k, write in enumerate(writers):
            stem, message = (
                tmp_path / f"{i}-{k}" / "step",
                r"no samples to write to .*step: got shape \(0, .*one; generate some",
            )
            with pytest.raises(InvalidInputError, match=message):
                write(one[:0], stem)
            assert not stem.parent.exists()
            assert write(one, stem).stat().st_size
