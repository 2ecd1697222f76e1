"""Series out of files: CSV long and wide, .ts, windows that never straddle, and an error for each thing that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError, RunWarning
from artifex.core.protocols import ArrayDataset, NamesClasses
from artifex.modalities.timeseries import TimeseriesModality, TimeseriesModalityConfig, windows
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


def test_examples_of_all_splits_are_alike_whichever_holds_the_longest_series(tmp_path) -> None:
    """A run compares them, and a mask that only some had would be another batch."""
    rng = np.random.default_rng(0)
    for case in range(50):
        lengths = rng.integers(1, 9, 12)
        text = "id,value\n" + "".join(f"s{i},{i}\n" * n for i, n in enumerate(lengths))
        data = SeriesFile(
            SeriesFileConfig(
                file=written(tmp_path, text), series="id", test_fraction=0.3, validation_fraction=0.2, split_seed=case
            )
        )
        arrays = [data.arrays(split) for split in data.splits]
        assert {a["x"].shape[1:] for a in arrays} == {(lengths.max(), 1)}
        assert {tuple(a) for a in arrays} == {("x", "mask")}
        assert sorted(np.concatenate([a["mask"].sum(axis=1) for a in arrays])) == sorted(lengths)


def test_windows_that_end_in_gaps_are_whole(tmp_path) -> None:
    text = "v\n" + "".join(f"{t if t % 3 else '?'}\n" for t in range(60))
    arrays = SeriesFile(SeriesFileConfig(file=written(tmp_path, text), window=4)).arrays("train")
    assert np.isnan(arrays["x"][:, -1]).any()
    assert "mask" not in arrays
    at_ends = "v\n" + "".join(
        f"{t if t % 4 < 3 else '?'}\n" for t in range(80)
    )  # of every window: gaps that training series have
    data = SeriesFile(SeriesFileConfig(file=written(tmp_path, at_ends), window=4, stride=4))
    modality = TimeseriesModality(TimeseriesModalityConfig(length=4, missing="mask")).fitted(data, "train")
    modality.check(arrays := data.arrays("train"))
    x = modality.prepare(arrays, train=False)["x"]
    assert (np.asarray(x)[:, :, 1] == [-1, -1, -1, 1]).all()
    np.testing.assert_allclose(modality.restore(x), arrays["x"], atol=1e-5)


def test_a_column_of_words_is_named_as_the_message_says(tmp_path) -> None:
    path = written(tmp_path, "id,kind,v\na,x,1\na,x,2\nb,y,3\nb,y,4\nc,y,5\n")
    with pytest.raises(DataError, match="column 'id' holds 'a', which is no number; mend it, name the channels in 'use' if"):
        SeriesFile(SeriesFileConfig(file=path)).arrays("train")
    data = SeriesFile(SeriesFileConfig(file=path, series="id", use=["v"], test_fraction=0.3, validation_fraction=0))
    assert sum(len(data.arrays(split)["x"]) for split in data.splits) == 3


def test_what_is_no_channel_may_have_any_name(tmp_path) -> None:
    path = written(tmp_path, ",a,a,b\n" + "".join(f"{i},x,y,{i or '#N/A'}\n" for i in range(9)))
    fields = {"use": ["b"], "window": 2, "test_fraction": 0, "validation_fraction": 0}
    x = SeriesFile(SeriesFileConfig(file=path, **fields)).arrays("train")["x"]
    np.testing.assert_array_equal(x[:, 1, 0], range(1, 9))


def test_ts_files_are_in_the_encoding_that_the_message_says(tmp_path) -> None:
    path = tmp_path / "a.ts"
    path.write_text(TS, encoding="utf-16")
    with pytest.raises(DataError, match="looks like UTF-16; set encoding to 'utf-16'"):
        SeriesFile(SeriesFileConfig(file=path)).splits  # noqa: B018
    assert len(SeriesFile(SeriesFileConfig(file=path, encoding="utf-16", validation_fraction=0)).arrays("train")["x"]) == 2


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
    np.testing.assert_array_equal(data.arrays("train")["x"], arrays["x"])  # nothing is divided: in their order


@pytest.mark.parametrize(
    ("name", "text", "fields", "message"),
    [
        ("a.csv", "", {}, "needs a first line of names"),
        ("a.csv", "a,a\n1,2\n", {}, "has two columns called 'a'; rename one, or say in 'use' which others are channels"),
        (
            "a.csv",
            "sep=;\na;b\n1;2\n",
            {"separator": ";"},
            "begins with 'sep=', which Excel reads as no row; take that line away",
        ),
        ("a.csv", ",a\n1,2\n", {}, "column 1 has no name, as where an index was written; name it, or say in 'use'"),
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


NAMES = "t;v\n"
HEAD = "@missing true\n@classLabel True calm lively\n@data\n"


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        (NAMES.replace(";", ",") + "0,1\n", {}, r"a\.csv has a single column, 't,v'; set separator to ','"),
        (NAMES + "0;0,5\n", {}, r"line 2, column 'v' holds '0,5', which is no number; set decimal to ','"),
        (NAMES + "0;1e39\n", {}, "32-bit numbers end at 3.4e38: rescale the column"),
        (NAMES + "0;1\n0;2\n", {}, r"line 3, column 't' is '0' after '0'; keep one line for each time"),
        (NAMES + "10;1\n9;2\n", {}, "line 3, column 't' is '9' after '10'; sort the lines of each series by time"),
        (NAMES + "2024-02-01;1\n2024-01-31;2\n", {}, "'2024-01-31' after '2024-02-01'; sort"),
        (NAMES + "01.02.2024;1\n", {}, r"line 2, column 't' is '01.02.2024', no number and no date .*set step_format"),
        (NAMES + "1.2.24;1\n", {"step_format": "%d.%m.%Y"}, "not written as step_format says, '%d.%m.%Y'"),
        (NAMES + ";1\n", {}, "column 't' is '', no number and no date"),
        (NAMES + "1;1\n2024-01-01;2\n", {}, "'2024-01-01' after '1'; write all times in one way"),
        (NAMES + "2024-01-01T00Z;1\n2024-01-02;2\n", {}, "write all times in one way"),
        (
            NAMES + "2024-01-01;1\n",
            {"step": ""},
            "'2024-01-01', which is no number; if these are the times, name the column in 'step'",
        ),
        (NAMES + "0;\n1;?\n", {}, r"a\.csv: the series has no value at all; take it away"),
        ("id;t;v\na;0;1\nb;0;\n", {"series": "id"}, r"a\.csv: series 'b' has no value at all"),
        ("t;v;w\n0;1;\n1;2;\n", {}, "'w' has no value at all; leave it out"),
        (NAMES + "0;1700000000\n1;1700000009\n", {}, "32-bit numbers do not tell apart; take 1700000000 away"),
        ("t;é\n0;1\n".encode("cp1252"), {}, r"a\.csv, line 1: byte 0xe9 is no utf-8; set encoding to what it is in"),
        ("t;v\n0;1\n".encode("utf-16"), {}, "looks like UTF-16; set encoding to 'utf-16'"),
        (NAMES + "0;1\n", {"encoding": "utf-9"}, "there is no encoding 'utf-9'"),
        (NAMES + "0;1\n", {"decimal": ";"}, "';' cannot stand both"),
        (HEAD + "1,2:calm\n?,?:lively\n", {"file": "a.ts"}, r"a\.ts: line 5 has no value at all"),
        (
            HEAD + "1,2:clam\n",
            {"file": "a.ts"},
            r"line 4 has the class 'clam'; @classLabel names calm, lively: add it, or mend it",
        ),
        (HEAD + "1,2\n", {"file": "a.ts"}, "line 4 has no values before its class; a line is values, ':' and the class"),
        (HEAD + "1,2:calm\n", {"file": "a.ts", "use": ("v",)}, r"use is of CSV files, and .*a\.ts is a \.ts file"),
    ],
)
def test_files_as_people_have_them_are_told_what_to_set(tmp_path, text: str | bytes, fields: dict, message: str) -> None:
    name = fields.get("file", "a.csv")
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    of_csv = {} if name.endswith(".ts") else {"separator": ";", "step": "t"}
    fields = {**of_csv, **fields, "file": tmp_path / name}
    with pytest.raises(DataError, match=message):
        SeriesFile(SeriesFileConfig(test_fraction=0, validation_fraction=0, **fields)).arrays("train")


def test_what_is_set_is_read(tmp_path) -> None:
    text = "wann;Wert\n   \n" + "".join(f"{d:02}.{m:02}.2024;{d},5\n" for m in (1, 2) for d in range(1, 30))
    (tmp_path / "a.csv").write_bytes(text.replace("\n", "\r\n").encode("cp1252"))
    fields = {"separator": ";", "decimal": ",", "encoding": "cp1252", "step": "wann", "step_format": "%d.%m.%Y"}
    with pytest.warns(
        RunWarning, match=r"a\.csv, line 32: from 29\.01\.2024 to 01\.02\.2024 is 3 times the usual step, the first of 1"
    ):
        made = SeriesFile(SeriesFileConfig(file=tmp_path / "a.csv", test_fraction=0, validation_fraction=0, **fields)).arrays(
            "train"
        )
    np.testing.assert_array_equal(made["x"][0, :29, 0], np.arange(1, 30) + 0.5)
    months = written(tmp_path, "t,v\n" + "".join(f"2024-{m:02},{m}\n" for m in range(1, 13)))  # of 29 to 31 days
    assert SeriesFile(SeriesFileConfig(file=months, step="t", window=2, validation_fraction=0)).arrays("train")["x"].shape == (
        9,
        2,
        1,
    )
    with pytest.raises(ValueError, match="step_format='%Y' is of the column 'step'"):
        SeriesFileConfig(file="a.csv", step_format="%Y")


def test_windows_of_ts_files_keep_their_classes(tmp_path) -> None:
    path = written(tmp_path, HEAD + "".join(f"{i},{i},{i},{i}:{'lively' if i % 3 else 'calm'}\n" for i in range(9)), "made.ts")
    made = SeriesFile(SeriesFileConfig(file=path, window=2, test_fraction=0.5, validation_fraction=0))
    for split in made.splits:
        arrays = made.arrays(split)
        np.testing.assert_array_equal(arrays["label"], arrays["x"][:, 0, 0] % 3 > 0)
    targets = written(tmp_path, "@targetLabel true\n@data\n" + "1,2:0.5\n" * 9, "targets.ts")
    train = SeriesFile(SeriesFileConfig(file=targets)).arrays("train")
    assert set(train) == {"x"}
    assert train["x"].shape == (6, 2, 1)


def test_other_wrong_input_is_told(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nothing\.csv"):
        SeriesFile(SeriesFileConfig(file=tmp_path / "nothing.csv")).splits  # noqa: B018
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="looks like UTF-16; set encoding"):
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
