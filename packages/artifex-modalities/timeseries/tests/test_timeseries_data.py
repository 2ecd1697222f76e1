"""Series out of files: CSV long and wide, .ts, windows that never straddle, and an error for each thing that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import ArrayDataset, NamesClasses
from artifex.modalities.timeseries import windows
from artifex.modalities.timeseries.datasets import SeriesFile, SeriesFileConfig

WIDE = "time,load,wind\n" + "".join(f"2024-01-{t + 1:02},{t},{10 * t}\n" for t in range(30))
LONG = "id,t,value\n" + "".join(f"s{i},{t},{100 * i + t}\n" for i in range(10) for t in range(3 + i % 3))
TS = """# a comment
@problemName Made
@univariate false
@classLabel true calm lively
@data
1,2,3:4,5,6:calm
7,?,9:1,1,1:lively
1,2:3,4:calm
"""


def written(tmp_path, text: str, name: str = "series.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_windows_of_one_series_are_split_by_time_and_never_straddle(tmp_path) -> None:
    data = SeriesFile(SeriesFileConfig(file=written(tmp_path, WIDE), step="time", window=3))
    assert isinstance(data, ArrayDataset)
    assert data.channels == ("load", "wind")
    assert data.splits == ("train", "test", "validation")
    steps = {split: data.arrays(split)["x"][..., 0] for split in data.splits}
    assert [len(steps[split]) for split in ("train", "validation", "test")] == [19, 1, 4]
    assert steps["train"].max() < steps["validation"].min() <= steps["validation"].max() < steps["test"].min()
    np.testing.assert_array_equal(steps["train"][4], [4, 5, 6])
    strided = SeriesFile(SeriesFileConfig(file=tmp_path / "series.csv", step="time", window=3, stride=3, use=["wind"]))
    np.testing.assert_array_equal(strided.arrays("train")["x"][1, :, 0], [30, 40, 50])


def test_windows_of_every_length_and_stride_are_those_of_a_loop() -> None:
    series = np.random.default_rng(0).normal(size=(17, 2))
    for length in range(1, 19):
        for stride in (1, 2, 5):
            expected = [series[at : at + length] for at in range(0, 17 - length + 1, stride)]
            found = windows(series, length, stride)
            assert len(found) == len(expected)
            assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_long_files_hold_many_series_of_unequal_length(tmp_path) -> None:
    data = SeriesFile(SeriesFileConfig(file=written(tmp_path, LONG), series="id", step="t"))
    arrays = {split: data.arrays(split) for split in data.splits}
    assert [len(arrays[split]["x"]) for split in data.splits] == [7, 2, 1]
    values = np.concatenate([a["x"][~np.isnan(a["x"])] for a in arrays.values()])
    assert sorted(values) == sorted(100 * i + t for i in range(10) for t in range(3 + i % 3))
    train = arrays["train"]
    assert (train["mask"] == ~np.isnan(train["x"][..., 0])).all()


def test_ts_files_have_classes_and_gaps(tmp_path) -> None:
    path = written(tmp_path, TS, "made.ts")
    data = SeriesFile(SeriesFileConfig(file=path, test_file=path, validation_fraction=0))
    assert isinstance(data, NamesClasses)
    assert data.classes == ("calm", "lively")
    arrays = data.arrays("test")
    assert arrays["label"].tolist() == [0, 1, 0]
    assert arrays["mask"].sum(1).tolist() == [3, 3, 2]
    np.testing.assert_array_equal(arrays["x"][0], [[1, 4], [2, 5], [3, 6]])
    assert np.isnan(arrays["x"][1, 1, 0])


@pytest.mark.parametrize(
    ("name", "text", "fields", "message"),
    [
        ("a.csv", "", {}, "needs a first line of names"),
        ("a.csv", "a,a\n1,2\n", {}, "needs a first line of names, a different one for each column"),
        ("a.csv", "a,b\n", {}, "holds no values below its names"),
        ("a.csv", "a,b\n1,2\n3\n", {}, r"a\.csv, line 3 has 1 values for 2 columns; is ',' what stands between them\?"),
        ("a.csv", "a,b\n1,2\n3,x\n", {}, r"a\.csv, line 3, column 'b' holds 'x', which is no number"),
        ("a.csv", "a,b\n1,inf\n", {}, r"line 2, column 'b' holds 'inf'"),
        ("a.csv", "a,b\n1,2\n", {"series": "id"}, "no column 'id'; it has a, b"),
        ("a.csv", "a,b\n2,2\n1,2\n", {"step": "a"}, r"line 3, column 'a' is '1' after '2'; sort the lines"),
        ("a.csv", "a\n1\n2\n", {}, "has 1 series, too few for the splits train, test, validation; set window"),
        ("a.csv", "a\n1\n2\n", {"window": 5}, "stretches of 2 steps at most, too short for a window of 5"),
        ("a.ts", "@data\n", {}, "holds no series"),
        ("a.ts", "1,2\n", {}, r"a\.ts, line 1 stands before @data"),
        ("a.ts", "@timeStamps true\n@data\n", {}, "line 1: series with time stamps cannot be read"),
        ("a.ts", "@data\n1,x\n", {}, r"line 2, channel 0 holds 'x'"),
        ("a.ts", "@data\n1,2\n1,2:3,4\n", {}, "series of 1 and of 2 channels"),
        ("a.ts", "@classLabel true a\n@data\na\n", {}, "line 3 has no values before its class"),
        ("a.xls", "x", {}, r"has to end in \.csv or \.ts"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, name: str, text: str, fields: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SeriesFile(SeriesFileConfig(file=written(tmp_path, text, name), **fields)).arrays("train")


def test_other_wrong_input_is_told(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nothing\.csv"):
        SeriesFile(SeriesFileConfig(file=tmp_path / "nothing.csv")).splits  # noqa: B018
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not a text file in UTF-8"):
        SeriesFile(SeriesFileConfig(file=tmp_path / "b.csv")).splits  # noqa: B018
    other = written(tmp_path, "c\n1\n2\n3\n", "other.csv")
    data = SeriesFile(SeriesFileConfig(file=written(tmp_path, WIDE), step="time", window=3, test_file=other))
    with pytest.raises(DataError, match=r"no column 'time'|has the channels c"):
        data.splits  # noqa: B018
    with pytest.raises(InvalidInputError, match="no split 'tset'"):
        SeriesFile(SeriesFileConfig(file=tmp_path / "series.csv", step="time", window=3)).arrays("tset")
    with pytest.raises(ValueError, match="leave nothing to train on"):
        SeriesFileConfig(file="a.csv", test_fraction=0.9, validation_fraction=0.1)
    with pytest.raises(ValueError, match="stride=2 is that of windows"):
        SeriesFileConfig(file="a.csv", stride=2)
