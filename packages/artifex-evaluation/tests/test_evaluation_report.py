"""Reports: one inert file each, with what was measured in it."""

import base64
import dataclasses
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from artifex.core.measuring import EvaluationConfig
from artifex.evaluation import EvaluationPipeline
from artifex.evaluation.regression import Change
from artifex.evaluation.report import write_evaluation, write_history
from artifex.evaluation.report.plots import compared, distribution, over_time, scatter
from artifex.evaluation.results import MetricResult, Signature

HOSTILE = '<script>alert(1)</script>" & \x00'


class Shown:
    """A modality of points that shows them as text."""

    shape = (2,)

    def prepare(self, batch, *, rngs, train):
        return dict(batch)

    def save_samples(self, samples, stem):
        path = stem.with_name(f"{stem.name}.txt")
        np.savetxt(path, samples, fmt="%.3f")
        return path


def test_samples_neighbours_and_worst_examples(shifted, points, tmp_path):
    pipeline = EvaluationPipeline(EvaluationConfig(metrics=("loss", "rms"), n_samples=40))
    modality = Shown()
    result = pipeline.evaluate(shifted(), points, modality, name=HOSTILE)
    result.failures["broken"] = HOSTILE
    material = pipeline.material(shifted(), points, modality)
    change = Change(name="loss", before=1.0, now=2.0, p_value=0.001, q_value=0.001, higher_is_better=False)
    train = pipeline.material(None, points + 0.001, modality)
    path = write_evaluation(tmp_path, result, material, train=train, changes=[change])
    page = path.read_text()
    root = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    xhtml = "{http://www.w3.org/1999/xhtml}"
    assert not list(root.iter(f"{xhtml}script"))
    headings = [heading.text for heading in root.iter(f"{xhtml}h2")]
    expected = ["Figures", "Changes", "Over the examples", "Samples beside data", "Nearest neighbours in the training set"]
    assert headings[:5] == expected
    assert "loss: 1 -&gt; 2" in page
    worst = int(np.argmax(np.sum(points.astype(np.float64) ** 2, axis=1)))
    rows = [[cell.text for cell in row] for table in root.iter(f"{xhtml}table") for row in table]
    place = rows.index(["example", "loss"])
    assert rows[place + 1][0] == str(worst)
    samples = material.model_space("samples", 0, 12)
    nearest = [points[np.argmin(np.sum((points + 0.001 - s) ** 2, axis=1))] + 0.001 for s in samples]
    blocks = [block.text for block in root.iter(f"{xhtml}pre")]
    shown = np.loadtxt(io.StringIO(blocks[3]))
    np.testing.assert_allclose(shown, nearest, atol=2e-3)


def test_shares_of_a_count_are_neither_drawn_nor_worst(shifted, points, tmp_path):
    """Pseudo-values of a figure that is no mean: all alike but for rounding, or of one example far away."""
    pipeline = EvaluationPipeline(EvaluationConfig(metrics=("loss",)))
    result = pipeline.evaluate(shifted(), points)
    n = len(points)
    for values in (16 + 1e-13 * np.arange(n), np.where(np.arange(n) == 7, 315.0, 16.0)):
        count = dataclasses.replace(figure(16.0, 15.0, 16.0), name="count", per_example=values)
        result.metrics = {"count": count, "loss": result["loss"]}
        page = write_evaluation(tmp_path, result, pipeline.material(shifted(), points)).read_text()
        assert "<th>example</th><th>loss</th>" in page
        assert 'alt="count"' not in page
        assert 'alt="loss"' in page


def test_the_level_of_the_intervals_is_shown(tmp_path, shifted, points):
    result = EvaluationPipeline(EvaluationConfig(metrics=("loss",)), level=0.9).evaluate(shifted(), points)
    assert "90 % interval" in write_evaluation(tmp_path, result).read_text()


def figure(value, low, high):
    signature = Signature(metric="m", definition="d", version="1", estimator="e")
    values = np.random.default_rng(0).normal(size=50)
    return MetricResult(
        name="m", value=value, low=low, high=high, n=50, signature=signature, higher_is_better=True, per_example=values
    )


@pytest.mark.parametrize(
    "png",
    [
        lambda: distribution(figure(0.0, -0.2, 0.2)),
        lambda: compared("m", {"a": figure(0.0, -0.2, 0.2), "b": figure(1.0, float("nan"), float("nan"))}),
        lambda: scatter(np.zeros((5, 2)), np.ones((5, 2))),
    ],
)
def test_plots_are_pictures(png):
    picture = np.asarray(Image.open(io.BytesIO(png())))
    assert picture.std() > 5


def test_history_has_a_line_a_signature(tmp_path):
    row = {"run": HOSTILE, "subject": "s", "evaluation": "e", "low": 0.5, "high": 1.5}
    rows = [{**row, "value": value, "signature": f"s{i % 2}"} for i, value in enumerate((1.0, 2.0, None, 1.5))]
    page = write_history(tmp_path / "h.html", "m", rows).read_text()
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    (picture,) = re.findall(r"base64,([^\"]+)", page)
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))).std() > 5
    assert over_time("m", rows)[:4] == b"\x89PNG"
