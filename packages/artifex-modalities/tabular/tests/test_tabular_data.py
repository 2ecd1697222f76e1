"""Data sets: files of one's own with an error for each thing that is wrong, and what ships."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from artifex.core.errors import DataError, InvalidInputError, RunWarning
from artifex.core.protocols import ArrayDataset
from artifex.modalities.tabular import decode
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
    assert len(data.table("train")) == 40
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
    with pytest.warns(RunWarning, match="2 of 3 rows of split 'test' are unlike any training row; they are left out"):
        assert FrameTable(frames, unseen="drop").arrays("test")["x"].tolist() == [[0.0]]
    with pytest.raises(DataError, match="need the split 'train'"):
        FrameTable({"test": frames["test"]})


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
