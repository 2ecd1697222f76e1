"""Data sets: files of one's own with an error for each thing that is wrong, and what ships."""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pandas as pd
import pytest

from artifex.core.errors import DataError, InvalidInputError, RunWarning
from artifex.core.protocols import ArrayDataset
from artifex.modalities.tabular import TabularModality, TabularModalityConfig, decode
from artifex.modalities.tabular.datasets import (
    FrameTable,
    MixedTable,
    MixedTableConfig,
    ShippedTable,
    ShippedTableConfig,
    TableFile,
    TableFileConfig,
)

PEOPLE = pd.DataFrame(
    {
        "age": range(20, 60),
        "town": ["Bern", "Chur", "Genf", "Zug"] * 10,
        "born": pd.date_range("1990-01-01", periods=40).astype(str),
    }
)


def written(tmp_path, table: pd.DataFrame | str, name: str = "people.csv"):
    path = tmp_path / name
    path.write_text(table if isinstance(table, str) else table.to_csv(index=False), encoding="utf-8")
    return path


def test_a_csv_file_is_split_and_comes_back(tmp_path) -> None:
    data = TableFile(TableFileConfig(file=written(tmp_path, PEOPLE), kinds={"born": "date"}))
    assert isinstance(data, ArrayDataset)
    assert data.splits == ("train", "test", "validation")
    assert [len(data.arrays(split)["x"]) for split in data.splits] == [28, 8, 4]
    assert [column.variant for column in data.columns] == ["numerical", "categorical", "date"]
    rows = pd.concat([data.table(split) for split in data.splits]).sort_values("age", ignore_index=True)
    assert rows["age"].tolist() == PEOPLE["age"].tolist()
    back = decode(data.arrays("train")["x"], data.columns)
    pd.testing.assert_frame_equal(back, data.table("train"))
    again = TableFile(TableFileConfig(file=tmp_path / "people.csv", split_seed=1))
    assert again.table("test")["age"].tolist() != data.table("test")["age"].tolist()


def test_files_for_splits_and_separators(tmp_path) -> None:
    train = written(tmp_path, PEOPLE.to_csv(index=False, sep="\t"), "a.tsv")
    test = written(tmp_path, PEOPLE[:5].to_csv(index=False, sep="\t"), "b.tsv")
    data = TableFile(TableFileConfig(file=train, test_file=test, validation_fraction=0, use=["town", "age"]))
    assert data.splits == ("train", "test")
    assert list(data.table("test").columns) == ["town", "age"]
    assert data.table("train")["age"].tolist() == PEOPLE["age"].tolist()  # nothing is divided: in their order
    semicolons = written(tmp_path, PEOPLE.to_csv(index=False, sep=";"))
    with pytest.raises(DataError, match="single column, 'age;town;born'; set separator to ';'"):
        TableFile(TableFileConfig(file=semicolons)).table("train")
    assert len(TableFile(TableFileConfig(file=semicolons, separator=";")).columns) == 3


def test_parquet_keeps_its_dtypes(tmp_path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    sizes = pd.Categorical(["S", "L"] * 20, ["S", "M", "L"], ordered=True)
    table = PEOPLE.assign(born=pd.to_datetime(PEOPLE["born"]), size=sizes)
    table = table.astype({"age": "int16"})
    table.to_parquet(tmp_path / "people.parquet")
    data = TableFile(TableFileConfig(file=tmp_path / "people.parquet"))
    back = decode(data.arrays("train")["x"], data.columns)
    assert back.dtypes.tolist() == table.dtypes.tolist()
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"bad\.parquet cannot be read as Parquet"):
        TableFile(TableFileConfig(file=tmp_path / "bad.parquet")).table("train")


def test_parquet_without_its_extra_says_what_to_install(tmp_path, monkeypatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs pyarrow: pip install 'artifex-modalities-tabular\[parquet\]'"):
        TableFile(TableFileConfig(file=written(tmp_path, "x", "a.parquet"))).table("train")


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("", {}, r"people\.csv cannot be read as CSV.*No columns"),
        ("a,b\n1,2\n3,4,5\n", {}, r"cannot be read as CSV with ',' between values: Expected 2 fields in line 3, saw 3"),
        ("a,b\n1,2\n", {"use": ["c"]}, r"no column 'c', which 'use' names; it has a, b"),
        ("a\n" + "1\n" * 9 + "?\n", {}, r"column 'a' holds numbers, but '\?' in row \d+: mend it"),
        ("a\n2020-01-01\nnever\n" + "2020-01-02\n" * 9, {"kinds": {"a": "date"}}, r"holds 'never' in row 2, which is no date"),
        ("a\n1\n", {}, "1 rows, too few for the splits"),
        ("a\n" + "1\n" * 20, {"kinds": {"z": "date"}}, "no column 'z', which kinds names"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, text: str, fields: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TableFile(TableFileConfig(file=written(tmp_path, text), **fields)).arrays("train")


def rows(*values: str) -> str:
    """A file whose column ``a`` holds these, again and again, beside numbers."""
    return "a;n\n" + "".join(f"{values[i % len(values)]};{i}\n" for i in range(30))


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        (rows("0,5", "3"), {}, r"column 'a' holds numbers with commas, '0,5' in row 1: set decimal to ',', or say in kinds"),
        (rows("1.100,5"), {}, r"'1\.100,5' in row 1: set decimal to ',' and thousands to '\.'"),
        (rows("7", "1,100"), {}, r"'1,100' in row 2: set thousands to ',' or decimal to ','"),
        (rows("1,100,000.5"), {}, "set thousands to ','"),
        (rows("5%", "7 %"), {}, "numbers with a sign for their unit, '5%' in row 1: take the sign away"),
        (rows("$1,000"), {}, "sign for their unit"),
        (
            rows("01.03.2024", "31.3.2024"),
            {},
            r"looks like dates, '01\.03\.2024' .*date_formats: {a: '%d\.%m\.%Y'}, or say in kinds",
        ),
        (rows("03/01/24", "3/31/24"), {}, r"date_formats: {a: '%m/%d/%y'}"),
        (rows("1.3.2024"), {"kinds": {"a": "date"}}, r"is no date; write 2024-12-31, or set date_formats: {a: '%d\.%m\.%Y'}"),
        (rows("20240301"), {"kinds": {"a": "date"}}, r"holds 20240301, a number; .*date_formats: {a: '%Y%m%d'}"),
        (
            rows("31.12.2024", "31.12.24"),
            {"date_formats": {"a": "%d.%m.%Y"}},
            "'31.12.24' in row 2, which is no date; the format",
        ),
        (rows("x", "y", "z\0"), {}, r"people\.csv: column 'a' holds a NUL byte in row 3"),
        ("a;a;b\n1;2;3\n", {}, "two columns called 'a'; rename one, or say in 'use'"),
        (";a\n1;2\n", {}, "column 1 has no name, as where an index was written; name it, or say in 'use'"),
        ("a;b\n1;2;3\n4;5;6\n", {}, "has 2 names in its first line, but more values in lines below"),
        (
            "a;b\n1;é\n".encode("latin-1"),
            {},
            r"people\.csv, line 2: byte 0xe9 is no utf-8; set encoding to what it is in \(latin-1",
        ),
        ("a;b\n1;é\n".encode("utf-16"), {}, "looks like UTF-16; set encoding to 'utf-16'"),
        (rows("1"), {"encoding": "utf-9"}, "there is no encoding 'utf-9'"),
        (rows("1"), {"decimal": ";"}, "';' cannot stand both before decimal places and between values"),
        (rows(*"123", "x"), {"kinds": {"a": "numerical"}}, r"said to be numerical, but holds 'x' in row 4; mend it"),
    ],
)
def test_files_as_people_have_them_are_told_what_to_set(tmp_path, text: str | bytes, fields: dict, message: str) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    fields = {"test_fraction": 0, "validation_fraction": 0, "separator": ";", **fields}
    with pytest.raises(DataError, match=message):
        TableFile(TableFileConfig(file=path, **fields)).arrays("train")


def test_what_is_set_is_read(tmp_path) -> None:
    text = "a; born ;n;when;\n" + "".join(
        f'1.10{i},5;0{i + 1}.03.2024;"x\ny{i % 2}";2024-03-0{i + 1}T12:00;\n' for i in range(8)
    )
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    fields = {"separator": ";", "decimal": ",", "thousands": ".", "date_formats": {"born": "%d.%m.%Y"}}
    data = TableFile(
        TableFileConfig(
            file=tmp_path / "a.csv", use=("a", "born", "n", "when"), test_fraction=0, validation_fraction=0, **fields
        )
    )
    table = data.table("train").sort_values("a")
    assert table["a"].tolist() == [1100.5 + i for i in range(8)]
    assert table["born"].tolist() == table["when"].dt.normalize().tolist() == [pd.Timestamp(2024, 3, i + 1) for i in range(8)]
    assert [column.variant for column in data.columns] == ["numerical", "date", "binary", "date"]
    mixed = written(tmp_path, "a,b\n" + "2024-01-01T00:00:00+01:00,1\n2024-01-01T00:00:00Z,2\n" * 4)
    found = TableFile(TableFileConfig(file=mixed, test_fraction=0, validation_fraction=0)).table("train")
    assert sorted(set(found["a"])) == [pd.Timestamp("2023-12-31T23:00Z"), pd.Timestamp("2024-01-01T00:00Z")]
    said = TableFile(TableFileConfig(file=mixed, kinds={"a": "categorical"}))
    assert said.columns[0].variant == "categorical"
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"a,b\n" + "é,1\nü,2\n".encode("cp1252") * 9)
    assert TableFile(TableFileConfig(file=latin, encoding="cp1252")).columns[0].levels == ("é", "ü")
    with pytest.raises(ValueError, match="date_formats names 'a', which kinds says is numerical"):
        TableFileConfig(file="a.csv", date_formats={"a": "%d"}, kinds={"a": "numerical"})
    with pytest.raises(ValueError, match=r"decimal and thousands are both '\.'"):
        TableFileConfig(file="a.csv", thousands=".")


def test_messages_name_rows_as_the_file_has_them(tmp_path) -> None:
    """However they were shuffled, and in files of splits of their own."""
    lines = [f"{i},{'cold' if i % 2 else 'warm'}\n" for i in range(40)]
    file = written(tmp_path, "a,b\n" + "".join([*lines[:25], "25,hot\n", *lines[26:]]))
    test = written(tmp_path, "a,b\n1,cold\n2,hot\n", "test.csv")
    for seed in range(12):
        data = TableFile(TableFileConfig(file=file, split_seed=seed))
        place = next(split for split in data.splits if "hot" in set(data.table(split)["b"]))
        if place != "train":
            with pytest.raises(DataError, match=rf"people\.csv, split '{place}': column 'b' holds 'hot' in row 26, which"):
                data.arrays(place)
    with pytest.raises(DataError, match=r"test\.csv, split 'test': column 'b' holds 'hot' in row 2, which"):
        TableFile(TableFileConfig(file=written(tmp_path, "a,b\n" + "".join(lines)), test_file=test)).arrays("test")
    odd = written(tmp_path, "a\n" + "".join(f"{i}\n" for i in range(20)) + "oops\n", "odd.csv")
    with pytest.raises(DataError, match="'oops' in row 21"):
        TableFile(TableFileConfig(file=odd, test_fraction=0, validation_fraction=0)).columns  # noqa: B018
    dropped = TableFile(TableFileConfig(file=file, split_seed=seed, unseen="drop", validation_fraction=0.4))
    with (
        pytest.warns(RunWarning, match="are unlike")
        if any("hot" in set(dropped.frames[split]["b"]) for split in ("test", "validation"))
        else contextlib.nullcontext()
    ):
        assert all("hot" not in set(dropped.table(split)["b"]) for split in ("test", "validation"))


def read(tmp_path, text: str, **fields) -> TableFile:
    fields = {"test_fraction": 0, "validation_fraction": 0, **fields}
    return TableFile(TableFileConfig(file=written(tmp_path, text), **fields))


CODES = "n,code\n" + "".join(f"{i},{code}\n" for i, code in enumerate(["01234", "8001", "", "01234", "00501"]))


@pytest.mark.parametrize("fields", [{}, {"kinds": {"code": "categorical"}}, {"kinds": {"code": "ordinal"}}])
@pytest.mark.parametrize("form", [{}, {"decimal": ",", "separator": ";"}])
def test_codes_keep_their_zeros_into_the_file_of_samples(tmp_path, fields: dict, form: dict) -> None:
    data = read(tmp_path, CODES.replace(",", form.get("separator", ",")), **fields, **form)
    assert data.columns[1].levels == ("00501", "01234", "8001")
    assert data.columns[0].variant == "numerical"
    modality = TabularModality(TabularModalityConfig()).fitted(data, "train")
    x = modality.prepare({"x": data.arrays("train")["x"]}, train=False)["x"]
    path = modality.save_samples(np.asarray(x), tmp_path / "samples")
    lines = [f"{row.n},{'' if pd.isna(row.code) else row.code}" for row in data.table("train").itertuples()]
    assert path.read_text().split() == ["n,code", *lines]


def test_numbers_with_zeros_before_them_are_numbers_where_that_is_said(tmp_path) -> None:
    data = read(tmp_path, CODES, kinds={"code": "numerical"})
    assert (data.columns[1].low, data.columns[1].high) == (501, 8001)
    assert read(tmp_path, "a,b\n" + "0,0.5\n7,-00.25\n" * 4).table("train").dtypes.tolist() == ["int64", "float64"]


def test_plain_codes_keep_their_dtype(tmp_path) -> None:
    kinds = {"a": "categorical", "b": "ordinal", "c": "categorical"}
    data = read(tmp_path, "a,b,c\n" + "3,1.5,1\n1,2.0,\n0,-3.25,2\n" * 3, kinds=kinds)
    assert [column.dtype for column in data.columns] == ["int64", "float64", "float64"]
    assert [column.levels for column in data.columns] == [(0, 1, 3), (-3.25, 1.5, 2.0), (1.0, 2.0)]
    form = {"decimal": ",", "thousands": ".", "separator": ";", "kinds": {"a": "categorical", "b": "categorical"}}
    data = read(tmp_path, "a;b\n1.234;0,5\n7;1,5\n8;2,5\n", **form)
    assert [column.levels for column in data.columns] == [(7, 8, 1234), (0.5, 1.5, 2.5)]


@pytest.mark.parametrize(
    "values", [("1.10", "1.1", "1.2"), ("+41", "41", "7"), ("1e3", "1000", "2"), ("12345678901234567", "", "1")]
)
def test_codes_that_numbers_would_change_stay_as_they_are_written(tmp_path, values: tuple[str, ...]) -> None:
    data = read(tmp_path, "n,a\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values)), kinds={"a": "categorical"})
    assert set(data.columns[1].levels) == {value for value in values if value}


def test_dates_keep_their_zeros(tmp_path) -> None:
    data = read(tmp_path, "n,a\n1,01032024\n2,11032024\n", date_formats={"a": "%d%m%Y"})
    assert sorted(data.table("train")["a"]) == [pd.Timestamp(2024, 3, 1), pd.Timestamp(2024, 3, 11)]


def test_files_of_splits_are_read_as_the_training_file_is(tmp_path) -> None:
    """Codes none of which begins with a zero, and levels that all look like numbers or truth values."""
    train = written(tmp_path, "code,level,flag,gone\n" + "01234,1,True,True\n8001,y,maybe,\n8002,x,False,False\n" * 3)
    test = written(tmp_path, "code,level,flag,gone\n8001,1,True,True\n8002,1,False,False\n", "test.csv")
    data = TableFile(TableFileConfig(file=train, test_file=test, validation_fraction=0))
    assert data.table("test").to_numpy().tolist() == [["8001", "1", "True", True], ["8002", "1", "False", False]]
    assert data.arrays("test")["x"].tolist() == [[1, 0, 1, 1], [2, 0, 0, 0]]


def test_frames_and_parquet_lose_no_zeros(tmp_path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    table = pd.DataFrame({"code": ["01234", "8001", "00501"] * 3, "n": range(9)})
    table.to_parquet(tmp_path / "a.parquet")
    data = TableFile(TableFileConfig(file=tmp_path / "a.parquet", test_fraction=0, validation_fraction=0))
    for columns in (data.columns, FrameTable({"train": table}).columns):
        assert columns[0].levels == ("00501", "01234", "8001")


def test_markers_of_what_is_missing(tmp_path) -> None:
    data = TableFile(TableFileConfig(file=written(tmp_path, "a\n" + "1\n?\n" * 10), missing_markers=["?"]))
    assert data.columns[0].missing
    assert data.columns[0].variant == "numerical"


def test_missing_files_and_odd_names_are_told(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nothing\.csv"):
        TableFile(TableFileConfig(file=tmp_path / "nothing.csv")).splits  # noqa: B018
    with pytest.raises(DataError, match=r"has to end in \.csv"):
        TableFile(TableFileConfig(file=written(tmp_path, "a", "a.xls"))).splits  # noqa: B018
    with pytest.raises(ValueError, match="leave no rows to train on"):
        TableFileConfig(file="a.csv", test_fraction=0.6, validation_fraction=0.5)
    with pytest.raises(InvalidInputError, match=r"no split 'tset'.*did you mean 'test'"):
        TableFile(TableFileConfig(file=written(tmp_path, PEOPLE))).table("tset")


def test_rows_unlike_any_training_row_are_refused_or_left_out() -> None:
    frames = {"train": pd.DataFrame({"a": ["x", "y"]}), "test": pd.DataFrame({"a": ["x", "z", None]})}
    with pytest.raises(DataError, match=r"split 'test': column 'a' is empty in row 3"):
        FrameTable(frames).arrays("test")
    with pytest.warns(
        RunWarning, match="2 of 3 rows of split 'test' are unlike any training row; they are left out, 2 .* column 'a'"
    ):
        assert FrameTable(frames, unseen="drop").arrays("test")["x"].tolist() == [[0.0]]
    with pytest.raises(DataError, match="need the split 'train'"):
        FrameTable({"test": frames["test"]})


@pytest.mark.parametrize("sign", ["'", " ", "\u00a0"])
def test_groups_of_digits_before_a_decimal_point_are_read_as_the_message_says(tmp_path, sign: str) -> None:
    file = written(tmp_path, "a;b\n" + "".join(f"{i}{sign}047.5;{i}\n" for i in range(1, 9)))
    fields = {"separator": ";", "test_fraction": 0, "validation_fraction": 0}
    message = re.escape(f"{f'1{sign}047.5'!r} in row 1: set thousands to {sign!r}")
    with pytest.raises(DataError, match=message):
        TableFile(TableFileConfig(file=file, **fields)).columns  # noqa: B018
    assert TableFile(TableFileConfig(file=file, thousands=sign, **fields)).table("train")["a"].iloc[0] == 1047.5


def test_excels_line_of_a_separator_is_told(tmp_path) -> None:
    file = written(tmp_path, "sep=;\na;b\n" + "1;2\n" * 20)
    for separator in (",", ";"):
        with pytest.raises(
            DataError, match=r"begins with 'sep=.*', which Excel reads as no row; take that line away, and set sep"
        ):
            TableFile(TableFileConfig(file=file, separator=separator)).splits  # noqa: B018
    file.write_text(file.read_text().split("\n", 1)[1])
    assert TableFile(TableFileConfig(file=file, separator=";")).splits == ("train", "test", "validation")


def test_a_column_that_names_every_row_is_to_be_left_out_and_can_be(tmp_path) -> None:
    """Rows left out instead would be all of them; of which column that comes is said."""
    file = written(tmp_path, "id,a,b\n" + "".join(f"p-{i},{i},{'xy'[i % 2]}\n" for i in range(40)))
    with pytest.raises(DataError, match=r"column 'id' holds 'p-\d+' .* so do 8 of 8 rows; mend the column, or leave it out"):
        TableFile(TableFileConfig(file=file)).arrays("test")
    with pytest.warns(RunWarning, match="8 of 8 rows of split 'test' .* left out, 8 of them for column 'id'"):
        TableFile(TableFileConfig(file=file, unseen="drop")).table("test")
    assert len(TableFile(TableFileConfig(file=file, use=["a", "b"])).arrays("test")["x"]) == 8


@pytest.mark.parametrize(("name", "shape"), [("wine", (124, 14)), ("breast_cancer", (398, 31))])
def test_shipped_tables(name, shape) -> None:
    from sklearn import datasets

    data = ShippedTable(ShippedTableConfig(table=name))
    assert data.table("train").shape == shape
    whole = pd.concat([data.table(split) for split in data.splits])
    stored = getattr(datasets, f"load_{name}")()
    np.testing.assert_allclose(np.sort(whole.iloc[:, 0]), np.sort(stored["data"][:, 0]))
    assert sorted(whole["class"].value_counts()) == sorted(np.bincount(stored["target"]))
    assert data.columns[-1].variant == ("categorical" if name == "wine" else "binary")


def test_the_made_table_is_what_it_says() -> None:
    data = MixedTable(MixedTableConfig())
    table = data.table("train")
    assert {column.variant for column in data.columns} == {"numerical", "ordinal", "categorical", "binary", "date"}
    np.testing.assert_allclose(table["turnover"], table["spending"] + table["savings"], atol=1e-6)
    assert 0.02 < table["income"].isna().mean() < 0.2
    assert (table["income"].isna() <= (table["age"] < 30)).all()
    assert table["age"].corr(table["joined"].astype("int64")) < -0.8
    assert not MixedTable(MixedTableConfig(data_seed=1)).table("train").equals(table)
    pd.testing.assert_frame_equal(MixedTable(MixedTableConfig(n_train=200)).table("test"), data.table("test"))
