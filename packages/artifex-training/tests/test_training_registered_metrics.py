"""``evaluation`` of a run file: registered metrics at every n-th evaluation of the trainer."""

import json

import pytest

from artifex.core.errors import RunError, RunWarning, UnknownNameError
from artifex.training import build_run


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def run(tiny, folder, **evaluation):
    build_run(tiny.config(evaluation=evaluation, training__epochs=4)).start(folder)
    return {line["step"]: line for line in lines(folder) if any(name.startswith("metric/") for name in line)}


def test_what_applies_is_measured_at_every_second_evaluation(tiny, tmp_path):
    found = run(tiny, tmp_path / "run", every=2)
    evaluated = {line["step"]: line["eval/loss"] for line in lines(tmp_path / "run") if "eval/loss" in line}
    assert list(found) == list(evaluated)[1::2]
    for step, figures in found.items():
        assert figures.keys() == {"step", "metric/tiny_error", "metric/tiny_radius"}
        # the objective's own, over the same held-out data with the same parameters
        assert figures["metric/tiny_error"] == pytest.approx(evaluated[step], rel=1e-5)


def test_metrics_by_name(tiny, tmp_path):
    (first, *_) = run(tiny, tmp_path / "run", every=1, metrics=["tiny_radius"], n_samples=3).values()
    assert first.keys() == {"step", "metric/tiny_radius"}


def test_without_every_the_trainer_leaves_it_to_the_command(tiny, tmp_path):
    assert not run(tiny, tmp_path / "run", metrics=["tiny_radius"])
    assert "evaluation:" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_metric_that_fails_ends_no_training(tiny, tmp_path):
    with pytest.warns(RunWarning, match="tiny_broken.*it never works"):
        found = run(tiny, tmp_path / "run", every=1, metrics=["tiny_broken", "tiny_radius"])
    assert all(figures.keys() == {"step", "metric/tiny_radius"} for figures in found.values())


def test_mistakes_are_found_before_training(tiny):
    with pytest.raises(UnknownNameError, match="tiny_radius"):
        build_run(tiny.config(evaluation={"every": 1, "metrics": ["tiny_radios"]}))
    with pytest.raises(RunError, match="held-out data"):
        build_run(tiny.config(evaluation={"every": 1}, data__dataset={"kind": "tiny_data", "held_out_size": None}))
