"""The lines in a run's folder are the truth; the index is made from them."""

import json
import math
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifex.core.errors import DataError, RunError, RunWarning
from artifex.evaluation.ci import github_annotations, write_junit
from artifex.evaluation.results import EvaluationResult, MetricResult, Signature
from artifex.evaluation.store import INDEX, RESULTS, ResultIndex, latest_result, read_records, read_results, write_results


def result(subject="s", value=1.0, **figures):
    signature = Signature(metric="m", definition="d", version="1", estimator="e", data="x")
    metric = MetricResult(
        name="m", value=value, low=0.5, high=1.5, n=3, signature=signature, higher_is_better=True, unit="nats", tolerance=0.1,
        method="BCa", per_example=np.array([0.0, 1.0, 2.0]),
    )  # fmt: skip
    return EvaluationResult(subject, {"m": metric, **figures})


def test_what_is_written_is_read(tmp_path):
    write_results(tmp_path, result())
    write_results(tmp_path, result(value=math.nan))
    first, second = read_results(tmp_path, examples=True)
    assert first.metrics == result().metrics
    np.testing.assert_array_equal(first["m"].per_example, [0, 1, 2])
    assert math.isnan(second["m"].value)
    assert math.isnan(latest_result(tmp_path)["m"].value)
    assert read_records(tmp_path)[0].machine


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    write_results(tmp_path, result())
    with (tmp_path / RESULTS).open("a") as out:
        out.write('{"evaluation": "x", "sig')
    assert len(read_records(tmp_path)) == 1
    write_results(tmp_path, result(value=2.0))  # in a line of its own
    assert [record.result.value for record in read_records(tmp_path)] == [1.0, 2.0]


def test_a_line_that_is_damaged_is_left_out_with_a_warning(tmp_path):
    write_results(tmp_path, result())
    line = json.loads((tmp_path / RESULTS).read_text())
    strange = [{**line, "time": "yesterday"}, {**line, "value": "much"}, {**line, "signature": {"metric": "m"}}]
    strange += [{key: value for key, value in line.items() if key != gone} for gone in ("evaluation", "n", "machine")]
    with (tmp_path / RESULTS).open("a") as out:
        out.write("".join(json.dumps(fields) + "\n" for fields in [*strange, [1], 3, None]))
    with pytest.warns(RunWarning, match="damaged") as said:
        assert len(read_records(tmp_path)) == 1
    assert len(said) == len(strange)


def test_values_that_cannot_be_read_are_not_compared(tmp_path):
    write_results(tmp_path, result())
    (file,) = (tmp_path / "evaluation" / "examples").glob("*.npy")
    for left in (b"", file.read_bytes()[:100], b"text"):
        file.write_bytes(left)
        with pytest.warns(RunWarning, match="cannot be read"):
            assert latest_result(tmp_path)["m"].per_example is None


def test_two_processes_add_whole_lines(tmp_path):
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_evaluation_store import result, write_results
many = {{f"m{{i}}": result()["m"] for i in range(200)}}
for _ in range(5):
    write_results(Path({str(tmp_path)!r}), result(**many))
"""
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    lines = (tmp_path / RESULTS).read_text().splitlines()
    assert len(lines) == 2 * 5 * 201
    assert len({json.loads(line)["evaluation"] for line in lines}) == 10


def test_an_index_that_is_damaged_or_of_other_runs_is_made_anew(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name, result(name))
    index = ResultIndex(tmp_path)
    assert [row["run"] for row in index.history("m")] == ["a", "b"]
    whole = (tmp_path / INDEX).read_bytes()
    for damaged in (b"", b"no database", whole[: len(whole) // 2], whole[:4096] + b"\xff" * (len(whole) - 4096)):
        (tmp_path / INDEX).write_bytes(damaged)
        assert [row["run"] for row in index.history("m")] == ["a", "b"]
    (tmp_path / "a").rename(tmp_path / "c")
    assert [row["run"] for row in index.history("m")] == ["c", "b"]
    shutil.rmtree(tmp_path / "b")
    assert [row["run"] for row in index.history("m")] == ["c"]
    assert not list(tmp_path.glob(f"{INDEX}.*"))


def test_an_index_that_cannot_be_written_is_in_memory(tmp_path):
    write_results(tmp_path, result())
    index = ResultIndex(tmp_path)
    index.file = tmp_path / "no such folder" / INDEX
    assert [row["value"] for row in index.history("m")] == [1.0]


def test_the_index_is_made_anew(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name, result(name, value))
    index = ResultIndex(tmp_path)
    assert [(row["run"], row["value"]) for row in index.history("m")] == [("a", 1.0), ("b", 2.0)]
    assert index.metrics() == ["m"]
    (tmp_path / INDEX).unlink()
    assert index.rebuild() == 2
    write_results(tmp_path / "a", result("a", 3.0))
    assert [row["value"] for row in index.history("m", signature="m|d|v:1|e|data:x")] == [1.0, 2.0, 3.0]
    assert index.history("m", signature="other") == []
    with sqlite3.connect(tmp_path / INDEX) as base:
        assert base.execute("SELECT COUNT(*) FROM results").fetchone() == (3,)
    base.close()


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(RunError, match="has not been evaluated"):
        latest_result(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        ResultIndex(tmp_path / "nowhere")


def test_hostile_text_stays_text(tmp_path):
    hostile = EvaluationResult('<a> & "b"\x00', {}, failures={"m": "100%\n::error::x"})
    write_junit(tmp_path / "j.xml", [hostile])
    assert b"&lt;a&gt;" in (tmp_path / "j.xml").read_bytes()
    (line,) = github_annotations([hostile])
    assert "\n" not in line
    assert "100%25%0A" in line
