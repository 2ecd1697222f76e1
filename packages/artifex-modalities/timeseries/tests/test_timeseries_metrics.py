"""Metrics of series: DTW against dtaidistance and tslearn, the rest against SciPy, statsmodels and loops written out."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from dtaidistance import dtw as oracle, dtw_ndim
from scipy.signal import periodogram

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.plugins import resolve
from artifex.core.testing import user_environment
from artifex.modalities.timeseries import metrics
from artifex.modalities.timeseries.metrics.components import decompose
from artifex.modalities.timeseries.plugin import artifex_metrics

MANY = pytest.mark.parametrize("cases", [100, pytest.param(1000, marks=pytest.mark.nightly)])


def random_series(rng: np.random.Generator, n: int, channels: int, ties: bool) -> list[np.ndarray]:
    made = [rng.normal(size=(int(rng.integers(1, 30)), channels)) for _ in range(n)]
    return [np.round(one) for one in made] if ties else made


@pytest.mark.parametrize("band", [None, 0, 3])
def test_dtw_of_a_thousand_random_pairs_is_dtaidistances(band: int | None) -> None:
    """Unequal lengths from one step on, ties, constants; 1e-5 of the distance is what float32 sums of 58 squares keep."""
    rng = np.random.default_rng(0)
    x, y = random_series(rng, 1000, 1, ties=False), random_series(rng, 1000, 1, ties=False)
    x[:200], y[:200] = ([np.round(one) for one in side[:200]] for side in (x, y))
    x[200:220] = [np.ones_like(one) for one in x[200:220]]
    window = {} if band is None else {"window": band + 1}
    expected = [oracle.distance(a[:, 0], b[:, 0], **window) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(metrics.dtw(x, y, band=band), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("band", [None, 2])
@pytest.mark.parametrize("channels", [2, 3])
def test_dtw_of_several_channels_is_dtaidistances(channels: int, band: int | None) -> None:
    """Of 1000 pairs each: unequal lengths from one step on, ties in half of them, constants."""
    rng = np.random.default_rng(channels)
    x, y = random_series(rng, 1000, channels, ties=False), random_series(rng, 1000, channels, ties=False)
    x[:500], y[:500] = ([np.round(one) for one in side[:500]] for side in (x, y))
    x[500:520] = [np.ones_like(one) for one in x[500:520]]
    window = {} if band is None else {"window": band + 1}
    expected = [dtw_ndim.distance_fast(a, b, **window) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(metrics.dtw(x, y, band=band), expected, rtol=1e-5, atol=1e-6)


TURNS = """
import time
import numpy as np
from dtaidistance import dtw as oracle
from artifex.modalities.timeseries.metrics import dtw

x, y = np.random.default_rng(0).normal(size=(2, 256, 128))
contestants = [
    lambda: dtw(x, y),
    lambda: [oracle.distance_fast(a, b, use_pruning=False) for a, b in zip(x, y, strict=True)],
]
np.testing.assert_allclose(contestants[0](), contestants[1](), rtol=1e-5)
least = [float("inf")] * 2
for _ in range(30):
    for i, run in enumerate(contestants):
        begun = time.perf_counter()
        run()
        least[i] = min(least[i], time.perf_counter() - begun)
print(*least)
"""


@pytest.mark.nightly
def test_dtw_is_no_slower_than_dtaidistances_c_in_a_loop() -> None:
    """256 pairs of 128 x 128, in turns: what else runs on the machine can only add to a time, so the least of each counts.

    In a process of its own, since tests compile for eight devices and without optimising.
    """
    plain = {name: value for name, value in user_environment().items() if not name.startswith(("XLA_", "JAX_"))}
    done = subprocess.run([sys.executable, "-c", TURNS], env=plain, capture_output=True, text=True, check=True)
    scan, loop = map(float, done.stdout.split())
    assert scan <= loop


@pytest.mark.parametrize(("offset", "scale"), [(1e3, 1.0), (3e4, 1.0), (1e6, 1.0), (1e6, 1e-3), (0.0, 1e25), (0.0, 1e-25)])
def test_dtw_keeps_its_digits_away_from_zero_and_in_any_unit(offset: float, scale: float) -> None:
    """float64 keeps 1e-16 of the offset, 1e-7 of the least scale here; squares of 1e25 and 1e-25 are no float32 numbers."""
    rng = np.random.default_rng(5)
    x, y = ([offset + scale * one for one in random_series(rng, 40, 2, ties=False)] for _ in range(2))
    expected = [dtw_ndim.distance(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(metrics.dtw(x, y), expected, rtol=1e-5)
    nearest = [min(dtw_ndim.distance(one, other) for other in y) for one in x[:3]]
    np.testing.assert_allclose(metrics.dtw_to_nearest(x[:3], y), nearest, rtol=1e-5)


def test_pairs_far_from_each_other_keep_their_digits() -> None:
    """One pair at 0 and one at 1e6: each has a centre of its own."""
    rng = np.random.default_rng(6)
    x, y = (rng.normal(size=(2, 20, 1)) + np.array([0.0, 1e6])[:, None, None] for _ in range(2))
    expected = [dtw_ndim.distance(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(metrics.dtw(x, y), expected, rtol=1e-5)


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
def test_no_figure_depends_on_where_zero_is(offset: float) -> None:
    """Rounding of ``offset + x`` to float64 is the only difference: 1e-7 at 1e9 (of 1), to which 1e-5 is enough."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(16, 24, 2)), np.cumsum(rng.normal(size=(16, 24, 2)), axis=1)
    for metric in (
        metrics.dtw,
        metrics.dtw_to_nearest,
        metrics.autocorrelation_difference,
        metrics.cross_correlation_difference,
        metrics.power_spectrum_distance,
        metrics.trend_preservation,
        metrics.seasonality_preservation,
    ):
        np.testing.assert_allclose(metric(x + offset, y + offset), metric(x, y), rtol=1e-5, err_msg=str(metric))
    # a value at a bin's edge may change its bin: one of 16, of the 50 bins of one of 48 places
    moved = metrics.marginal_distribution_difference(x + offset, y + offset)
    assert moved == pytest.approx(metrics.marginal_distribution_difference(x, y), rel=0.01)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6 + 0.1, -7e11])
def test_what_is_constant_varies_nowhere(value: float) -> None:
    """Whatever its mean is rounded to: the rounding is no signal."""
    flat, x = np.full((7, 12, 1), value), np.random.default_rng(0).normal(size=(7, 12, 1))
    assert np.isnan(metrics.autocorrelation(flat, 3)).all()
    assert metrics.power_spectrum(flat).sum() == 0
    assert np.isnan(metrics.strengths(flat, 3)).all()
    assert np.isnan(metrics.power_spectrum_distance(flat, flat))
    assert metrics.power_spectrum_distance(flat, x) == metrics.power_spectrum_distance(x, flat) == 1
    assert metrics.marginal_distribution_difference(flat, flat) == 0
    assert np.isfinite(metrics.marginal_distribution_difference(x, flat))
    assert metrics.predictive(x + value, flat, n_seeds=1).mean < 10  # in the data's own unit, and not in that of rounding


@pytest.mark.reference
@pytest.mark.parametrize("band", [None, 2])
def test_dtw_is_tslearns(band: int | None) -> None:
    tslearn = pytest.importorskip("tslearn.metrics")
    rng = np.random.default_rng(2)
    x, y = random_series(rng, 1000, 2, ties=False), random_series(rng, 1000, 2, ties=False)
    band_of = {} if band is None else {"global_constraint": "sakoe_chiba", "sakoe_chiba_radius": band}
    expected = [tslearn.dtw(a, b, **band_of) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(metrics.dtw(x, y, band=band), expected, rtol=1e-5, atol=1e-6)


def test_dtw_does_not_depend_on_batches_or_padding() -> None:
    rng = np.random.default_rng(3)
    x, y = random_series(rng, 70, 1, ties=False), random_series(rng, 70, 1, ties=False)
    whole = metrics.dtw(x, y)
    for size in (1, 7, 64):
        parts = [metrics.dtw(x[i : i + size], y[i : i + size]) for i in range(0, 70 if size > 1 else 7, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole[: 70 if size > 1 else 7], rtol=1e-6)
    np.testing.assert_allclose(metrics.dtw_to_nearest(x[:5], y), [metrics.dtw([one] * 70, y).min() for one in x[:5]], rtol=1e-6)


@MANY
def test_autocorrelation_is_what_a_loop_gives_and_of_one_process_the_known_one(cases: int) -> None:
    from artifex.modalities.timeseries.datasets.made import arma

    for seed in range(cases):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(int(rng.integers(1, 5)), int(rng.integers(3, 20)), 2))
        z = (x - x.mean((0, 1))) / x.std((0, 1))
        expected = np.zeros((3, 2))
        for k, c in np.ndindex(3, 2):
            products = [z[n, t, c] * z[n, t + k, c] for n in range(len(z)) for t in range(z.shape[1] - k)]
            expected[k, c] = np.mean(products)
        np.testing.assert_allclose(metrics.autocorrelation(x, 3), expected, atol=1e-12)
    from statsmodels.tsa.arima_process import ArmaProcess

    known = ArmaProcess([1, -0.75, 0.25], [1, 0.65]).acf(5)
    series = arma(np.random.default_rng(0), 4000, 50, 1)
    # of 4000 series of 50 steps, dependent over about five: 5 standard errors of 1 / sqrt(40 000)
    np.testing.assert_allclose(metrics.autocorrelation(series, 5)[:, 0], known, atol=0.025)


@MANY
def test_differences_of_autocorrelation_and_between_channels(cases: int) -> None:
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        n, m, length = (int(v) for v in rng.integers((1, 1, 5), (6, 6, 10)))
        x, y = rng.normal(size=(n, length, 3)), np.cumsum(rng.normal(size=(m, length, 3)), axis=1)
        one, other = (metrics.autocorrelation(side, length) for side in (x, y))
        expected = np.mean([np.sqrt(np.sum((one[:, c] - other[:, c]) ** 2)) for c in range(3)])
        assert metrics.autocorrelation_difference(x, y) == pytest.approx(expected)
        flat = [np.corrcoef(side.reshape(-1, 3), rowvar=False) for side in (x, y)]
        np.testing.assert_allclose(metrics.cross_correlation(x), flat[0], atol=1e-12)
        difference = np.abs(flat[0] - flat[1])[np.triu_indices(3, 1)].mean()
        assert metrics.cross_correlation_difference(x, y) == pytest.approx(difference)
    assert np.isnan(metrics.cross_correlation_difference(x[..., :1], y[..., :1]))


@MANY
def test_the_spectrum_is_scipys(cases: int) -> None:
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(4, 33))
        x = rng.normal(size=(5, n, 1)) + 10
        power = periodogram(x[..., 0], detrend="constant", axis=1)[1]
        np.testing.assert_allclose(metrics.power_spectrum(x)[:, 0], (power / power.sum(1, keepdims=True)).mean(0), atol=1e-10)


@MANY
def test_the_distance_of_spectra_is_hellingers_of_scipys(cases: int) -> None:
    """Several channels, unequal lengths, ties; among 100 draws some of one series, and some with a constant one."""
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        n, channels = int(rng.integers(4, 33)), int(rng.integers(1, 4))
        sides = [rng.normal(size=(int(rng.integers(1, 6)), n, channels)) for _ in range(2)]
        sides[1] = sides[1].cumsum(axis=1)
        if seed % 3 == 0:
            sides = [np.round(side) + np.arange(n)[:, None] for side in sides]
        shorter = sides[0][:, : int(rng.integers(3, n + 1))]
        shares = []
        for side in (shorter, sides[1]):
            power = periodogram(side, detrend="constant", axis=1, nfft=n)[1]
            varies = np.ptp(side, axis=1) > 0  # ties make some series constant
            whole = np.where(varies, power.sum(axis=1), 1)[:, None]
            shares.append(np.where(varies[:, None], power / whole, 0).sum(axis=0) / np.maximum(varies.sum(axis=0), 1))
        both = [np.any(share > 0, axis=0) for share in shares]
        hellinger = np.sqrt(np.sum((np.sqrt(shares[0]) - np.sqrt(shares[1])) ** 2, axis=0) / 2)
        hellinger = np.where(both[0] & both[1], hellinger, 1).mean()  # 1 from a channel that has no spectrum in one of them
        assert metrics.power_spectrum_distance(shorter, sides[1]) == pytest.approx(hellinger, abs=1e-7)
        still = [np.concatenate([side, np.full((*side.shape[:2], 1), 0.1)], axis=2) for side in (shorter, sides[1])]
        if (both[0] | both[1]).all():  # one that has none in both is left out
            assert metrics.power_spectrum_distance(*still) == pytest.approx(hellinger, abs=1e-7)
        if channels == 1:  # a constant series has no spectrum, and is left out of the mean
            assert metrics.power_spectrum_distance([*shorter, np.full((n, 1), 0.1)], sides[1]) == pytest.approx(
                hellinger, abs=1e-7
            )


@MANY
def test_marginal_differences_are_those_of_histograms(cases: int) -> None:
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(30, 4, 2)), rng.gamma(2.0, size=(40, 4, 2))
        found = []
        for t in range(4):
            for c in range(2):
                real, edges = np.histogram(y[:, t, c], 50, density=True)
                width = edges[1] - edges[0]
                bins = itertools.pairwise(edges)
                made = [np.mean((x[:, t, c] >= a) & (x[:, t, c] < b)) / width for a, b in bins]
                found.append(np.mean(np.abs(np.array(made) - real)))
        assert metrics.marginal_distribution_difference(x, y) == pytest.approx(np.mean(found))


@MANY
def test_trend_and_season_are_those_of_statsmodels(cases: int) -> None:
    from statsmodels.tsa.seasonal import seasonal_decompose

    for seed in range(cases):
        rng = np.random.default_rng(seed)
        period = int(rng.integers(2, 9))
        x = rng.normal(size=int(rng.integers(2 * period + 1, 60))) + np.sin(2 * np.pi * np.arange(1) / period)
        expected = seasonal_decompose(x, period=period)
        trend, season, rest = decompose(x, period)
        np.testing.assert_allclose(trend, expected.trend, atol=1e-10)
        np.testing.assert_allclose(season, expected.seasonal, atol=1e-10)
        np.testing.assert_allclose(rest, expected.resid, atol=1e-10)


@pytest.mark.parametrize("cases", [20, pytest.param(1000, marks=pytest.mark.nightly)])
def test_strengths_are_the_formula_on_statsmodels_parts(cases: int) -> None:
    """And their preservation is one minus the difference of the means; lengths differ within a set."""
    from statsmodels.tsa.seasonal import seasonal_decompose

    for seed in range(cases):
        rng = np.random.default_rng(seed)
        period = int(rng.integers(2, 9))
        wave = np.sin(2 * np.pi * np.arange(60) / period)[:, None]
        sets = [
            [
                (rng.normal(size=(60, 2)) + rng.normal() * wave + rng.normal() * np.arange(60)[:, None] / 10)[:length]
                for length in rng.integers(2 * period + 1, 60, int(rng.integers(1, 4)))
            ]
            for _ in range(2)
        ]
        means = []
        for series in sets:
            expected = np.empty((len(series), 2, 2))
            for i, c in np.ndindex(len(series), 2):
                parts = seasonal_decompose(series[i][:, c], period=period)
                rest = parts.resid[~np.isnan(parts.resid)]
                for k, part in enumerate((parts.trend, parts.seasonal)):
                    expected[i, c, k] = max(0, 1 - np.var(rest) / np.var(rest + part[~np.isnan(parts.resid)]))
            np.testing.assert_allclose(metrics.strengths(series, period), expected, atol=1e-9)
            means.append(expected.mean(axis=(0, 1)))
        for k, metric in enumerate((metrics.trend_preservation, metrics.seasonality_preservation)):
            assert metric(*sets, period=period) == pytest.approx(1 - abs(means[0][k] - means[1][k]), abs=1e-9)


def test_strengths_are_what_they_mean() -> None:
    t, rng = np.arange(96), np.random.default_rng(0)
    wave, line, noise = np.sin(2 * np.pi * t / 12), t / 10, rng.normal(size=(50, 96))
    strong = metrics.strengths((wave + line)[None], 12)[0, 0]
    assert (strong > 0.99).all()
    assert (metrics.strengths(noise, 12).mean((0, 1)) < 0.4).all()
    seasonal = wave + 0.3 * noise
    assert metrics.seasonality_preservation(seasonal[:25], seasonal[25:]) > 0.95
    assert metrics.seasonality_preservation(noise[:25], seasonal[25:]) < 0.6
    assert metrics.trend_preservation(line + noise[:25], line + noise[25:], period=12) > 0.95
    assert metrics.dominant_period(seasonal) == 12
    with pytest.raises(InvalidInputError, match="a period is at least 2 and at most half of the 96 steps, got 49"):
        metrics.strengths(noise, 49)
    with pytest.raises(InvalidInputError, match="series of 3 steps have no period"):
        metrics.dominant_period(noise[:, :3])


@pytest.mark.parametrize(
    "metric",
    [
        "autocorrelation_difference",
        "marginal_distribution_difference",
        "power_spectrum_distance",
        "trend_preservation",
        "seasonality_preservation",
        "dtw_to_nearest",
    ],
)
def test_what_lies_after_the_end_of_a_series_makes_no_difference(metric: str) -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, 2)) for n in (12, 16, 20)]
    padded = np.full((3, 40, 2), np.nan)
    for row, one in zip(padded, series, strict=True):
        row[: len(one)] = one
    given = {"max_lag": 10} if metric == "autocorrelation_difference" else {"period": 4} if "preservation" in metric else {}
    references = rng.normal(size=(4, 20, 2))
    one, other = (getattr(metrics, metric)(side, references, **given) for side in (series, padded))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_steps_at_which_one_series_alone_has_a_value_have_no_density() -> None:
    """Those behind all references but one, of unequal lengths: its value would be a bin of 1e-5, of a density of 1e5."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 8, 1)), rng.normal(size=(9, 5, 1))
    longer = [rng.normal(size=(8, 1)), *y]
    longer[0][:5] = y[0]
    cut = metrics.marginal_distribution_difference(x[:, :5], [longer[0][:5], *y])
    assert metrics.marginal_distribution_difference(x, longer) == pytest.approx(cut, rel=1e-12)
    assert np.isnan(metrics.marginal_distribution_difference(x, longer[:1]))


def test_constants_and_gaps_have_figures_or_none() -> None:
    x = np.random.default_rng(0).normal(size=(10, 12, 2))
    flat = np.ones_like(x)
    assert np.isnan(metrics.autocorrelation_difference(flat, x))
    assert np.isnan(metrics.cross_correlation_difference(flat, x))
    assert np.isfinite(metrics.power_spectrum_distance(flat, x))
    assert np.isfinite(metrics.marginal_distribution_difference(flat, flat))
    assert np.isnan(metrics.trend_preservation(flat, x, period=3))
    gaps = x.copy()
    gaps[:, 3:5, 0] = np.nan
    wild = 3 * np.random.default_rng(1).normal(size=x.shape).cumsum(axis=1)
    for metric in (
        metrics.autocorrelation_difference,
        metrics.cross_correlation_difference,
        metrics.power_spectrum_distance,
        metrics.marginal_distribution_difference,
    ):
        assert 0 <= metric(gaps, x) < metric(wild, x)


def edge_cases() -> dict[str, tuple]:
    """Samples and references that people have now and then."""
    rng = np.random.default_rng(0)
    x, y = ([rng.normal(size=(12, 2)) for _ in range(8)] for _ in range(2))
    flat, nothing = [np.ones((12, 2))] * 8, [np.full((12, 2), np.nan)] * 8
    return {
        "no series": ([], y),
        "one series": (x[:1], y[:1]),
        "one step": ([one[:1] for one in x], [one[:1] for one in y]),
        "constant": (flat, y),
        "both constant": (flat, flat),
        "all missing": (nothing, y),
        "references missing": (x, nothing),
        "one channel missing": ([np.where([True, False], one, np.nan) for one in x], y),
        "unequal lengths": ([one[: 5 + i] for i, one in enumerate(x)], y),
        "ties": ([np.round(one) for one in x], [np.round(one) for one in y]),
    }


@pytest.mark.parametrize("case", edge_cases())
def test_every_registered_metric_has_a_figure_or_one_clear_error_at_the_edges(case: str) -> None:
    """And warns of nothing, which is an error here."""
    samples, references = edge_cases()[case]
    for entry in artifex_metrics():
        if entry.name.endswith("_score") and case in ("constant", "both constant", "unequal lengths", "ties"):
            continue  # trained for, in test_timeseries_scores.py
        try:
            figure = resolve(entry.metric)(samples, references)
        except InvalidInputError:
            continue
        assert case != "no series", entry.name
        assert np.shape(figure) in ((), (len(samples),)), entry.name
        assert not np.isinf(figure).any(), entry.name
        assert not np.any((np.asarray(figure) < entry.lowest) | (np.asarray(figure) > entry.highest)), entry.name


def test_same_sets_have_the_best_figure() -> None:
    """Of a hundred sets: distances are 0 and likenesses 1 between a set and itself, whatever its lengths, ties and gaps."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = random_series(rng, 6, 2, ties=bool(seed % 2))
        gaps = [np.where(rng.random(one.shape) < 0.1, np.nan, one) for one in x]
        assert metrics.power_spectrum_distance(gaps, gaps) == pytest.approx(0, abs=1e-7)
        assert metrics.autocorrelation_difference(gaps, gaps) == 0
        assert metrics.cross_correlation_difference(gaps, gaps) in (0, pytest.approx(np.nan, nan_ok=True))
        assert metrics.marginal_distribution_difference(gaps, gaps) == pytest.approx(0, abs=1e-12)
        np.testing.assert_array_equal(metrics.dtw(x, x), 0)


def test_wrong_input_is_told() -> None:
    x = np.zeros((3, 5, 2))
    with pytest.raises(InvalidInputError, match="got 3 of 2 and 2 of 2"):
        metrics.dtw(x, x[:2])
    with pytest.raises(InvalidInputError, match="got 3 of 2 and 3 of 1"):
        metrics.dtw(x, x[..., :1])
    with pytest.raises(InvalidInputError, match="band is a number of steps, 0 or more"):
        metrics.dtw(x, x, band=-1)
    holes = x.copy()
    holes[1, 2] = np.nan
    with pytest.raises(InvalidInputError, match=r"references\[1\] has gaps"):
        metrics.dtw(x, holes)
    holes[1, 2] = np.inf
    with pytest.raises(InvalidInputError, match=r"references\[1\] holds what is infinite"):
        metrics.dtw(x, holes)
    with pytest.raises(InvalidInputError, match="samples have 2 channels and references 1"):
        metrics.power_spectrum_distance(x, x[..., :1])
    with pytest.raises(InvalidInputError, match="max_lag is from 1 to the 5 steps"):
        metrics.autocorrelation(x, 6)
    with pytest.raises(InvalidInputError, match="samples needs at least one series"):
        metrics.dtw([None], x)
    with pytest.raises(InvalidInputError, match="series of 1 and of 2 channels"):
        metrics.dtw([x[0], x[0, :, :1]], x[:2])
    with pytest.raises(InvalidTypeError, match="samples is a float"):
        metrics.dtw(3.0, x)
