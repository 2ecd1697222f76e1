"""Tables as arrays and back: exact dtypes and column order, kinds as guessed and as said, and an error for each thing wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from artifex.core.errors import DataError, InvalidTypeError
from artifex.modalities.tabular import decode, encode, infer_columns

NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float16", "float32", "float64")
NULLABLE = ("Int8", "Int32", "Int64", "UInt16", "Float32", "Float64")
MOMENTS = (
    "datetime64[s]",
    "datetime64[ms]",
    "datetime64[us]",
    "datetime64[ns]",
    "datetime64[ns, UTC]",
    "datetime64[us, Europe/Zurich]",
)
TEXTS = ("object", "str", "string[python]")


def random_column(rng: np.random.Generator, n: int) -> pd.Series:
    """A column of a random dtype, with gaps in some where its dtype can hold them."""
    what = rng.choice(["number", "nullable", "moment", "text", "truth", "category", "codes"])
    gaps = rng.random(n) < rng.choice([0.0, 0.3])
    if what == "number":
        dtype = str(rng.choice(NUMBERS))
        made = pd.Series(rng.normal(0, 30, n) if dtype.startswith("float") else rng.integers(0, 100, n)).astype(dtype)
        return made.mask(gaps) if dtype.startswith("float") else made
    if what == "nullable":
        return pd.Series(rng.integers(0, 100, n)).astype(str(rng.choice(NULLABLE))).mask(gaps)
    if what == "moment":
        dtype = str(rng.choice(MOMENTS))
        seconds = rng.integers(0, 2 * 10**9, n).astype("datetime64[s]")
        moments = pd.Series(seconds).astype(dtype.split(",")[0].rstrip("]") + "]")
        if "," in dtype:
            moments = moments.dt.tz_localize("UTC").dt.tz_convert(dtype.split(", ")[1].rstrip("]"))
        return moments.mask(gaps)
    if what == "truth":
        return (
            pd.Series(rng.random(n) < 0.5) if rng.random() < 0.5 else pd.Series(rng.random(n) < 0.5, dtype="boolean").mask(gaps)
        )
    levels = np.array(["low", "middle", "high", "Zürich", ""], object)[: rng.integers(1, 6)]
    values = pd.Series(rng.choice(levels, n), dtype="object").where(~gaps, None)
    if what == "text":
        return values.astype(str(rng.choice(TEXTS)))
    if what == "codes":
        return pd.Series(pd.Categorical(rng.integers(0, 4, n), categories=[3, 1, 0, 2, 7], ordered=bool(rng.random() < 0.5)))
    return pd.Series(pd.Categorical(values, categories=[*levels, "never"], ordered=bool(rng.random() < 0.5)))


def random_table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    return pd.DataFrame({f"c{i}": random_column(rng, n) for i in rng.permutation(rng.integers(1, 7))})


def test_a_thousand_random_tables_come_back_with_exact_dtypes_order_and_gaps() -> None:
    for seed in range(1000):
        table = random_table(seed)
        columns = infer_columns(table)
        back = decode(encode(table, columns), columns)
        assert list(back.columns) == list(table.columns), seed
        for name in table:
            assert back[name].dtype == table[name].dtype, (seed, name)
            assert (back[name].isna() == table[name].isna()).all(), (seed, name)
            there = table[name].notna()
            if table[name].dtype in ("float16", "float32", "float64", "Float32", "Float64"):
                one, other = (side[there].to_numpy(dtype=np.float64) for side in (back[name], table[name]))
                # float32 positions have 2^-24 of the range, float16 columns are rounded to their own 2^-11
                eps = 2.0**-11 if table[name].dtype == "float16" else 2.0**-23
                np.testing.assert_allclose(one, other, rtol=eps, atol=2.0**-23 * np.ptp(other) if len(other) else 0)
            elif pd.api.types.is_datetime64_any_dtype(table[name].dtype):
                # 2^-24 of a range of 63 years are two minutes; what is left over is rounded to the columns' common step
                off = (back[name][there] - table[name][there]).abs()
                assert not len(off) or off.max() <= pd.Timedelta(2**-23 * 2e9, "s") + pd.Timedelta("1s"), (seed, name)
            else:
                assert (back[name][there] == table[name][there]).all(), (seed, name)


def test_large_whole_numbers_and_days_are_exact() -> None:
    table = pd.DataFrame(
        {
            "id": np.array([2**62, 2**62 + 5, 2**62 + 1000]),
            "unsigned": np.array([2**64 - 1, 2**64 - 9, 2**64 - 500], np.uint64),
            "day": pd.to_datetime(["1815-06-18", "1969-07-20", "2200-01-01"]).astype("datetime64[s]"),
            "price": [1e6 + 0.25, 1e6 + 0.5, 1e6 + 99.75],
        }
    )
    columns = infer_columns(table)
    pd.testing.assert_frame_equal(decode(encode(table, columns), columns), table)


@pytest.mark.parametrize(
    ("values", "variant"),
    [
        ([1, 2, 3], "numerical"),
        ([1.5, None], "numerical"),
        ([True, False], "binary"),
        (["a", "b"], "binary"),
        (["a", "b", "c"], "categorical"),
        (["a", None], "categorical"),
        (pd.Categorical(["a"], categories=["b", "a"], ordered=True), "ordinal"),
        (pd.to_datetime(["2020-01-01"]), "date"),
        ([None, None], "categorical"),
    ],
)
def test_kinds_are_guessed(values, variant: str) -> None:
    assert infer_columns(pd.DataFrame({"a": values}))[0].variant == variant


def test_kinds_and_orders_that_are_said_count() -> None:
    table = pd.DataFrame({"code": [3, 1, 2], "size": ["L", "S", "M"]})
    columns = infer_columns(table, {"code": "categorical", "size": "ordinal"}, {"size": ("S", "M", "L")})
    assert [column.variant for column in columns] == ["categorical", "ordinal"]
    assert columns[0].levels == (1, 2, 3)
    assert encode(table, columns)[:, 1].tolist() == [2, 0, 1]
    pd.testing.assert_frame_equal(decode(encode(table, columns), columns), table)


def test_what_is_learnt_survives_yaml() -> None:
    for seed in range(30):
        for column in infer_columns(random_table(seed)):
            assert type(column).from_yaml(column.to_yaml()) == column


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame(), r"0 rows and 0 columns; at least one"),
        (pd.DataFrame({"a": []}), r"0 rows and 1 columns"),
        (pd.DataFrame({3: [1]}), r"column called 3; names are texts"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"two columns called 'a'"),
        (pd.DataFrame({"a": [1.0, 2.0, np.inf]}), r"column 'a' holds inf in row 3"),
        (pd.DataFrame({"a": [-1e308, 1e308]}), r"too wide a range"),
        (pd.DataFrame({"a": ["1", "2", "x"]}), r"holds numbers, but 'x' in row 3: mend it"),
        (pd.DataFrame({"a": [1j]}), r"dtype complex128, which is no number"),
        (pd.DataFrame({"a": pd.to_timedelta([1], unit="s")}), r"timedelta64.*convert it or leave it out"),
        (pd.DataFrame({"a": [(1,), (2,), (3,)]}), r"level \(1,\) of type tuple"),
        (pd.DataFrame({"a": [f"text {i}" for i in range(1001)]}), r"1001 different values in 1001 rows"),
    ],
)
def test_tables_that_cannot_be_are_told(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        infer_columns(table)


def test_other_wrong_input_is_told() -> None:
    table = pd.DataFrame({"a": ["x", "y", "z"], "b": [1.0, 2.0, 3.0]})
    columns = infer_columns(table)
    with pytest.raises(InvalidTypeError, match="DataFrame, got list"):
        infer_columns([1])  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="no column 'c', which kinds names; it has a, b"):
        infer_columns(table, {"c": "numerical"})
    with pytest.raises(DataError, match="said to be binary, but has 3 levels"):
        infer_columns(table, {"a": "binary"})
    with pytest.raises(DataError, match="said to be numerical, but holds 'x' in row 1; mend it"):
        infer_columns(table, {"a": "numerical"})
    with pytest.raises(DataError, match=r"said to be a date, but is of dtype"):
        infer_columns(table, {"b": "date"})
    with pytest.raises(DataError, match=r"holds 'z', which its order \['x', 'y'\] leaves out"):
        infer_columns(table, {"a": "ordinal"}, {"a": ["x", "y"]})
    numbers = pd.DataFrame({"a": [1.0, 2.0]})
    with pytest.raises(DataError, match="column 'a' holds inf in row 2, which is no finite number"):
        encode(numbers.replace(2.0, np.inf), infer_columns(numbers))
    with pytest.raises(DataError, match="test: column 'a' holds 'w' in row 2, which no training row has"):
        encode(pd.DataFrame({"a": ["x", "w"], "b": [1.0, 1.0]}), columns, where="test")
    with pytest.raises(DataError, match="column 'b' is empty in row 1, as it is in no training row"):
        encode(pd.DataFrame({"a": ["x"], "b": [np.nan]}), columns)
    with pytest.raises(DataError, match="has no column 'b'"):
        encode(pd.DataFrame({"a": ["x"]}), columns)
    with pytest.raises(DataError, match="which is no number, text, truth value"):
        infer_columns(pd.DataFrame({"a": pd.period_range("2020", periods=2, freq="D")}))


def test_true_is_not_one() -> None:
    table = pd.DataFrame({"a": pd.Series([True, 1, "1"], dtype="object")})
    columns = infer_columns(table)
    assert columns[0].n_levels == 3
    assert [type(v) for v in decode(encode(table, columns), columns)["a"]] == [bool, int, str]
