"""The pipeline: what it chooses, what it computes, what it says of failures, and a stranger's metric in twenty lines."""

import math
import threading

import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError, UnknownNameError
from artifex.core.frechet import frechet_distance, moments
from artifex.core.measuring import EvaluationConfig
from artifex.evaluation import EvaluationPipeline, MetricsRegistry
from artifex.evaluation.results import check_comparable

VECTORS = {
    "energy_distance",
    "maximum_mean_discrepancy",
    "sample_coverage",
    "sample_density",
    "sample_precision",
    "sample_recall",
    "sliced_wasserstein",
}
OWN = {"noisy_nats", "radius", "rms", "squares_frechet", "squares_kernel", "worst_error"}


def test_what_applies_is_chosen_and_nothing_else(shifted, points):
    result = EvaluationPipeline().evaluate(shifted(), points)
    assert result.ok, result.failures
    assert set(result) == VECTORS | OWN | {"loss"}
    reasons = result.skipped
    assert "modality 'image'" in reasons["of_images"]
    assert "below 1000000 examples" in reasons["of_many"]
    assert "pairs or sets" in reasons["silent"]
    assert "family 'nobody'" in reasons["broken"]
    assert "data_log_prob" in reasons["divergence"]


def test_figures_are_the_true_ones(shifted, points):
    """Of a law shifted by (s, s): what each metric is, worked out by hand."""
    s = 0.5
    result = EvaluationPipeline(EvaluationConfig(n_samples=400)).evaluate(shifted(s), points)
    assert result["rms"].value == pytest.approx(s, rel=1e-5)
    assert result["worst_error"].value == pytest.approx(s, rel=1e-5)
    error = np.mean((points.astype(np.float64) - s) ** 2)
    assert result["loss"].value == pytest.approx(error, rel=1e-5)
    nats = -np.sum((points - s) ** 2, axis=1).mean() / 2 - math.log(2 * math.pi)
    assert result["noisy_nats"].value == pytest.approx(nats - 0.01, abs=0.02)  # two numbers with a variance of 0.01 more
    samples = result["radius"]
    assert samples.n == 400
    assert samples.value == pytest.approx(1.449, abs=0.15)  # Rice's law: five standard errors of 400 draws
    assert result["squares_frechet"].value > 2 * s**2 * 0.5


def test_intervals_and_per_example_values(shifted, points):
    result = EvaluationPipeline().evaluate(shifted(0.2), points)
    for name, metric in result.items():
        if name in ("rms", "worst_error"):
            continue  # the same of every example
        assert metric.low < metric.high, name
        assert metric.low < metric.value < metric.high or metric.value == 1, name  # of a share of 1 nothing lies above
    values = result["loss"].per_example
    np.testing.assert_allclose(values, np.mean((points - 0.2) ** 2, axis=1), rtol=1e-4, atol=1e-5)
    assert values.mean() == pytest.approx(result["loss"].value, rel=1e-6)


def test_no_interval_leaves_what_a_figure_can_be(shifted, points):
    """A share near 1 of few examples: the jackknife, which goes as far up as down, knows nothing of 1."""
    found = EvaluationPipeline().evaluate(shifted(1.5), points, metrics=["sample_recall", "sample_precision", "radius"])
    for name in ("sample_recall", "sample_precision"):
        share = found[name]
        assert 0 <= share.low <= share.value <= share.high <= 1
        assert share.method == "halves"
    recall = found["sample_recall"]
    assert recall.value + (recall.value - recall.low) > recall.high == 1


def test_the_same_seed_gives_the_same_figures_and_another_does_not(shifted, points):
    first, second, third = (
        EvaluationPipeline(EvaluationConfig(metrics=("radius",)), seed=seed).evaluate(shifted(), points)["radius"]
        for seed in (0, 0, 1)
    )
    assert (first.value, first.low, first.high) == (second.value, second.low, second.high)
    assert first.value != third.value


def test_a_stranger_s_metric_gets_everything(shifted, points):
    """``radius``: a function of two lines and an entry; it is streamed, has interval, signature, comparison."""
    pipeline = EvaluationPipeline(EvaluationConfig(metrics=("radius",)))
    one, other = (pipeline.evaluate(shifted(shift), points)["radius"] for shift in (0.0, 1.0))
    assert one.method == "BCa"
    assert "stranger-measures 1.5" in str(one.signature)
    assert one.per_example.shape == (500,)
    check_comparable(one, other)
    from artifex.evaluation.regression import compare_results
    from artifex.evaluation.results import EvaluationResult

    (change,) = compare_results(EvaluationResult("a", {"radius": one}), EvaluationResult("b", {"radius": other}))
    assert change.regression


def test_a_metric_that_fails_keeps_no_other_from_its_figure(shifted, points):
    result = EvaluationPipeline().evaluate(shifted(), points, metrics=["loss", "of_many", "missing", "rms"])
    assert list(result) == ["loss", "rms"]
    assert "below 1000000" in result.failures["of_many"]
    assert "family 'nobody'" in result.failures["missing"]
    assert not result.ok


def test_other_data_have_other_signatures(shifted, points):
    pipeline = EvaluationPipeline(EvaluationConfig(metrics=("loss",)))
    one, other = (pipeline.evaluate(shifted(), data)["loss"] for data in (points, points + 1))
    with pytest.raises(InvalidInputError, match="differ in data"):
        check_comparable(one, other)


def test_samples_may_be_given(points):
    """Of the data themselves in the place of samples, which every metric of two sets finds next to perfect."""
    samples = np.random.default_rng(9).normal(size=(400, 2)).astype(np.float32)
    result = EvaluationPipeline().evaluate(None, points, samples=samples)
    assert set(result) == VECTORS
    assert abs(result["energy_distance"].value) < 0.02
    assert result["sample_coverage"].value > 0.9


def test_a_budget_that_is_spent_begins_nothing(shifted, points):
    result = EvaluationPipeline().evaluate(shifted(), points, metrics=["loss", "rms"], budget_seconds=1e-9)
    assert not result.metrics
    assert "budget" in result.failures["rms"]


def test_progress_is_told(shifted, points):
    told = []
    EvaluationPipeline(progress=lambda name, part: told.append((name, part))).evaluate(
        shifted(), points, metrics=["loss", "rms"]
    )
    parts = [part for _, part in told]
    assert parts == sorted(parts)
    assert parts[-1] == 1
    assert {name for name, _ in told} == {"loss", "rms"}


def test_metrics_of_host_objects_run_side_by_side(shifted, points, stranger, monkeypatch, tmp_path):
    """Two of them wait for each other at every call, which one thread alone never would come back from."""
    names = ["host_largest", "loss", "host_mean", "host_words", "of_images", "radius"]
    told = []

    def evaluated(workers, folder):
        told.clear()
        pipeline = EvaluationPipeline(workers=workers, folder=folder, progress=lambda name, part: told.append(part))
        return pipeline.evaluate(shifted(0.3), points, stranger.Words(), metrics=names)

    serial = evaluated(1, None)
    monkeypatch.setattr(stranger, "meeting", threading.Barrier(2))
    parallel = evaluated(2, tmp_path)
    assert not stranger.meeting.broken
    assert list(parallel) == list(serial) == [name for name in names if name != "of_images"]
    assert list(parallel.failures) == ["of_images"]
    for name in serial:
        one, other = serial[name], parallel[name]
        assert (one.value, one.low, one.high, one.signature) == (other.value, other.low, other.high, other.signature), name
    assert told == sorted(told)
    assert told[-1] == 1
    with pytest.raises(InvalidInputError, match="workers is 0"):
        evaluated(0, None)


def test_extractors_are_configured(shifted, points):
    """A Fréchet distance of features x, y, x^3, y^3, from their moments, and it is none of x, y, x^2, y^2."""
    config = EvaluationConfig(metrics=("squares_frechet",), extractors={"squares": {"power": 3}})
    cubes, squares, again = (
        EvaluationPipeline(c, extractors=e).evaluate(shifted(0.3), points)["squares_frechet"]
        for c, e in ((config, None), (config, {"squares": {"power": 2}}), (None, {"squares": {"power": 3}}))
    )
    assert (cubes.signature.features, squares.signature.features) == ("squares:power 3", "squares:power 2")
    assert cubes.value == again.value
    material = EvaluationPipeline(config).material(shifted(0.3), points)
    sets = [material.model_space(name, 0, 500).astype(np.float64) for name in ("samples", "references")]
    truth = frechet_distance(*(moments(np.concatenate([x, x**3], axis=1)) for x in sets))
    assert cubes.value == pytest.approx(truth, rel=1e-4)
    with pytest.raises(InvalidInputError, match="differ in features"):
        check_comparable(cubes, squares)


def test_an_extractor_that_is_unknown_or_cannot_be_had(shifted, points):
    for extractors, said in (
        ({"squarez": {}}, "no extractor 'squarez'; installed: .*squares"),
        ({"squares": {"powre": 2}}, "squares: not a valid SquaresConfig\n *powre: no such field.*did you mean 'power'"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            EvaluationPipeline(extractors=extractors)
    pipeline = EvaluationPipeline(extractors={"squares": {"weights": "missing.npz"}})
    with pytest.raises(InvalidInputError, match=r"squares_\w+: .*no weights missing.npz"):
        pipeline.evaluate(shifted(), points)


def test_the_registry_finds_and_chooses(stranger):
    metrics = MetricsRegistry()
    assert "rms" in metrics
    assert "of_images" in metrics.names(modality="image")
    assert "of_images" not in metrics.names(modality="text")
    assert "rms" not in metrics.names(family="vae")
    assert len(metrics) == len(list(metrics))
    assert metrics.distribution("rms") == "stranger-measures"
    with pytest.raises(UnknownNameError, match="did you mean 'rms'"):
        metrics.get("rmss")


@pytest.mark.parametrize(("data", "error"), [({"y": np.zeros(3)}, "no array 'x'"), (np.zeros((0, 2)), "hold no examples")])
def test_data_that_are_none(shifted, data, error):
    with pytest.raises(DataError, match=error):
        EvaluationPipeline().evaluate(shifted(), data)


def test_a_name_that_is_unknown(shifted, points):
    with pytest.raises(UnknownNameError, match="noisy_nats"):
        EvaluationPipeline().evaluate(shifted(), points, metrics=["noisy_nat"])
    with pytest.raises(UnknownNameError):
        EvaluationPipeline().evaluate(shifted(), points, "no_such_modality")
