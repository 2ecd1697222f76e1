"""Rules of tables: what is found, where, and what is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular import TabularModality, constraints
from artifex.modalities.tabular.datasets import MixedTable, MixedTableConfig


def test_a_table_keeps_what_was_learnt_of_it() -> None:
    table = MixedTable(MixedTableConfig(n_train=200)).table("train")
    modality = TabularModality.fit(table)
    assert not any(found.rows for found in constraints.check_columns(table, modality.columns))
    bad = table.astype({"age": float}).assign(spending=lambda t: t["spending"] - 1e6)
    bad["member"] = bad["member"].astype("object")
    bad.loc[3, "region"], bad.loc[5, "member"] = "nowhere", None
    found = constraints.check_columns(bad, modality.columns)
    broken = {(one.rule, one.columns): one.rows for one in found if one.rows}
    assert broken["of dtype int64", ("age",)] == tuple(range(200))
    assert any(rows == (3,) and columns == ("region",) for (_, columns), rows in broken.items())
    assert any(rows == (5,) and rule == "never missing" for (rule, _), rows in broken.items())
    assert any(len(rows) == 200 and columns == ("spending",) for (_, columns), rows in broken.items())


def test_each_rule_says_what_is_violated_where() -> None:
    table = pd.DataFrame({"id": [1, 2, 2, 1], "a": [1.0, 5.0, None, -3.0], "b": [1.0] * 4, "sum": [2.0, 6.0, 9.0, 5.0]})
    found = constraints.check_ranges(table, {"a": (0, None), "b": (None, 0.5)})
    assert [(one.rows, one.values) for one in found] == [((3,), (-3.0,)), ((0, 1, 2, 3), (1.0,) * 4)]
    assert str(found[0]) == "a: at least 0: broken in 1 rows, first in row 3 (-3.0)"
    assert constraints.check_unique(table, ["id", ("id", "sum")])[0].rows == (2, 3)
    assert constraints.check_unique(table, [("id", "sum")])[0].rows == ()
    assert str(constraints.check_unique(table, ["sum"])[0]) == "sum: unique: kept"
    assert constraints.check_sums(table, {"sum": ["a", "b"]})[0].rows == (3,)
    assert constraints.check_sums(table, {"sum": ["a", "b"]}, tolerance=10)[0].rows == ()
    with pytest.raises(InvalidInputError, match="no column 'z'; it has id, a, b, sum"):
        constraints.check_ranges(table, {"z": (0, 1)})


def test_sums_are_kept_to_rounding() -> None:
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(1000, 5)) * 1e6
    table = pd.DataFrame(parts.astype(np.float32), columns=list("abcde"))
    table["sum"] = table.sum(axis=1).astype(np.float32)
    assert constraints.check_sums(table, {"sum": list("abcde")})[0].rows == ()
