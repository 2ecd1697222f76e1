"""Presets on data of another shape: what the message says to set is set, and the run can be made."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.training import build_run, read_run_config

PICTURES = (
    "data.dataset={kind: npz, file: pictures.npz}",
    "data.modality.height=12",
    "data.modality.width=12",
)
TABLE = ("data.dataset={kind: sklearn_table, table: wine}",)


@pytest.mark.parametrize(
    ("preset", "data", "fields"),
    [
        ("vae-digits", PICTURES, ["model.encoder.input_shape", "model.decoder.output_shape"]),
        ("dcgan-digits", PICTURES, ["model.generator.output_shape", "model.discriminator.input_shape"]),
        ("ebm-two-moons", TABLE, ["model.input_dim"]),
        ("edm-two-moons", TABLE, ["model.input_shape"]),
    ],
)
def test_the_fields_that_are_named_are_the_ones_to_set(
    preset: str, data: tuple[str, ...], fields: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).integers(0, 256, (32, 12, 12, 1), dtype=np.uint8)
    np.savez("pictures.npz", x_train=x)
    settings = [*data, "data.evaluation_split=null", "training.batch_size=16"]
    with pytest.raises(InvalidInputError, match="the data do not fit the model: x has shape") as raised:
        build_run(read_run_config(preset, settings))
    advised = re.findall(r"(model[\w.]*) to (\[[\d, ]+\]|\d+)", str(raised.value))
    assert [field for field, _ in advised] == fields
    build_run(read_run_config(preset, [*settings, *(f"{field}={value}" for field, value in advised)]))
