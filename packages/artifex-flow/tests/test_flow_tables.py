"""Tables: standardised by what is trained on, split once and for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from artifex.core.errors import InvalidInputError
from artifex.flow.tables import SklearnTable, SklearnTableConfig


def test_training_rows_have_mean_zero_and_deviation_one_and_the_others_their_scale() -> None:
    table = SklearnTable(SklearnTableConfig(table="breast_cancer"))
    train = table.arrays("train")["x"]
    assert train.dtype == np.float32
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-5)
    raw = SklearnTable(SklearnTableConfig(table="breast_cancer", standardize=False))
    stored, scale = raw.arrays("train")["x"], raw.arrays("train")["x"].astype(np.float64)
    expected = (raw.arrays("test")["x"] - scale.mean(axis=0)) / scale.std(axis=0)
    np.testing.assert_allclose(table.arrays("test")["x"], expected, rtol=1e-4, atol=1e-4)
    assert stored.shape == train.shape


def test_splits_hold_every_row_once_with_its_class() -> None:
    table = SklearnTable(SklearnTableConfig(table="breast_cancer", standardize=False))
    stored: Any = load_breast_cancer()
    parts = [table.arrays(split) for split in table.splits]
    rows = np.concatenate([np.column_stack([part["x"], part["label"]]) for part in parts])
    expected = np.column_stack([stored["data"].astype(np.float32), stored["target"]])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_a_number_to_predict_is_no_label() -> None:
    table = SklearnTable(SklearnTableConfig(table="diabetes"))
    stored: Any = load_diabetes()
    assert list(table.arrays("train")) == ["x"]
    assert sum(len(table.arrays(split)["x"]) for split in table.splits) == len(stored["data"])
    with pytest.raises(InvalidInputError, match="train, test, validation"):
        table.arrays("dev")
