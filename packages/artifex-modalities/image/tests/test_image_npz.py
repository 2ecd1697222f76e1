"""The npz data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import ArrayDataset
from artifex.modalities.image.datasets import Npz, NpzConfig

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
GREY = RNG.random((6, 4, 5))


def saved(folder: Path, **arrays: np.ndarray) -> Npz:
    np.savez(folder / "data.npz", **arrays)
    return Npz(NpzConfig(file=folder / "data.npz"))


@pytest.mark.parametrize("label", ["label", "y"])
def test_named_splits(tmp_path: Path, label: str) -> None:
    arrays = {"x_test": COLOUR[:2], "x_train": COLOUR, "x_extra": COLOUR[:1], f"{label}_train": np.arange(6)[:, None]}
    data = saved(tmp_path, **arrays)
    assert isinstance(data, ArrayDataset)
    assert data.splits == ("train", "test", "extra")
    np.testing.assert_array_equal(data.arrays("train")["x"], COLOUR)
    np.testing.assert_array_equal(data.arrays("train")["label"], np.arange(6))
    assert data.arrays("train")["label"].dtype == np.int32
    assert data.arrays("test").keys() == {"x"}


def test_names_that_people_give(tmp_path: Path) -> None:
    """MedMNIST's are train_images and train_labels; Keras' are x_train and y_train."""
    arrays = {"train_images": COLOUR, "val_images": COLOUR[:3], "test-images": COLOUR[:2], "image_ids": np.arange(6)}
    labels = {"train_labels": np.arange(6)[:, None], "val_targets": np.arange(3), "testLabels": np.arange(2)}
    data = saved(tmp_path, **arrays, **labels, mean=np.zeros(3))
    assert data.splits == ("train", "test", "validation")
    np.testing.assert_array_equal(data.arrays("validation")["x"], COLOUR[:3])
    np.testing.assert_array_equal(data.arrays("validation")["label"], np.arange(3))
    np.testing.assert_array_equal(data.arrays("train")["label"], np.arange(6))
    assert data.arrays("test").keys() == {"x"}  # testLabels are two words without anything between them
    np.testing.assert_array_equal(saved(tmp_path, images=GREY, labels=np.arange(6)).arrays("train")["label"], np.arange(6))


def test_one_array_is_the_training_split(tmp_path: Path) -> None:
    data = saved(tmp_path, x=GREY, label=np.arange(6, dtype=np.uint8))
    assert data.splits == ("train",)
    np.testing.assert_array_equal(data.arrays("train")["x"], GREY[..., None])
    with pytest.raises(InvalidInputError, match="no split 'test'; its splits are train"):
        data.arrays("test")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"photos": COLOUR}, "needs either 'x' or arrays such as 'x_train'.* it holds photos"),
        ({"image_ids": np.arange(6)}, "needs either 'x' or .* it holds image_ids"),
        ({"x_train": COLOUR, "train_images": COLOUR}, "holds both 'x_train' and 'train_images'; leave one of them out"),
        ({"x_val": COLOUR, "x_dev": COLOUR}, "holds both 'x_val' and 'x_dev'; leave one of them out"),
        ({"x": COLOUR, "x_train": COLOUR}, "needs either 'x' or"),
        ({"x": COLOUR[0, 0]}, r"'x' should have the shape .* but has \(5, 3\)"),
        ({"x": COLOUR[:0]}, r"but has \(0, 4, 5, 3\)"),
        ({"x": COLOUR.astype(np.int64)}, "should be uint8 or floating, but is int64"),
        ({"x": COLOUR.astype(np.float32)}, r"x\[0\] holds 2.., but floating-point images lie in .* divide them by 255"),
        ({"x": np.where(GREY > 0.5, np.nan, GREY)}, r"x\[0\] holds nan, .*mend what is not finite"),
        ({"x": COLOUR, "label": np.arange(5)}, r"'label' should hold 6 whole numbers, .* has the shape \(5,\)"),
        ({"x": COLOUR, "label": np.eye(6, dtype=int)}, r"has the shape \(6, 6\)"),
        ({"x": COLOUR, "label": np.arange(6.0)}, r"row 0 holds 0.0 \(float64\); write 'label' anew, or leave it out"),
        ({"x": COLOUR, "y": np.array(list("abcdef"))}, "'y': labels are whole numbers .* row 0 holds 'a'"),
        ({"x": COLOUR, "label": np.array([0, 1, 2, -1, 0, -1])}, "row 3 holds -1"),
        ({"x": COLOUR, "label": np.array([0, 2**31, 2, 3, 4, 5])}, "from 0 to 2147483647, but row 1 holds 2147483648"),
        ({"x": COLOUR, "label": np.full(6, 2**64 - 1, np.uint64)}, "row 0 holds 18446744073709551615"),
        ({"x": COLOUR, "label": np.ones(6, bool)}, r"row 0 holds True \(bool\)"),
        ({"x": np.array([{"pickled": 1}], dtype=object)}, "cannot read 'x'"),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=f"data.npz.*{message}"):
        saved(tmp_path, **arrays).arrays("train")


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    data = Npz(NpzConfig(file=tmp_path / "data.npz"))
    with pytest.raises(DataError, match=r"there is no file .*data\.npz; set 'file'"):
        _ = data.splits
    (tmp_path / "data.npz").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"cannot be read as .npz"):
        data.arrays("train")
    with (tmp_path / "data.npz").open("wb") as file:
        np.save(file, COLOUR)
    with pytest.raises(DataError, match="holds one bare array"):
        data.arrays("train")
