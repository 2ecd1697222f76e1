"""A figure depends on neither batches nor devices, and an evaluation that is killed goes on where it was."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from textwrap import dedent

import jax
import numpy as np
import pytest

from artifex.core.errors import DataError
from artifex.core.measuring import EvaluationConfig
from artifex.core.testing import user_environment
from artifex.evaluation import EvaluationPipeline
from artifex.evaluation.streaming import DiskColumns, data_digest, model_digest

METRICS = ("loss", "rms", "worst_error", "radius", "noisy_nats", "squares_frechet", "squares_kernel", "energy_distance")


def figures(model, data, batch_size, mesh=None, folder=None, intervals=True):
    config = EvaluationConfig(metrics=METRICS, batch_size=batch_size)
    pipeline = EvaluationPipeline(config, mesh=mesh, folder=folder, seed=1, intervals=intervals)
    result = pipeline.evaluate(model, data)
    assert result.ok, result.failures
    return {name: (r.value, r.low, r.high) for name, r in result.items()}


@pytest.fixture(scope="module")
def expected(stranger):
    from flax import nnx

    model = stranger.Shifted(stranger.ShiftedConfig(shift=0.3), rngs=nnx.Rngs(0))
    data = np.random.default_rng(7).normal(size=(500, 2)).astype(np.float32)
    return model, data, figures(model, data, 500)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_figures_do_not_depend_on_batches(expected, batch_size):
    model, data, whole = expected
    data, n = (data, 500) if batch_size > 1 else (data[:60], 60)
    whole = whole if batch_size > 1 else figures(model, data, n)
    found = figures(model, data, batch_size)
    for name in METRICS:
        np.testing.assert_allclose(found[name][0], whole[name][0], rtol=1e-6, atol=1e-6, err_msg=name)


def eight_devices():
    return jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def test_figures_do_not_depend_on_devices(expected):
    model, data, whole = expected
    found = figures(model, data, 64, eight_devices())
    for name in METRICS:
        np.testing.assert_allclose(found[name][0], whole[name][0], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("batch_size", "devices"), [(7, 1), (64, 1), (500, 1), (7, 8), (64, 8), (500, 8)])
def test_figures_without_intervals_are_the_same(expected, batch_size, devices):
    """What is added up on the devices, in float32, is what is added up on the host, in float64."""
    model, data, whole = expected
    found = figures(model, data, batch_size, eight_devices() if devices > 1 else None, intervals=False)
    for name in METRICS:
        np.testing.assert_allclose(found[name][0], whole[name][0], rtol=1e-6, atol=1e-6, err_msg=name)
        assert np.isnan(found[name][1:]).all()


def test_what_is_on_disk_is_as_good_as_what_is_in_memory(expected, tmp_path, monkeypatch):
    model, data, whole = expected
    counts = tmp_path / "counts"
    monkeypatch.setenv("STRANGER_COUNTS", str(counts))
    first = figures(model, data, 64, folder=tmp_path / "columns")
    done = counts.read_text()
    again = figures(model, data, 50, folder=tmp_path / "columns")
    assert again == first
    assert counts.read_text() == done  # nothing was computed twice
    for name in METRICS:
        np.testing.assert_allclose(first[name][0], whole[name][0], rtol=1e-6, atol=1e-6, err_msg=name)


def test_another_model_s_columns_are_its_own(shifted, points, tmp_path):
    config = EvaluationConfig(metrics=("rms", "noisy_nats"))
    values = [
        EvaluationPipeline(config, folder=tmp_path).evaluate(shifted(shift), points)["rms"].value for shift in (0.5, 1.5, 0.5)
    ]
    assert values == [pytest.approx(0.5, rel=1e-6), pytest.approx(1.5, rel=1e-6), values[0]]
    assert model_digest(shifted(0.5)) == model_digest(shifted(0.5)) != model_digest(shifted(0.6))
    assert data_digest(points) != data_digest(points[:-1])


def test_a_row_that_was_cut_short_is_dropped(tmp_path):
    column = DiskColumns(tmp_path).column("rows|x")
    column.append(np.arange(6.0).reshape(3, 2))
    (file,) = tmp_path.glob("*.rows")
    with file.open("ab") as out:
        out.write(b"12345")
    again = DiskColumns(tmp_path).column("rows|x")
    assert len(again) == 3
    again.append(np.full((1, 2), 9.0))
    np.testing.assert_array_equal(again.read(2, 4), [[4, 5], [9, 9]])


def test_two_evaluations_at_once_leave_the_rows_whole(tmp_path):
    """Both compute the same rows, and neither knows of the other's."""
    rows = np.arange(12.0).reshape(6, 2)
    one, other = (DiskColumns(tmp_path).column("rows|x") for _ in range(2))
    one.append(rows[:2])
    other.append(rows[:2])
    one.append(rows[2:4])
    other.append(rows[2:3])
    other.append(rows[3:6])
    one.append(rows[4:6])
    for column in (one, other, DiskColumns(tmp_path).column("rows|x")):
        np.testing.assert_array_equal(column.read(0, len(column)), rows)


def test_a_damaged_description_is_said(tmp_path):
    DiskColumns(tmp_path).column("rows").append(np.zeros(3))
    (file,) = tmp_path.glob("*.json")
    file.write_text("{")
    with pytest.raises(DataError, match="delete it"):
        DiskColumns(tmp_path).column("rows")


BATCH = 20
PROGRAM = f"""
import json, sys
import numpy as np
from flax import nnx
from artifex.core import plugins
from artifex.core.measuring import EvaluationConfig
from artifex.evaluation import EvaluationPipeline
import stranger_measures.parts as parts

model = parts.Shifted(parts.ShiftedConfig(shift=0.3), rngs=nnx.Rngs(0))
data = np.random.default_rng(7).normal(size=(500, 2)).astype(np.float32)
config = EvaluationConfig(metrics=("rms", "noisy_nats", "squares_frechet", "squares_kernel", "radius"), batch_size={BATCH})
result = EvaluationPipeline(config, folder=sys.argv[1], seed=1).evaluate(model, data)
assert result.ok, result.failures
print(json.dumps({{name: [r.value, r.low, r.high] for name, r in result.items()}}))
"""


def run(site, folder, counts, sleep):
    environment = {
        **user_environment(),
        "PYTHONPATH": str(site),
        "STRANGER_COUNTS": str(counts),
        "STRANGER_SLEEP": str(sleep),
    }
    command = [sys.executable, "-c", dedent(PROGRAM), str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_evaluation_that_is_killed_computes_no_features_twice(site, tmp_path):
    """SIGKILL at a random point of the features of five metrics.

    The extractor notes each batch when it is done with it: none of them runs again, also not the one before the kill. The
    second process ends with the figures of one that was not interrupted.
    """
    rng = np.random.default_rng()
    batches, part, work = int(rng.integers(1, 45)), float(rng.uniform(0.1, 0.8)), 0.1
    folder, counts = tmp_path / "columns", tmp_path / "counts"
    first = run(site, folder, counts, sleep=work)
    deadline = time.monotonic() + 120
    while not (counts.is_file() and len(counts.read_text().splitlines()) >= batches * BATCH):
        assert first.poll() is None, first.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(part * work)  # into the next batch
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    finished = counts.read_text().splitlines()
    assert batches * BATCH <= len(finished) < 1000
    second = run(site, folder, counts, sleep=0)
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    times = Counter(counts.read_text().splitlines())
    twice = [row for row, n in times.items() if n > 1]
    assert not twice, f"killed after {batches} batches, at {part:.2f} of the next: {len(twice)} examples ran again"
    assert sum(times.values()) == 1000  # samples and references
    whole = run(site, tmp_path / "other", tmp_path / "other_counts", sleep=0)
    expected, _ = whole.communicate(timeout=300)
    assert out == expected
