"""Scores of series: whole trainings against the same ones in NumPy's float64, and figures against what no rule can beat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.core.plugins import resolve
from artifex.modalities.timeseries import metrics
from artifex.modalities.timeseries.metrics import scores
from artifex.modalities.timeseries.plugin import artifex_metrics

Series = list[np.ndarray]
STEPS = 400
KINDS = ("random", "unequal lengths", "gaps", "ties", "constant samples", "both constant", "equal sets", "missing")


def sets_of_series(
    kind: str, rng: np.random.Generator, n: int, length: int, channels: int, *, forecasts: bool
) -> tuple[Series, Series]:
    """``n`` samples and ``n + 2`` references that a network can use; one of each that it cannot among the last kind."""
    x, y = ([rng.normal(size=(length, channels)) for _ in range(m)] for m in (n, n + 2))
    match kind:
        case "unequal lengths":
            x[1:], y[1:] = ([one[: rng.integers(2, length + 1)] for one in side[1:]] for side in (x, y))
        case "gaps":
            for one in x[1:] + y[1:]:
                one[:-1][rng.random((length - 1, channels)) < 0.3] = np.nan
        case "ties":
            x, y = ([np.round(one) for one in side] for side in (x, y))
        case "constant samples" | "both constant":
            x = [np.full((length, channels), 0.1)] * n
            y = [np.full((length, channels), 0.1)] * (n + 2) if kind == "both constant" else y
        case "equal sets":
            y = [*x, *x[:2]]
        case "missing":
            x = [np.where(np.arange(channels) > 0, one, np.nan) if channels > 1 else one for one in x]
            x.insert(int(rng.integers(n)), np.zeros((1, channels)) if forecasts else np.full((length, channels), np.nan))
            y.insert(int(rng.integers(n)), np.full((1, channels), np.nan))
    return x, y


def standardised(samples: Series, references: Series, steps: int) -> tuple[Series, Series]:
    """Those of as many steps, in standard deviations of the real ones, cut at their ends, gaps filled by pandas."""
    import pandas

    values = np.concatenate(references)
    values = values[~np.isnan(values).all(axis=1)]
    varies = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
    centre = np.where(varies, np.nanmean(values, axis=0), values[0])
    scale = np.where(varies, np.nanstd(values, axis=0), 1.0)
    made: tuple[Series, Series] = ([], [])
    for side, own in zip((samples, references), made, strict=True):
        for one in side:
            there = np.flatnonzero(~np.isnan(one).all(axis=1))
            if len(there) and there[-1] + 1 >= steps:
                cut = pandas.DataFrame(one[: there[-1] + 1])
                whole = cut.interpolate(limit_direction="both").fillna(0.0).to_numpy()
                own.append((whole - centre) / scale)
    return made


def stacked(series: Series, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Zeros after the end, and what is none; the values rounded to float32, as both networks get them."""
    x, mask = np.zeros((len(series), length, series[0].shape[1])), np.zeros((len(series), length))
    for row, there, one in zip(x, mask, series, strict=True):
        row[: len(one)], there[: len(one)] = one.astype(np.float32), 1
    return x, mask


class Network:
    """The network, its losses and Adam in NumPy, of ``K`` trainings at once; slopes worked out by hand.

    Shapes: ``x`` ``(K, N, L, C)``, ``mask`` ``(K, N, L)``, ``y`` ``(K, N)``, parameters ``(K, ...)``.
    """

    def __init__(self, params: dict[str, np.ndarray], *, forecasts: bool, dtype: type) -> None:
        self.params = {name: np.array(p, dtype) for name, p in params.items()}
        self.forecasts, self.dtype = forecasts, dtype
        self.nearest = np.full(len(params["head"]), np.inf)
        """How near to a kink of a ReLU or of an absolute error each training came: which side it is on is rounding's choice."""

    def hidden(self, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """What each of two layers gets, ``(K, N L, 5 I)``, and what it gives, ``(K, N L, H)``."""
        k, n, length, _ = x.shape
        found = []
        for layer in ("first", "second"):
            early = np.pad(x, ((0, 0), (0, 0), (4, 0), (0, 0)))
            taps = np.lib.stride_tricks.sliding_window_view(early, 5, axis=2)  # (K, N, L, I, 5)
            taps = np.swapaxes(taps, 3, 4).reshape(k, n * length, -1)
            kernel = self.params[layer].reshape(k, taps.shape[2], -1)
            before = taps @ kernel + self.params[f"{layer}_bias"][:, None]
            self.passes(before)
            found.append((taps, given := np.maximum(before, 0)))
            x = given.reshape(k, n, length, -1)
        return found

    def passes(self, before: np.ndarray, zero: float = np.inf) -> None:
        """Remember how near to 0 a number is whose sign counts; at 0 it is what no rounding made, or it counts as ``zero``."""
        there = np.where(before == 0, zero, np.abs(before)).reshape(len(before), -1)
        self.nearest = np.minimum(self.nearest, there.min(axis=1))

    def outputs(self, x: np.ndarray, mask: np.ndarray, last: np.ndarray) -> np.ndarray:
        """A logit of each series, ``(K, N)``, or the forecast of the step that follows each, ``(K, N, L - 1, C)``."""
        made = (last @ self.params["head"] + self.params["head_bias"][:, None]).reshape(*x.shape[:3], -1)
        if self.forecasts:
            return (x + made)[:, :, :-1]
        return (made[..., 0] * mask).sum(axis=2) / mask.sum(axis=2)

    def figures(self, x: np.ndarray, mask: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Mean absolute error, or how far the share of right answers is from a half; ``(K,)``."""
        made = self.outputs(x, mask, self.hidden(x)[1][1])
        if not self.forecasts:
            return np.abs(((made > 0) == (y > 0)).mean(axis=1) - 0.5)
        counted = mask[:, :, 1:, None]
        return (np.abs(made - x[:, :, 1:]) * counted).sum(axis=(1, 2, 3)) / (x.shape[3] * counted.sum(axis=(1, 2, 3)))

    def slopes(self, x: np.ndarray, mask: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """Of cross-entropy, or of the mean absolute error of forecasts, by the chain rule."""
        k, n, length, channels = x.shape
        (one, first), (two, second) = self.hidden(x)
        made = self.outputs(x, mask, second)
        slope = {}
        if self.forecasts:
            counted = mask[:, :, 1:, None]
            back = np.zeros_like(x)
            errors = made - x[:, :, 1:]
            self.passes(np.where(counted > 0, errors, np.inf), zero=0.0 if self.params["head_bias"].any() else np.inf)
            signs = np.where(errors >= 0, counted, -counted)  # at 0 any slope from -1 to 1 is one: JAX takes 1
            back[:, :, :-1] = signs / (channels * counted.sum(axis=(1, 2, 3), keepdims=True))
        else:
            back = ((1 / (1 + np.exp(-made)) - y) / n)[:, :, None, None] * (mask / mask.sum(axis=2, keepdims=True))[..., None]
        back = back.reshape(k, n * length, -1)
        slope["head"], slope["head_bias"] = np.swapaxes(second, 1, 2) @ back, back.sum(axis=1)
        back = (back @ np.swapaxes(self.params["head"], 1, 2)) * (second > 0)
        slope["second"], slope["second_bias"] = np.swapaxes(two, 1, 2) @ back, back.sum(axis=1)
        taps = back @ np.swapaxes(self.params["second"].reshape(k, two.shape[2], -1), 1, 2)
        taps, early = taps.reshape(k, n, length, 5, -1), np.zeros((k, n, length + 4, first.shape[2]), self.dtype)
        for tap in range(5):
            early[:, :, tap : tap + length] += taps[:, :, :, tap]
        back = early[:, :, 4:].reshape(k, n * length, -1) * (first > 0)
        slope["first"], slope["first_bias"] = np.swapaxes(one, 1, 2) @ back, back.sum(axis=1)
        return {name: value.reshape(self.params[name].shape) for name, value in slope.items()}

    def train(self, x: np.ndarray, mask: np.ndarray, y: np.ndarray, rows: np.ndarray) -> None:
        """Adam with a rate that falls from 0.003 to 0 on a line; ``rows`` ``(K, 400, B)`` are those of each step."""
        x, mask, y = (np.asarray(value, self.dtype) for value in (x, mask, y))
        every = np.arange(len(x))[:, None]
        moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in self.params.items()}
        for t in range(STEPS):
            now = (every, rows[:, t])
            for name, slope in self.slopes(x[now], mask[now], y[now]).items():
                mean, square = moments[name]
                mean += 0.1 * (slope - mean)
                square += 0.001 * (slope**2 - square)
                steps = (mean / (1 - 0.9 ** (t + 1))) / (np.sqrt(square / (1 - 0.999 ** (t + 1))) + 1e-8)
                self.params[name] -= 0.003 * (1 - t / STEPS) * steps


def given_to_both(seeds: range, n: int, channels: int, out: int) -> tuple[list[list[int]], dict[str, np.ndarray], np.ndarray]:
    """Seeds of the order of the series, parameters at the start and rows of each step: what is drawn, and no result."""

    def draw(seed):
        key = jax.random.split(jax.random.key(seed), 1)[0]
        start, order = jax.random.split(key)
        rows = jax.vmap(lambda one: jax.random.randint(one, (n,), 0, n))(jax.random.split(order, STEPS))
        return jax.random.key_data(key), scores._initial(start, channels, out), rows

    words, params, rows = jax.jit(jax.vmap(draw))(jnp.arange(seeds.start, seeds.stop))
    return np.asarray(words).tolist(), jax.tree.map(np.asarray, params), np.asarray(rows)


def halves(series: tuple[Series, Series], words: list[int]) -> list[tuple[Series, list[float]]]:
    """Of as many of each kind: three quarters to learn from and one that is held out, with their labels."""
    rng, n = np.random.default_rng(words), min(map(len, series))
    mixed = [[side[i] for i in rng.permutation(len(side))[:n]] for side in series]
    cut = round(n / 4)
    parts = ([side[cut:] for side in mixed], [side[:cut] for side in mixed])
    return [(zero + one, [0.0] * len(zero) + [1.0] * len(one)) for zero, one in parts]


@contextmanager
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same data and start, and all that follows in float64."""

    def doubled(function):
        return lambda *given: jax.tree.map(lambda value: value.astype(jnp.float64), function(*given))

    with monkeypatch.context() as patch, jax.enable_x64(True):
        for name in ("_arrays", "_initial"):
            patch.setattr(scores, name, doubled(getattr(scores, name)))
        yield


@contextmanager
def learnt(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, np.ndarray]]]:
    """The parameters that trainings end with."""
    found, train = [], scores._train

    def remembered(*given, **named):
        params = train(*given, **named)
        found.append({name: np.asarray(p) for name, p in params.items()})
        return params

    with monkeypatch.context() as patch:
        patch.setattr(scores, "_train", remembered)
        yield found


def sines_twice(n: int) -> tuple[np.ndarray, np.ndarray]:
    from artifex.modalities.timeseries.datasets import MadeSeries, MadeSeriesConfig

    data = MadeSeries(MadeSeriesConfig(process="sines", n_train=n, n_test=n))
    return data.arrays("train")["x"], data.arrays("test")["x"]


def test_scores_tell_what_can_be_told() -> None:
    x, y = sines_twice(120)
    noise = np.random.default_rng(0).normal(size=x.shape)
    one = metrics.discriminative(noise, y, n_seeds=1)
    assert one.mean > 0.4
    assert one.std == 0
    assert metrics.discriminative(noise, y, n_seeds=1) == one
    assert metrics.predictive(x, y, n_seeds=1).mean < 0.3 < metrics.predictive(noise, y, n_seeds=1).mean
    of_one = {e.name: resolve(e.of_a_half) for e in artifex_metrics() if e.of_a_half}
    assert of_one["discriminative_score"](noise, y) == one.mean
    assert of_one["predictive_score"](x, y) == metrics.predictive(x, y, n_seeds=1).mean
    with pytest.raises(InvalidInputError, match="eight series of each kind or more, got 3 and 120"):
        metrics.discriminative_score(x[:3], y)
    with pytest.raises(InvalidInputError, match=r"two steps or more, .* have 0 samples and 120 references"):
        metrics.predictive_score(x[:, :1], y)


GROUPS = tuple((8 + 2 * i % 5, 2 + i % 5, 1 + i // 5) for i in range(10))
"""Series to learn from, their steps and channels: trainings of one group are done at once."""
SHORT = 16
"""Of each group, those that are trained in float32 too."""


def deviations(monkeypatch: pytest.MonkeyPatch, group: int, cases: int, *, forecasts: bool) -> np.ndarray:
    """From NumPy's figures in float64: of NumPy's in float32 and of ours in float32, ``(2, 16)``, of the first.

    Ours in float64 are NumPy's: every parameter after 400 steps, and the figure. All but those that came to a kink nearer than
    what float64 knows.
    """
    (n, length, channels), seeds = GROUPS[group], range(100 * group, 100 * group + cases)
    sets = [
        sets_of_series(KINDS[seed % len(KINDS)], np.random.default_rng(seed), n, length, channels, forecasts=forecasts)
        for seed in seeds
    ]
    rows_of_a_step = n if forecasts else 2 * (n - round(n / 4))
    words, start, rows = given_to_both(seeds, rows_of_a_step, channels, channels if forecasts else 1)
    parts = []
    for series, own in zip(sets, words, strict=True):
        made = standardised(*series, steps=2 if forecasts else 1)
        parts.append([(side, [0.0] * len(side)) for side in made] if forecasts else halves(made, own))
    train, test = (
        [np.array(values) for values in zip(*((*stacked(side, length), y) for side, y in half), strict=True)]
        for half in zip(*parts, strict=True)
    )
    network = Network(start, forecasts=forecasts, dtype=np.float64)
    network.train(*train, rows)
    decided, expected = network.nearest > 1e-12, network.figures(*test)
    assert decided.mean() >= 0.98
    score = metrics.predictive if forecasts else metrics.discriminative
    of_seeds = list(zip(sets, seeds, strict=True))
    with learnt(monkeypatch) as found, in_float64(monkeypatch):
        figures = np.array([score(*series, n_seeds=1, seed=seed).mean for series, seed in of_seeds])
    for name, values in network.params.items():
        made = np.array([one[name] for one in found])
        np.testing.assert_allclose(made[decided], values[decided], rtol=0, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(figures[decided], expected[decided], rtol=0, atol=1e-7)  # a share of right answers is float32
    rounded = Network({name: p[:SHORT] for name, p in start.items()}, forecasts=forecasts, dtype=np.float32)
    rounded.train(*(values[:SHORT] for values in train), rows[:SHORT])
    ours = [score(*series, n_seeds=1, seed=seed).mean for series, seed in of_seeds[:SHORT]]
    return np.abs(np.array([rounded.figures(*(values[:SHORT] for values in test)), ours]) - expected[:SHORT])


@pytest.mark.parametrize("forecasts", [False, True])
def test_scores_are_those_of_the_same_trainings_in_numpy(monkeypatch: pytest.MonkeyPatch, forecasts: bool) -> None:
    """One of each kind of sets, of two channels."""
    deviations(monkeypatch, 6, len(KINDS), forecasts=forecasts)


@pytest.mark.nightly
@pytest.mark.parametrize("forecasts", [False, True])
def test_scores_are_those_of_a_thousand_trainings_in_numpy(monkeypatch: pytest.MonkeyPatch, forecasts: bool) -> None:
    """In float64 to its digits; in float32, as users have them, as near to that as 400 steps leave NumPy's float32.

    They amplify a rounding: an error whose sign it turns moves every parameter by the rate. Ours has one more than NumPy's, in
    Adam's correction ``1 - 0.999^t``, of which float32 knows four digits at first: errors of forecasts may be three times as
    far off. Shares of right answers are a few numbers: they are the same but where a held-out series lies between the two.
    """
    numpys, ours = np.concatenate(
        [deviations(monkeypatch, group, 100, forecasts=forecasts) for group in range(len(GROUPS))], axis=1
    )
    if forecasts:
        assert ours.mean() <= 3 * numpys.mean()
    else:  # one of 160 was found: five have a chance of one in three hundred
        assert (ours > 1e-6).sum() <= 4 + 3 * (numpys > 1e-6).sum()


def test_what_no_network_can_use_changes_no_score() -> None:
    """Series without a value, series of one step where the next is forecast, and places after the longest."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3, 2)), rng.normal(size=(9, 5, 2))
    nothing, longer = np.full((4, 2), np.nan), np.full((8, 7, 2), np.nan)
    longer[:, :3] = x
    for score, useless in ((metrics.discriminative, nothing), (metrics.predictive, nothing), (metrics.predictive, x[0, :1])):
        alone = score(x, y, n_seeds=1)
        assert np.isfinite(alone.mean)
        assert score([useless, *x], y, n_seeds=1) == alone
        assert score(longer, y, n_seeds=1) == alone
        if useless is nothing:  # one step counts where the scale is taken
            assert score(x, [*y, useless], n_seeds=1) == alone


def test_scores_are_the_same_where_float64_is_enabled() -> None:
    """Data, start and draws are of one precision, whatever JAX's defaults are."""
    x, y = np.random.default_rng(0).normal(size=(2, 9, 4, 1))
    for score in (metrics.discriminative, metrics.predictive):
        alone = score(x, y)
        with jax.enable_x64(True):
            assert score(x, y) == alone


def test_what_scores_cannot_use_is_told() -> None:
    rng = np.random.default_rng(0)
    x, nothing = rng.normal(size=(8, 3, 2)), np.full((8, 3, 2), np.nan)
    for score in (metrics.discriminative, metrics.predictive):
        with pytest.raises(InvalidInputError, match=r"samples\[3\] holds what is infinite; mend it, or leave that series out"):
            score(np.where(np.arange(8)[:, None, None] == 3, np.inf, x), x)
        with pytest.raises(InvalidInputError, match="references have no value in channel 0; leave it out of both"):
            score(x, nothing)
    with pytest.raises(InvalidInputError, match="eight series of each kind or more, got 0 and 8"):
        metrics.discriminative(nothing, x)
    with pytest.raises(InvalidInputError, match="have 0 samples and 8 references: give at least one of each"):
        metrics.predictive(nothing, x)


@pytest.mark.nightly
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6, 1.0, 2.0, 20.0])
@pytest.mark.parametrize("length", [1, 6])
def test_discriminative_score_is_that_of_the_best_rule(length: int, shift: float) -> None:
    """Noise against noise that is shifted: the best rule is a threshold of the mean, right in a share Phi(d sqrt(L) / 2).

    3000 series were held out: five standard errors of an accuracy are 0.046, and a network is no better than the best rule.
    scikit-learn's logistic regression, which is that rule here, learns from and is tested on as many.
    """
    from scipy.stats import norm
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(round(10 * shift) + length)
    x, y, more = (rng.normal(size=(6000, length, 1)) for _ in range(3))
    found = metrics.discriminative(x + shift, y, n_seeds=1).mean
    assert found == pytest.approx(norm.cdf(shift * np.sqrt(length) / 2) - 0.5, abs=0.046)
    of = [np.concatenate([side + shift, rng.permutation(other)])[:, :, 0] for side, other in ((x, y), (more, x))]
    labels = np.repeat([1, 0], 6000)
    regression = LogisticRegression().fit(of[0], labels).score(of[1], labels) - 0.5
    assert found == pytest.approx(abs(regression), abs=0.046)
    if shift == 20.0:
        assert found == 0.5


@pytest.mark.nightly
@pytest.mark.parametrize("memory", [-0.7, 0.0, 0.5, 0.9, 1.0])
def test_predictive_score_is_that_of_the_best_forecast(memory: float) -> None:
    """Of ``x_t = phi x_{t-1} + e_t`` no forecast errs by less than ``E|e| / sd(x) = sqrt(2 / pi) sqrt(1 - phi^2)``.

    10 000 forecasts of 500 series: five standard errors of the mean are 4 in a hundred; a network that has learnt 400 steps is
    at most as much worse again. Series that stay what they are (phi = 1, no noise) are forecast to a tenth.
    """
    rng = np.random.default_rng(0)

    def process() -> np.ndarray:
        x = rng.normal(size=(500, 20, 1))
        for t in range(1, 20):
            x[:, t] = memory * x[:, t - 1] + np.sqrt(1 - memory**2) * x[:, t]
        return x

    found = metrics.predictive(process(), process(), n_seeds=1).mean
    best = np.sqrt(2 / np.pi) * np.sqrt(1 - memory**2)
    assert 0.96 * best <= found <= 1.08 * best + (0.1 if memory == 1 else 0.0)


@pytest.mark.nightly
def test_scores_of_the_same_process_are_near_their_best_and_differ_by_seed() -> None:
    x, y = sines_twice(1000)
    assert metrics.discriminative_score(x, y) < 0.08  # of 500 series that were held out: three standard errors of an accuracy
    assert metrics.predictive_score(x, y) < 0.15
    one, other = (metrics.discriminative(x, y, n_seeds=2, seed=seed) for seed in (0, 1))
    assert one != other
    assert one.std > 0
