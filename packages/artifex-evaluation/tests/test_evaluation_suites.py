"""Suites in Python: models measured, compared, ranked; the embedded suites are valid."""

import math

import numpy as np
import pytest
import yaml

from artifex.core import plugins
from artifex.core.densities.dataset import DensitySamples, DensitySamplesConfig
from artifex.core.errors import DataError, InvalidInputError, RunError, UnknownNameError
from artifex.evaluation import BenchmarkSuite, ComparisonResult, SuiteConfig
from artifex.evaluation.results import EvaluationResult, MetricResult, Signature
from artifex.evaluation.suites import read_suite
from artifex.evaluation.suites.running import _which

TASK = {"name": "rings", "dataset": {"kind": "density", "density": "rings", "n_train": 200, "n_test": 200}}


@pytest.fixture
def suite(stranger):
    return BenchmarkSuite(SuiteConfig.from_dict({"name": "mine", "tasks": [{**TASK, "metrics": ["divergence", "rms"]}]}))


def test_a_model_on_a_task_and_on_a_data_set(suite, shifted):
    result = suite.run_benchmark(shifted(), "rings")
    assert result.ok
    assert result["rings"]["divergence"].value > 0.5  # nats: a normal law is no set of rings
    assert "rings" in result.table()
    config = DensitySamplesConfig(density="rings", n_train=50, n_test=50)
    for data in (config, DensitySamples(config)):
        other = suite.run_benchmark(shifted(), data, ["rms"])
        assert list(other["density"]) == ["rms"]
    with pytest.raises(InvalidInputError, match="no task 'moons'"):
        suite.run_benchmark(shifted(), "moons")
    with pytest.raises(DataError, match="no data set"):
        suite.run_benchmark(shifted(), np.zeros((3, 2)))


def test_the_divergence_is_the_true_one(suite, shifted):
    """KL of the density from a normal law: minus the entropy less the mean log density, worked out from fresh draws."""
    import jax

    density = DensitySamples(DensitySamplesConfig(density="rings")).density
    x = np.asarray(density.sample(jax.random.key(5), 20_000), np.float64)
    truth = -density.entropy() + np.mean(np.sum(x**2, axis=1)) / 2 + math.log(2 * math.pi)
    found = suite.run_benchmark(shifted(), "rings")["rings"]["divergence"]
    assert found.value == pytest.approx(truth, abs=6 * (found.high - found.low) / 4)
    assert found.low < found.value < found.high


def test_models_are_compared(suite, shifted):
    compared = suite.compare_models({"near": shifted(0.1), "far": {"rings": shifted(1.0)}})
    assert compared.models == ["near", "far"]
    assert compared.best("rings", "divergence") == "near"
    assert compared.ranks()["rings", "divergence"] == {"near": 1, "far": 2}
    assert compared.mean_ranks() == {"near": 1.0, "far": 2.0}
    assert "mean rank" in compared.table()


def test_several_seeds(stranger, shifted):
    """The mean and the spread of what each seed gives by itself."""
    tasks = [{**TASK, "metrics": ["energy_distance", "loss", "of_many"], "n_samples": 100}]

    def measured(**fields):
        suite = BenchmarkSuite(SuiteConfig.from_dict({"name": "mine", "tasks": tasks, **fields}))
        return suite.run_benchmark(shifted(), "rings")["rings"]

    seeds = (4, 5, 9)
    each = [measured(seed=seed) for seed in seeds]
    values = [result["energy_distance"].value for result in each]
    assert len(set(values)) == 3
    whole = measured(seeds=seeds)
    assert [result["energy_distance"].value for result in whole.by_seed.values()] == values
    found = whole["energy_distance"]
    assert found.value == pytest.approx(np.mean(values))
    assert found.spread == pytest.approx(np.std(values, ddof=1))
    assert found.low == pytest.approx(np.mean([result["energy_distance"].low for result in each]))
    assert f"± {found.spread:.5g} over seeds" in whole.table()
    assert "mean of 3 seeds" in str(found.signature)
    np.testing.assert_allclose(whole["loss"].per_example, np.mean([r["loss"].per_example for r in each], axis=0))
    assert "seed 9: " in whole.failures["of_many"]
    again = MetricResult.from_dict(found.to_dict())
    assert again.spread == found.spread


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"seeds": [1, 1]}, "given twice"), ({"seeds": [1, 2], "seed": 3}, "take the place"), ({"seeds": [-1]}, "seeds")],
)
def test_seeds_that_are_none(fields, said, stranger):
    with pytest.raises(ValueError, match=said):
        SuiteConfig.from_dict({"name": "mine", "tasks": [TASK], **fields})


def figure(value, low, high, higher=False):
    signature = Signature(metric="m", definition="d", version="1", estimator="e")
    return MetricResult(name="m", value=value, low=low, high=high, n=3, signature=signature, higher_is_better=higher)


def test_models_that_cannot_be_told_apart_share_a_rank():
    results = {"a": figure(1.0, 0.8, 1.2), "b": figure(1.1, 0.9, 1.3), "c": figure(2.0, 1.9, 2.1)}
    compared = ComparisonResult({name: {"t": EvaluationResult(name, {"m": f})} for name, f in results.items()})
    assert compared.ranks()["t", "m"] == {"a": 1, "b": 1, "c": 3}


@pytest.mark.parametrize("name", ["densities"])
def test_embedded_suites(name, stranger):
    suite = read_suite(name)
    assert suite.name == name
    assert len(suite.tasks) == 10


def test_a_file_that_is_no_suite(tmp_path):
    (tmp_path / "s.yaml").write_text("- 1\n")
    with pytest.raises(DataError, match="holds no suite"):
        read_suite(tmp_path / "s.yaml")
    (tmp_path / "s.yaml").write_text("tasks: [{dataset: {kind: density, density: rings}}]\n")
    with pytest.raises(DataError, match="a task needs a name"):
        read_suite(tmp_path / "s.yaml")


@pytest.mark.parametrize(("suite", "task"), [("../mine", "a"), ("mine", "a/../../b"), ("..", "a"), ("mine", "a\\b")])
def test_names_are_those_of_folders(suite, task):
    dataset = {"kind": "density", "density": "two_moons"}
    with pytest.raises(ValueError, match="without slashes; got"):
        SuiteConfig.from_dict({"name": suite, "tasks": [{"name": task, "dataset": dataset}]})


def test_a_file_that_is_no_text_is_no_suite(tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no text in UTF-8"):
        read_suite(tmp_path / "s.yaml")


def test_an_error_names_the_model_and_the_task(suite, shifted):
    with pytest.raises(UnknownNameError, match=r"far on rings: .*'divergences'"):
        suite.compare_models({"far": shifted(1.0)}, metrics=["divergences"])


MOONS = {"name": "moons", "dataset": {"kind": "density", "density": "two_moons"}}


@pytest.mark.parametrize(
    ("tasks", "trained_on", "found"),
    [
        ([TASK, MOONS], {"kind": "density", "density": "two_moons"}, "moons"),
        ([TASK, MOONS], {"kind": "density", "density": "rings", "n_train": 7}, "rings"),
        ([TASK, MOONS], {"kind": "density", "density": "checkerboard"}, "none of the suite's data sets; .*of rings, moons"),
        ([TASK, {**TASK, "name": "again"}, MOONS], TASK["dataset"], "the data set of several tasks; .*of rings, again$"),
    ],
)
def test_the_task_of_a_run_is_that_of_its_data_set(stranger, tmp_path, tasks, trained_on, found):
    config = SuiteConfig.from_dict({"name": "mine", "tasks": tasks})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": {"dataset": trained_on}}))
    if " " not in found:
        assert _which(config, str(tmp_path))[0] == found
        return
    with pytest.raises(InvalidInputError, match=found):
        _which(config, str(tmp_path))


def test_a_preset_is_no_run(monkeypatch, stranger, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(type(plugins.registry()), "names", lambda self, kind: ("rings-flow",) if kind == "preset" else ())
    config = SuiteConfig.from_dict({"name": "mine", "tasks": [TASK, MOONS]})
    with pytest.raises(RunError, match="rings-flow is a preset: train it, and give the run's folder"):
        _which(config, "rings-flow")
    with pytest.raises(RunError, match=r"other is neither a run's folder nor a model's: it has no config\.yaml$"):
        _which(config, "other")
