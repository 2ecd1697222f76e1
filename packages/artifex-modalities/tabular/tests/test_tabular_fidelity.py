"""Fidelity against SDMetrics on a thousand random cases: frozen every day, live in a session of its own (it wants pandas <
3)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.tabular import TabularModality, metrics

HERE = Path(__file__).parent
CASES = 1000


def column(rng: np.random.Generator, n: int, kind: str) -> np.ndarray:
    """Numbers or levels; now and then with ties, gaps, a single value, or nothing at all."""
    made = rng.normal(size=n) if kind == "number" else rng.integers(0, rng.integers(1, 6), n).astype(float)
    if rng.random() < 0.3:
        made = np.round(made)
    if rng.random() < 0.1:
        made[:] = made[0]
    if rng.random() < 0.4:
        made[rng.random(n) < rng.choice([0.2, 1.0], p=[0.9, 0.1])] = np.nan
    return made


def tables(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples and references of different length, with two columns of numbers and two with levels."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(2):
        n = int(rng.choice([1, 2, 3, 10, 40]))
        numbers = {name: column(rng, n, "number") for name in "ab"}
        levels = {name: [None if np.isnan(v) else f"level {v:g}" for v in column(rng, n, "level")] for name in "cd"}
        made.append(pd.DataFrame({**numbers, **{name: pd.Series(values, dtype="object") for name, values in levels.items()}}))
    return made[0], made[1]


def ours(seed: int) -> list[float]:
    samples, references = tables(seed)
    return [
        metrics.column_ks_complement(samples["a"], references["a"]),
        metrics.column_tv_complement(samples["c"], references["c"]),
        metrics.pair_correlation_similarity(samples[["a", "b"]], references[["a", "b"]]),
        metrics.pair_contingency_similarity(samples[["c", "d"]], references[["c", "d"]]),
    ]


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)])
def expected(request: pytest.FixtureRequest) -> np.ndarray:
    if request.param == "frozen":
        return np.load(HERE / "frozen_sdmetrics.npz")["figures"]
    pytest.importorskip("sdmetrics")
    spec = importlib.util.spec_from_file_location("frozen_sdmetrics", HERE / "frozen_sdmetrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.figures(tables, CASES)


def test_dates_of_other_units_are_the_same_dates() -> None:
    """As where a file of samples was read back."""
    seconds = np.random.default_rng(0).integers(0, 10**9, 200).astype("datetime64[s]")
    real = pd.DataFrame({"day": seconds.astype("datetime64[ns]"), "n": seconds.astype(float)})
    for unit in ("s", "ms", "us"):
        made = real.assign(day=real["day"].astype(f"datetime64[{unit}]"))
        assert metrics.ks_complement(made, real) == metrics.correlation_similarity(made, real) == 1
        assert metrics.train_synthetic_test_real(made, real, real) == metrics.train_real_test_real(made, real, real)


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_no_figure_depends_on_where_zero_is(offset: float) -> None:
    """Rounding of float64 is 1e-7 at 1e9; a forest may split otherwise by it, which moves R2 by far less than 0.01."""
    parts = np.random.default_rng(0).normal(size=(450, 2))
    table = pd.DataFrame({"a": parts[:, 0], "b": parts[:, 1], "c": 2 * parts[:, 0] + parts[:, 1]})
    near, far = ([side[:150], side[150:300], side[300:]] for side in (table, table + offset))
    for metric in (metrics.ks_complement, metrics.correlation_similarity, metrics.in_range, metrics.distance_to_closest_record):
        np.testing.assert_allclose(metric(*far[:2]), metric(*near[:2]), atol=1e-6)
    assert metrics.membership_auc(*far) == pytest.approx(metrics.membership_auc(*near), abs=1e-3)
    assert metrics.train_synthetic_test_real(*far) == pytest.approx(metrics.train_synthetic_test_real(*near), abs=0.01)


def test_a_thousand_random_cases_are_sdmetrics_figures(expected: np.ndarray) -> None:
    found = np.array([ours(seed) for seed in range(CASES)])
    assert found.shape == expected.shape
    assert (np.isnan(expected).mean(axis=0) < 0.8).all()  # a constant column has no correlation
    for seed in np.flatnonzero(
        np.isnan(expected[:, 2]) & ~np.isnan(found[:, 2])
    ):  # SDMetrics has no figure where r is exactly 0
        assert abs(tables(seed)[1][["a", "b"]].corr().iloc[0, 1]) < 1e-12
        found[seed, 2] = np.nan
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)


def test_a_tables_figure_is_the_mean_of_its_columns_and_pairs() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        pd.DataFrame(
            {
                **dict(zip("abc", rng.normal(size=(3, n)), strict=True)),
                **dict(zip("xyz", rng.choice(list("uvw"), (3, n)), strict=True)),
            }
        )
        for n in (50, 60)
    )
    for names, whole, single in (
        ("abc", metrics.ks_complement, metrics.column_ks_complement),
        ("xyz", metrics.tv_complement, metrics.column_tv_complement),
    ):
        assert whole(one, other) == pytest.approx(np.mean([single(one[c], other[c]) for c in names]))
    for pairs, whole, single in (
        (("ab", "ac", "bc"), metrics.correlation_similarity, metrics.pair_correlation_similarity),
        (("xy", "xz", "yz"), metrics.contingency_similarity, metrics.pair_contingency_similarity),
    ):
        assert whole(one, other) == pytest.approx(np.mean([single(one[list(p)], other[list(p)]) for p in pairs]))


def test_dates_are_numbers() -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=10))
    later = pd.DataFrame({"a": days + pd.Timedelta("5D")})
    assert metrics.ks_complement(pd.DataFrame({"a": days}), later) == pytest.approx(0.5)
    pair = pd.DataFrame({"a": days, "b": np.arange(10.0)})
    assert metrics.correlation_similarity(pair, pair.assign(b=-pair["b"])) == pytest.approx(0.0, abs=1e-12)


def test_rows_and_frames_give_the_same_figures_and_none_is_no_row() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"a": rng.integers(0, 50, 80), "b": rng.choice(list("xyz"), 80)})
    modality = TabularModality.fit(table)
    rows = modality.to_host(np.asarray(modality.prepare({"x": modality.encode(table)}, train=False)["x"]))
    for metric in (metrics.ks_complement, metrics.tv_complement, metrics.in_range):
        assert metric([*rows[:40], None], rows[40:]) == metric(table[:40], table[40:])
    # kinds that were learnt hold for frames beside rows
    codes = TabularModality.fit(table, kinds={"a": "categorical"})
    rows = codes.to_host(np.asarray(codes.prepare({"x": codes.encode(table)}, train=False)["x"]))
    assert np.isnan(metrics.ks_complement(table, rows))


def test_wrong_input_is_told() -> None:
    table = pd.DataFrame({"a": [1.0]})
    with pytest.raises(InvalidInputError, match="samples has no rows"):
        metrics.ks_complement(table[:0], table)
    with pytest.raises(InvalidInputError, match="references has no rows"):
        metrics.ks_complement(table, [None])
    with pytest.raises(InvalidInputError, match="samples has no column 'a'; it has b"):
        metrics.ks_complement(table.rename(columns={"a": "b"}), table)
    with pytest.raises(InvalidTypeError, match="samples is a float"):
        metrics.ks_complement(3.0, table)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match="samples holds a int"):
        metrics.ks_complement([3], table)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match=r"two columns .*got \(1, 1\)"):
        metrics.pair_contingency_similarity(table, table)
