"""Rules of series: what is found, where, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.modalities.timeseries import constraints


def test_monotone_is_what_a_loop_finds() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = np.round(rng.normal(size=(4, 9, 2)), 1)
        x[rng.random(x.shape) < 0.2] = np.nan
        for direction, strict in (("rising", False), ("falling", True)):
            expected = []
            for n, t, c in np.ndindex(*x.shape):
                before = x[n, :t, c][~np.isnan(x[n, :t, c])]
                if np.isnan(x[n, t, c]) or not len(before):
                    continue
                step = (x[n, t, c] - before[-1]) * (1 if direction == "rising" else -1)
                if step < 0 or (strict and step == 0):
                    expected.append((n, t, c))
            assert list(constraints.check_monotone(x, direction=direction, strict=strict).places) == expected
    with pytest.raises(InvalidInputError, match="direction is 'rising' or 'falling', got 'up'"):
        constraints.check_monotone(x, direction="up")  # pyright: ignore[reportArgumentType]


def test_bounds_and_signs() -> None:
    series = [np.array([0.0, 2.0]), np.array([-1.0, np.nan, 5.0])]
    assert constraints.check_bounded(series, 0.0, 3.0).places == ((1, 0, 0), (1, 2, 0))
    assert constraints.check_non_negative(series).values == (-1.0,)
    assert str(constraints.check_bounded(series, None, 9.0)) == "to 9: kept"
    assert str(constraints.check_non_negative(series)).startswith("not negative: broken at 1 places, first in series 1, step 0")


def test_the_future_is_not_looked_into() -> None:
    import jax

    from artifex.modalities.timeseries.metrics.scores import _features, _initial

    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 20, 2))
    params = _initial(jax.random.key(0), 2, 1)
    assert not constraints.check_no_future(lambda s: _features(params, s.astype(np.float32)), x, rng=rng).places
    assert not constraints.check_no_future(lambda s: np.cumsum(s, axis=1), x, rng=rng).places
    for leaks in (lambda s: s - s.mean(axis=1, keepdims=True), lambda s: np.flip(s, axis=1), lambda s: np.roll(s, -1, axis=1)):
        found = constraints.check_no_future(leaks, x, rng=rng)
        assert found.places
        assert "nothing of the future: broken" in str(found)
    with_gaps = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    assert not constraints.check_no_future(lambda s: np.cumsum(s, axis=1), with_gaps, rng=rng).places  # NaN from a gap on
    for _ in range(20):  # whatever the step that is drawn, a gap that comes later shows in what comes before it
        found = constraints.check_no_future(
            lambda s: np.where(s.sum(1, keepdims=True) > 0, s, np.nan), np.ones_like(x), rng=rng
        )
        assert not found.places or np.isinf(found.values).all()
    with pytest.raises(InvalidInputError, match="output is NaN in series 0, step 0, before any gap"):
        constraints.check_no_future(lambda s: s * np.nan, x, rng=rng)
    with pytest.raises(InvalidInputError, match=r"made \(3, 4, 2\) of \(3, 20, 2\); its series and steps have to be"):
        constraints.check_no_future(lambda s: s[:, :4], x, rng=rng)
    with pytest.raises(InvalidInputError, match="series have no value"):
        constraints.check_no_future(np.abs, x * np.nan, rng=rng)
    with pytest.raises(InvalidInputError, match="at least two steps"):
        constraints.check_no_future(np.abs, x[:, :1], rng=rng)


def test_what_appears_or_vanishes_with_the_future_is_a_leak() -> None:
    """NaN with one future and a number with another."""
    x, calls = np.ones((2, 6, 1)), []

    def second_is_nan(series: np.ndarray) -> np.ndarray:
        calls.append(series)
        return series if len(calls) == 1 else series * np.nan

    found = constraints.check_no_future(second_is_nan, x, rng=np.random.default_rng(0))
    assert found.places[0] == (0, 0, 0)
    assert np.isinf(found.values).all()


def test_bounds_and_tolerances_that_cannot_be_are_told() -> None:
    x = np.zeros((1, 3))
    with pytest.raises(InvalidInputError, match="no value lies from 5 to 1; give the lower end first"):
        constraints.check_bounded(x, 5, 1)
    for ends in ((np.nan, 1), (0, np.nan)):
        with pytest.raises(InvalidInputError, match="write None for no end"):
            constraints.check_bounded(x, *ends)
    for tolerance in (-1.0, np.nan):
        with pytest.raises(InvalidInputError, match=f"tolerance is a number from 0, got {tolerance}"):
            constraints.check_monotone(x, tolerance=tolerance)
    with pytest.raises(InvalidInputError, match=r"series needs series of numbers, \(L, C\) each"):
        constraints.check_bounded([["a"]], 0, 1)
