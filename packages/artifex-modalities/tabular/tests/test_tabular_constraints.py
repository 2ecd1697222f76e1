"""Rules of tables: what is found, where, and what is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular import TabularModality, constraints, metrics
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


def test_rules_take_tables_that_no_model_would() -> None:
    """What a column is to a model is not asked: free texts, spans of time, infinite numbers, no rows at all."""
    mails = [f"{i}@example.org" for i in range(2000)]
    table = pd.DataFrame({"mail": mails, "age": range(2000), "for": pd.to_timedelta(range(2000), unit="s")})
    assert constraints.check_unique(table, ["mail"])[0].rows == ()
    assert constraints.check_ranges(table, {"age": (0, 1998)})[0].rows == (1999,)
    assert constraints.check_ranges(table, {"for": (None, pd.Timedelta("1s"))})[0].rows == tuple(range(2, 2000))
    assert constraints.check_ranges(pd.DataFrame({"a": [1.0, np.inf, -np.inf, np.nan]}), {"a": (0, 9)})[0].rows == (1, 2)
    stray = pd.DataFrame({"a": [1, 2, "x", None]})
    assert constraints.check_types(stray, {"a": "int64"})[0].rows == (0, 1, 2, 3)
    assert constraints.check_ranges(stray, {"a": (2, 9)})[0].values == (1, "x")
    assert constraints.check_categories(stray, {"a": [1, 2]})[0].values == ("x",)
    empty = pd.DataFrame({"a": []})
    assert constraints.check_ranges(empty, {"a": (0, 1)})[0].rows == constraints.check_unique(empty, ["a"])[0].rows == ()
    assert constraints.check_sums(empty, {"a": ["a"]})[0].rows == constraints.check_types(empty, {"a": "int8"})[0].rows == ()


def test_the_dtype_that_was_learnt_is_asked_for_and_the_range_of_dates() -> None:
    table = pd.DataFrame(
        {
            "town": pd.Categorical(["Bern", "Chur", "Bern"], ["Bern", "Chur", "Zug"]),
            "size": pd.Categorical(["S", "L", "S"], ["S", "L"], ordered=True),
            "born": pd.to_datetime(["1990-01-01", "2000-06-01", "1995-01-01"]),
            "seen": pd.to_datetime(["2024-01-01", "2024-06-01", "2024-03-01"], utc=True).tz_convert("Europe/Zurich"),
        }
    )
    columns = TabularModality.fit(table).columns
    assert not any(found.rows for found in constraints.check_columns(table, columns))

    def broken(bad: pd.DataFrame, name: str) -> dict[str, tuple[int, ...]]:
        found = constraints.check_columns(bad, columns)
        assert not any(one.rows for one in found if one.columns != (name,))
        return {one.rule: one.rows for one in found if one.rows}

    everywhere, of = (0, 1, 2), "of dtype category of ['Bern', 'Chur', 'Zug']"
    assert broken(table.astype({"town": "object"}), "town") == {of: everywhere}
    assert broken(table.assign(town=table["town"].cat.remove_categories("Zug")), "town") == {of: everywhere}
    assert broken(table.assign(size=table["size"].cat.as_unordered()), "size") == {
        "of dtype category of ['S', 'L'], ordered": everywhere
    }
    far = table.assign(born=pd.to_datetime(["1900-01-01", "1995-01-01", "2999-01-01"]))
    (rows,) = broken(far, "born").values()
    assert rows == (0, 2)
    late = table.assign(seen=table["seen"] + pd.Timedelta("1h"))
    assert broken(late, "seen") == {"at least 2024-01-01 01:00:00+01:00 and at most 2024-06-01 02:00:00+02:00": (1,)}
    # dates as texts are none, and lie in no range
    assert set(broken(table.assign(born=table["born"].astype("str")), "born").values()) == {everywhere}
    assert constraints.check_types(table, {"town": "category"})[0].rows == ()
    assert constraints.check_types(table, {"born": "category"})[0].rows == everywhere


def test_levels_that_are_numbers_have_their_numbers_range() -> None:
    """Whatever order their categories are in."""
    table = pd.DataFrame({"a": pd.Categorical([2, 5, 3], [5, 2, 3, 9, 1], ordered=True)})
    columns = TabularModality.fit(table, kinds={"a": "numerical"}).columns
    assert not any(found.rows for found in constraints.check_columns(table, columns))
    other = table.assign(a=pd.Categorical([1, 3, 9], [5, 2, 3, 9, 1], ordered=True))
    assert [found.rows for found in constraints.check_columns(other, columns) if found.rows] == [(0, 2)]
    sizes = pd.DataFrame({"size": pd.Categorical(["S", "M", "XL"], ["S", "M", "XL"], ordered=True)})
    assert constraints.check_ranges(sizes, {"size": ("S", "M")})[0].rows == (2,)


@pytest.mark.parametrize(
    ("rule", "given", "message"),
    [
        ("check_sums", {"n": []}, "'n' is given no columns to be the sum of"),
        ("check_sums", {"n": ["text"]}, r"column 'text' holds 'x' in row 0, which is no number"),
        ("check_sums", {"day": ["n"]}, r"column 'day' holds Timestamp.* in row 0, which is no number"),
        ("check_ranges", {"text": (0, 1)}, r"column 'text' holds 'x', which cannot be compared with 0"),
        ("check_ranges", {"day": (0, 1)}, r"column 'day' holds .*2024.*, which cannot be compared with 0"),
        ("check_ranges", {"size": ("A", "Z")}, r"column 'size' has the ordered levels 'S', 'L', of which 'A' is none"),
        ("check_ranges", {"n": (5, 1)}, r"the range of 'n' goes from 5 to 1; give the lower end first"),
        ("check_ranges", {"n": (np.nan, 1)}, r"the range of 'n' has the end nan; write None for no end"),
        ("check_ranges", {"n": 3}, r"the range of 'n' is 3; write \(low, high\), with None for no end"),
        ("check_types", {"n": "nonsense"}, r"there is no dtype 'nonsense'"),
        ("check_unique", [[]], r"a key has no columns"),
        ("check_unique", "n", r"keys are a list; write \['n'\]"),
        ("check_categories", {"text": "xy"}, r"the levels of 'text' are the text 'xy'; write \['xy'\]"),
    ],
)
def test_rules_that_cannot_be_are_told(rule: str, given, message: str) -> None:
    table = pd.DataFrame({"n": [1, 2], "text": ["x", "y"], "day": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    table["size"] = pd.Categorical(["S", "L"], ["S", "L"], ordered=True)
    with pytest.raises(InvalidInputError, match=message):
        getattr(constraints, rule)(table, given)


def test_sums_with_infinite_numbers_and_a_tolerance_that_is_none() -> None:
    table = pd.DataFrame({"all": [np.inf, 1.0, np.inf, np.nan], "a": [np.inf, np.inf, 1.0, np.inf], "b": [1.0] * 4})
    assert constraints.check_sums(table, {"all": ["a", "b"]})[0].rows == (1, 2)
    with pytest.raises(InvalidInputError, match="tolerance is a share from 0, got -1"):
        constraints.check_sums(table, {"all": ["a"]}, tolerance=-1)
    with pytest.raises(InvalidInputError, match="two columns called 'a'; rename one"):
        constraints.check_ranges(pd.DataFrame([[1, 2]], columns=["a", "a"]), {"a": (0, 1)})


def test_metrics_that_need_no_kinds_take_any_table() -> None:
    table = pd.DataFrame({"mail": [f"{i}" + "x" for i in range(2000)], "for": pd.to_timedelta(range(2000), unit="s")})
    table.loc[:999, "mail"] = None
    assert metrics.completeness(table) == 0.75
    assert metrics.duplicates(table) == 0
    assert metrics.missing_similarity(table[:1000], table[1000:]) == 0.5
    assert metrics.training_copies(table[:100], table) == 1
    assert metrics.k_anonymity(table, identifiers=["mail"]) == 1
    for metric in (metrics.completeness, metrics.duplicates):
        with pytest.raises(InvalidInputError, match="samples has no rows"):
            metric(table[:0])
