"""Images, tables and series in one example: learnt by a run, shown as a page, and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import ArrayDataset, FitsData
from artifex.evaluation.commands import evaluate
from artifex.modalities.multimodal import MultiModalModality, MultiModalModalityConfig
from artifex.modalities.multimodal.datasets import SideBySide, SideBySideConfig
from artifex.training import build_run, read_run_config

TRAIN, TEST, LENGTH = 48, 32, 6
MODALITY: dict[str, Any] = {
    "parts": [
        {"part": "image", "stored": "x", "modality": {"kind": "image", "height": 4, "width": 4, "channels": "grayscale"}},
        {"part": "table", "modality": {"kind": "tabular"}},
        {"part": "series", "modality": {"kind": "timeseries", "length": LENGTH}},
    ]
}


@pytest.fixture
def dataset(tmp_path: Path) -> dict[str, Any]:
    """The fields of a data set: files of images and of rows, and series that are made."""
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (n, 4, 4), np.uint8) for n in (TRAIN, TEST))
    np.savez(tmp_path / "images.npz", x_train=train, x_test=test)
    for split, n in (("train", TRAIN), ("test", TEST)):
        rows = {"age": rng.integers(20, 60, n), "town": np.resize(["Bern", "Chur", "Thun"], n)}
        pd.DataFrame(rows).to_csv(tmp_path / f"{split}.csv", index=False)
    table = {"kind": "table_file", "file": str(tmp_path / "train.csv"), "test_file": str(tmp_path / "test.csv")}
    made = {"kind": "made_series", "process": "sines", "length": LENGTH, "n_channels": 2}
    return {
        "parts": [
            {"stored": "x", "dataset": {"kind": "npz", "file": str(tmp_path / "images.npz")}},
            {"stored": "table", "dataset": {**table, "validation_fraction": 0}},
            {"stored": "series", "dataset": {**made, "n_train": TRAIN, "n_test": TEST}},
        ]
    }


def side_by_side(fields: dict[str, Any]) -> SideBySide:
    return SideBySide(SideBySideConfig.from_dict(fields))


def test_each_part_learns_from_its_own_data_set_and_comes_back(dataset: dict[str, Any], tmp_path: Path) -> None:
    data = side_by_side(dataset)
    assert isinstance(data, ArrayDataset)
    assert data.splits == ("train", "test")
    arrays = data.arrays("train")
    rows = pd.read_csv(tmp_path / "train.csv")
    plain = MultiModalModality(MultiModalModalityConfig.from_dict(MODALITY))
    assert isinstance(plain, FitsData)
    modality = plain.fitted(data, "train")
    assert modality.fitted(data, "train") == modality
    assert modality.shapes == {"image": (4, 4, 1), "table": (4,), "series": (LENGTH, 2)}
    modality.check(arrays)
    batch = modality.prepare(arrays, train=False)
    assert_allclose(batch["series"].mean((0, 1)), 0, atol=1e-5)  # scales of the training series
    assert_allclose(batch["table"][:, 0].std(), 1, rtol=1e-5)
    examples = modality.to_host(np.asarray(batch["x"]), np.asarray(batch["mask"]))
    assert [dict(example["table"]) for example in examples[:5]] == rows[:5].to_dict(orient="records")
    assert_allclose([example["series"] for example in examples], arrays["series"], atol=1e-5)
    assert_allclose([example["image"][..., 0] for example in examples], arrays["x"].reshape(-1, 4, 4) / 255, atol=1e-5)
    page = modality.save_samples(np.asarray(batch["x"][:3]), tmp_path / "page").read_text(encoding="utf-8")
    assert f"age,town\n{rows['age'][2]},{rows['town'][2]}" in page
    assert page.count("image/svg+xml") == page.count("image/png") == 3


def test_parts_that_are_missing_teach_nothing(dataset: dict[str, Any]) -> None:
    whole = side_by_side(dataset)
    there = np.arange(TRAIN) % 3 > 0

    class Gappy:
        """Arrays alone, of which some rows lack their series."""

        splits = ("train",)

        def arrays(self, split: str) -> dict[str, np.ndarray]:
            arrays = whole.arrays(split)
            series = np.where(there[:, None, None], arrays["series"], 1e9)
            return {"x": arrays["x"], "series": series, "series.present": there}

    parts = {"parts": [MODALITY["parts"][0], MODALITY["parts"][2]]}
    modality = MultiModalModality(MultiModalModalityConfig.from_dict(parts)).fitted(Gappy(), "train")
    batch = modality.prepare(Gappy().arrays("train"), train=False)
    assert_allclose(batch["series"][there].mean((0, 1)), 0, atol=1e-5)
    examples = modality.to_host(np.asarray(batch["x"]), np.asarray(batch["mask"]))
    assert_array_equal(["series" in example for example in examples], there)
    with pytest.raises(DataError, match="part 'table': the modality 'tabular' needs a data set of tables"):
        MultiModalModality(MultiModalModalityConfig.from_dict(MODALITY)).fitted(Gappy(), "train")
    parts = {"parts": [{"part": "other", "modality": {"kind": "timeseries", "length": 3}}]}
    with pytest.raises(DataError, match="part 'other': Gappy has no array 'other'; it has x, series"):
        MultiModalModality(MultiModalModalityConfig.from_dict(parts)).fitted(Gappy(), "train")


def test_a_table_that_some_examples_lack(dataset: dict[str, Any]) -> None:
    data = side_by_side(dataset)
    modality = MultiModalModality(MultiModalModalityConfig.from_dict(MODALITY)).fitted(data, "train")
    there = np.arange(TEST) % 2 == 0
    batch = modality.prepare(data.arrays("test") | {"table.present": there}, train=False)
    examples = modality.to_host(np.asarray(batch["x"]), np.asarray(batch["mask"]))
    assert_array_equal(["table" in example for example in examples], there)


def test_data_sets_that_do_not_stand_side_by_side(dataset: dict[str, Any]) -> None:
    first, table, series = dataset["parts"]
    fewer = {**series, "dataset": {**series["dataset"], "n_test": TEST - 1}}
    data = side_by_side({"parts": [first, fewer]})
    with pytest.raises(DataError, match="the rows of 'test' are 32 in 'x', 31 in 'series'"):
        data.arrays("test")
    with pytest.raises(InvalidInputError, match="data sets has no split 'validation'; its splits are train, test"):
        data.arrays("validation")
    for parts, message in (([table], "one of them is stored as x"), ([first, first], "several data sets are stored as x")):
        with pytest.raises(ValueError, match=message):
            side_by_side({"parts": parts})


@pytest.mark.nightly
def test_a_run_learns_all_three(dataset: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    networks = {"decoder": {"hidden_dims": [16], "activation": "silu"}, "likelihood": "gaussian"}
    parts = [
        {"part": name, "encoder": {"hidden_dims": [16], "input_shape": shape, "activation": "silu"}, **networks}
        for name, shape in (("image", [4, 4, 1]), ("table", [4]), ("series", [LENGTH, 2]))
    ]
    fields = {
        "name": "three",
        "model": {"kind": "joint_vae", "latent_dim": 3, "parts": parts},
        "data": {"dataset": {"kind": "side_by_side", **dataset}, "modality": {"kind": "multimodal", **MODALITY}},
        "training": {"epochs": 2, "batch_size": 16},
        "callbacks": [{"kind": "sample_grid", "every": 6, "n_samples": 4}],
    }
    (tmp_path / "three.yaml").write_text(yaml.safe_dump(fields))
    run = build_run(read_run_config(str(tmp_path / "three.yaml")))
    assert np.isfinite(run.start(tmp_path / "run")["eval/loss"])
    pages = list((tmp_path / "run" / "samples").glob("*.html"))
    assert pages
    assert "age,town" in pages[0].read_text(encoding="utf-8")
    evaluate(tmp_path / "run")
    assert "recall_at_1" in capsys.readouterr().out
    assert jnp.isfinite(run.trainer.model.generate(2)).all()
