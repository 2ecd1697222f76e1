"""The digits: the same split for ever, and what is known about it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

from artifex.core.errors import InvalidInputError
from artifex.core.protocols import ArrayDataset
from artifex.modalities.image import ImageModality
from artifex.modalities.image.datasets import ColouredDigits, ColouredDigitsConfig, Digits, DigitsConfig

DIGESTS = {
    "train": "a8d6d2679524d5554632caf95f081c4a8a53bea8c694cc5a21c67c0c84b1e18a",
    "test": "b6a12ab86d7b19bbb76e66d986502ec0aea49f2caad8ab563545361a2d16f9ba",
    "validation": "3e37515996a83b5cf031a2c018c0f12471619337bd25162c518462c7018a1de5",
}
"""SHA-256 of the levels as bytes, then of the labels as bytes. They may never change: published figures hang on them."""


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits(DigitsConfig())


def test_splits(digits: Digits) -> None:
    assert isinstance(digits, ArrayDataset)
    assert digits.splits == ("train", "test", "validation")
    assert [len(digits.arrays(split)["x"]) for split in digits.splits] == [1300, 300, 197]


@pytest.mark.parametrize("split", DIGESTS)
def test_the_split_never_changes(digits: Digits, split: str) -> None:
    arrays = digits.arrays(split)
    levels = np.rint(arrays["x"] * 16).astype(np.uint8)
    assert hashlib.sha256(levels.tobytes() + arrays["label"].astype(np.uint8).tobytes()).hexdigest() == DIGESTS[split]


def test_intensities_are_sixteenths_exactly(digits: Digits) -> None:
    x = digits.arrays("train")["x"]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(np.unique(x * 16), np.arange(17))
    assert x.shape[1:] == (8, 8, 1)


def test_the_splits_hold_every_image_once(digits: Digits) -> None:
    ours = np.concatenate([np.c_[a["x"].reshape(-1, 64) * 16, a["label"]] for a in map(digits.arrays, digits.splits)])
    stored = load_digits()
    theirs = np.c_[stored.data, stored.target]
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_independent_bernoulli_pixels_cost_25_nats(digits: Digits) -> None:
    """The figure that goes with this split, from the frequencies of the training pixels (a hundredth of a count added)."""
    train, test = (digits.arrays(split)["x"].reshape(-1, 64) >= 0.5 for split in ("train", "test"))
    p = (train.sum(0) + 0.01) / (len(train) + 0.02)
    assert -np.where(test, np.log(p), np.log1p(-p)).sum(1).mean() == pytest.approx(25.19, abs=0.005)


def test_unknown_split(digits: Digits) -> None:
    with pytest.raises(InvalidInputError, match="its splits are train, test, validation; did you mean 'validation'"):
        digits.arrays("valid")


def test_coloured_digits_are_the_digits_inverted_in_an_order_of_their_own():
    digits = Digits(DigitsConfig()).arrays("test")
    made = ColouredDigits(ColouredDigitsConfig()).arrays("test")
    np.testing.assert_array_equal(made["condition"], digits["x"])
    np.testing.assert_array_equal(made["condition_label"], digits["label"])
    assert np.mean(made["label"] == made["condition_label"]) < 0.2  # no pairs
    ink = 1 - made["x"].max(axis=-1)  # the ground's brightest channel is 1
    order = [int(np.argmin(np.abs(digits["x"][..., 0] - image).sum(axis=(1, 2)))) for image in ink]
    np.testing.assert_allclose(ink, digits["x"][order, ..., 0], atol=1e-6)
    np.testing.assert_array_equal(made["label"], digits["label"][order])
    assert made["x"].dtype == np.float32
    assert made["x"].std(axis=-1).max() > 0.1  # in colour
    alone = ColouredDigits(ColouredDigitsConfig(conditions=False)).arrays("test")
    assert alone.keys() == {"x", "label"}
    for name, values in alone.items():
        np.testing.assert_array_equal(values, made[name])


def test_the_suite_is_of_coloured_digits_as_its_modality_takes_them():
    read_suite = pytest.importorskip("artifex.evaluation.suites").read_suite
    tasks = {task.name: task for task in read_suite("coloured-digits").tasks}
    assert tasks.keys() == {"drawn", "translated"}
    for name, task in tasks.items():
        stored = ColouredDigits(task.dataset).arrays("test")
        assert ("condition" in stored) == (name == "translated")
        assert len(stored["x"]) == task.n_samples
        modality = ImageModality(task.modality)
        modality.check(stored)
        prepared = modality.prepare(stored, train=False)
        assert prepared["x"].shape[1:] == modality.shape == (8, 8, 3)
        np.testing.assert_allclose(modality.restore(prepared["x"]), stored["x"], atol=1e-6)
