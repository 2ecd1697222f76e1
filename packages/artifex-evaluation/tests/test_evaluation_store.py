"""The lines in a run's folder are the truth; the index is made from them."""

import math
import sqlite3

import numpy as np
import pytest

from artifex.core.errors import DataError, RunError
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
