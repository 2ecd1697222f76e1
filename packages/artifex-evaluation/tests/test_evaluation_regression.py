"""Regressions are told from chance: false alarms, power, tolerances, and what may not be compared."""

import math

import numpy as np
import pytest
import scipy.stats

from artifex.core.errors import InvalidInputError
from artifex.evaluation.regression import (
    benjamini_hochberg,
    compare_results,
    compare_timings,
    paired_randomisation_test,
    step_test,
)
from artifex.evaluation.results import EvaluationResult, MetricResult, Signature

TRIALS = 500


def figure(name="m", value=0.0, per_example=None, *, tolerance=0.0, higher=True, version="1", low=math.nan, high=math.nan):
    signature = Signature(metric=name, definition="d", version=version, estimator="e")
    return MetricResult(
        name=name,
        value=value,
        low=low,
        high=high,
        n=10,
        signature=signature,
        higher_is_better=higher,
        tolerance=tolerance,
        per_example=per_example,
    )


def result(*figures):
    return EvaluationResult("run", {f.name: f for f in figures})


def alarms(shift, rng):
    """How often a change of per-example values by ``shift`` standard deviations of their difference is found."""
    found = 0
    for _ in range(TRIALS):
        before = rng.normal(size=1000)
        now = before + rng.normal(size=1000) + shift
        found += paired_randomisation_test(before, now, draws=400, rng=rng) <= 0.05
    return found / TRIALS


def test_false_alarms_and_power_of_the_paired_test():
    rng = np.random.default_rng(0)
    false, power = alarms(0.0, rng), alarms(0.2, rng)
    print(f"paired randomisation: false alarms {false:.3f}, power {power:.3f}")
    assert false <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / TRIALS)  # the test is exact; two standard errors of the count
    assert power >= 0.95


def test_false_alarms_of_several_metrics_together():
    """Whether any of ten metrics is called a regression, when nothing has changed."""
    rng, found = np.random.default_rng(1), 0
    for _ in range(200):
        before, now = (result(*(figure(f"m{i}", per_example=rng.normal(size=100)) for i in range(10))) for _ in range(2))
        now = result(*(figure(f.name, -1.0, f.per_example) for f in now.values()))
        found += any(change.regression for change in compare_results(before, now, seed=int(rng.integers(2**31))))
    assert found / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


def test_false_alarms_and_power_of_the_step_test():
    rng = np.random.default_rng(2)
    histories = rng.normal(size=(4000, 8))
    false = np.mean([step_test(h, x) <= 0.05 for h, x in zip(histories, rng.normal(size=4000), strict=True)])
    power = np.mean([step_test(h, x + 5) <= 0.05 for h, x in zip(histories, rng.normal(size=4000), strict=True)])
    assert abs(false - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 4000)
    assert power >= 0.95


def test_the_paired_test_agrees_with_scipy_s():
    rng = np.random.default_rng(3)
    a = rng.normal(size=40)
    b = a + 0.3 * rng.normal(size=40) + 0.1
    ours = paired_randomisation_test(a, b, draws=20_000, rng=rng)
    theirs = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(y - x, axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=20_000, rng=np.random.default_rng(0),
    ).pvalue  # fmt: skip
    assert ours == pytest.approx(theirs, abs=0.01)  # three standard errors of 20 000 draws


def test_the_adjustment_agrees_with_scipy_s():
    p = np.random.default_rng(4).uniform(size=30)
    np.testing.assert_allclose(benjamini_hochberg(p), scipy.stats.false_discovery_control(p))
    with_gap = benjamini_hochberg(np.array([0.01, np.nan, 0.02]))
    np.testing.assert_allclose(with_gap, [0.02, np.nan, 0.02])


def test_equal_values_are_no_change():
    values = np.arange(5.0)
    assert paired_randomisation_test(values, values, rng=np.random.default_rng(0)) == 1


def test_a_regression_is_significant_and_beyond_the_tolerance():
    x = np.random.default_rng(5).normal(size=500)
    (change,) = compare_results(result(figure(per_example=x)), result(figure(value=-0.1, per_example=x - 0.1)))
    assert change.regression
    assert change.test == "paired randomisation"
    (within,) = compare_results(
        result(figure(per_example=x, tolerance=0.2)), result(figure(value=-0.1, per_example=x - 0.1, tolerance=0.2))
    )
    assert within.significant
    assert not within.regression
    assert "within the tolerance" in str(within)
    (better,) = compare_results(
        result(figure(per_example=x, higher=False)), result(figure(value=-0.1, per_example=x - 0.1, higher=False))
    )
    assert better.significant
    assert not better.regression
    assert "improved" in str(better)


def test_without_per_example_values_the_history_tells():
    history = {"m": [1.0, 1.1, 0.9, 1.05, 0.95]}
    (change,) = compare_results(result(figure(value=1.0)), result(figure(value=0.0)), history=history)
    assert change.test == "step"
    assert change.regression


def test_without_either_the_intervals_tell():
    one, other = figure(value=1.0, low=0.9, high=1.1), figure(value=0.5, low=0.4, high=0.6)
    (change,) = compare_results(result(one), result(other))
    assert change.test == "intervals"
    assert change.regression
    (unknown,) = compare_results(result(figure(value=1.0)), result(figure(value=0.5)))
    assert not unknown.regression
    assert "unknown" in str(unknown)


def test_two_signatures_are_not_compared():
    with pytest.raises(InvalidInputError) as error:
        compare_results(result(figure(version="1")), result(figure(version="2")))
    assert "m|d|v:1|e" in str(error.value)
    assert "m|d|v:2|e" in str(error.value)
    assert "differ in version" in str(error.value)


def test_a_short_history_says_nothing():
    assert math.isnan(step_test([1.0, 2.0], 5.0))
    assert step_test([1.0] * 5, 1.0) == 1
    assert math.isnan(step_test([1.0] * 5, 2.0))


def test_timings_advise_unless_the_machine_is_the_same():
    before = [1.0, 1.01, 0.99, 1.02, 0.98]
    assert compare_timings(before, 2.0, same_machine=True)[0]
    assert not compare_timings(before, 1.03, same_machine=True)[0]
    assert not compare_timings(before, 2.0, same_machine=False)[0]
    assert not compare_timings([], 2.0, same_machine=True)[0]


def test_values_of_other_examples_are_refused():
    with pytest.raises(InvalidInputError, match="values of the same examples"):
        paired_randomisation_test(np.zeros(3), np.zeros(4), rng=np.random.default_rng(0))


def test_one_model_measured_again_and_again_is_no_history():
    """Five equal figures say nothing of how far those of other models lie apart."""
    one, other = figure(value=1.0, low=0.5, high=1.5), figure(value=0.9, low=0.4, high=1.4)
    for noise in (0.0, 1e-9):
        repeats = {"m": [1.0 + i * noise for i in range(5)]}
        (change,) = compare_results(result(one), result(other), history=repeats)
        assert change.test == "intervals"
        assert not change.regression
    (change,) = compare_results(result(one), result(other), history={"m": [1.0, 1.1, 0.9, 1.05, 1.0, 1.0]})
    assert change.test == "step"
    assert change.p_value == step_test([1.0, 1.1, 0.9, 1.05], 0.9)


def test_an_interval_that_ends_at_the_metric_s_range_makes_no_false_alarms():
    """Shares near 0, whose intervals end there: the error is that of the longer side."""
    rng, z, error = np.random.default_rng(8), 1.96, 0.02
    found = 0
    for _ in range(2000):
        pair = [0.005 + error * rng.normal() for _ in range(2)]
        one, other = (figure(value=max(0.0, v), low=0.0, high=max(0.0, v) + z * error) for v in pair)
        (change,) = compare_results(result(one), result(other))
        found += change.significant
    assert found / 2000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize(("now", "lost"), [(math.nan, True), (-math.inf, True), (math.inf, False)])
def test_a_figure_that_is_lost_is_a_regression(now, lost):
    (change,) = compare_results(result(figure(value=1.0)), result(figure(value=now)))
    assert change.regression == lost
    assert ("no longer a finite number): regression" in str(change)) == lost
    (never,) = compare_results(result(figure(value=math.nan)), result(figure(value=math.nan)))
    assert not never.regression
