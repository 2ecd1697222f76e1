"""Distances and neighbourhoods of features against SciPy, scikit-learn, plain loops, and what is known exactly."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose
from sklearn.metrics.pairwise import polynomial_kernel

from artifex.core.errors import InvalidInputError
from artifex.core.frechet import Moments, frechet_distance
from artifex.core.metrics import MergedMetric, StreamedMetric
from artifex.core.plugins import registry, resolve
from artifex.modalities.image.metrics import (
    FrechetDistance,
    class_score,
    coverage,
    density,
    kernel_distance,
    precision,
    recall,
)
from artifex.modalities.image.metrics.inception_score import INCEPTION_SCORE
from artifex.modalities.image.metrics.perceptual import PERCEPTUAL_DISTANCE

METRIC = FrechetDistance()
NEIGHBOURS = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}


def two_sets(seed: int, n: int = 60, m: int = 50, features: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(features, features))
    return rng.normal(size=(n, features)) @ mix, rng.normal(size=(m, features)) + 0.3


def distance(x: np.ndarray, y: np.ndarray) -> float:
    return METRIC.finalize(METRIC.state({"samples": x, "references": y}))


def by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """The formula as published, with SciPy's matrix square root."""
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    cross = np.trace(scipy.linalg.sqrtm(a @ b)).real
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a) + np.trace(b) - 2 * cross)


def test_frechet_distance_is_scipys_in_a_thousand_cases() -> None:
    rng = np.random.default_rng(0)
    for seed in range(1000):
        x, y = two_sets(seed, *rng.integers(12, 60, size=2), features=int(rng.integers(2, 9)))
        assert_allclose(distance(x, y), by_sqrtm(x, y), rtol=1e-9)


def test_frechet_distance_of_gaussians_that_commute() -> None:
    rng = np.random.default_rng(1)
    a, b, shift = rng.uniform(0.1, 4, size=(3, 40))
    exact = np.sum(shift**2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    two = Moments(2.0, np.zeros(40), np.diag(a)), Moments(2.0, shift, np.diag(b))
    assert_allclose(frechet_distance(*two), exact, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_an_offset_of_300_and_the_cut_into_batches_change_nothing(size: int) -> None:
    x, y = two_sets(2, 200, 150)
    truth = distance(x, y)
    state: dict[str, Any] = {}
    for name, features in (("samples", x + 300), ("references", y + 300)):
        for start in range(0, len(features), size):
            state = METRIC.merge(state, METRIC.state({name: features[start : start + size]}))
    assert_allclose(METRIC.finalize(state), truth, rtol=1e-9)


def test_merging_is_associative_and_commutative() -> None:
    x, y = two_sets(3)
    one, two, three = (METRIC.state({"samples": part, "references": y}) for part in (x[:5], x[5:20], x[20:]))
    left = METRIC.finalize(METRIC.merge(METRIC.merge(one, two), three))
    assert_allclose(METRIC.finalize(METRIC.merge(three, METRIC.merge(two, one))), left, rtol=1e-12)


def test_fewer_examples_than_features_are_defined_and_one_is_refused() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(8, 64)), rng.normal(size=(5, 64))
    # The same by the n x m matrix of inner products, which has the same singular values.
    a, b = (z - z.mean(0) for z in (x, y))
    cross = np.linalg.svd(a @ b.T / np.sqrt(7 * 4), compute_uv=False).sum()
    exact = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.sum(a**2) / 7 + np.sum(b**2) / 4 - 2 * cross
    assert_allclose(distance(x, y), exact, rtol=1e-9)
    assert distance(x, x) < 1e-9 * np.sum(a**2)
    with pytest.raises(InvalidInputError, match="there are 8 and 1 examples; a covariance needs two at least"):
        distance(x, y[:1])


def test_frechet_distance_refuses_what_it_cannot_compare() -> None:
    x, y = two_sets(5)
    with pytest.raises(InvalidInputError, match="needs samples and references; there are no references"):
        METRIC.finalize(METRIC.state({"samples": x}))
    with pytest.raises(InvalidInputError, match="the features have 6 and 5 elements; use one extractor for both"):
        distance(x, y[:, :5])
    with pytest.raises(InvalidInputError, match="there are 0 and 50 examples"):
        distance(x[:0], y)
    with pytest.raises(InvalidInputError, match=r"features are \(N, F\), one vector for each example; got shape \(6,\)"):
        distance(x[0], y)
    broken = x.copy()
    broken[[1, 4], 2] = np.nan
    with pytest.raises(InvalidInputError, match="the features of 2 of 60 samples are not finite"):
        distance(broken, y)


def test_constant_features() -> None:
    x = np.full((10, 3), 2.0)
    assert distance(x, x + 1) == pytest.approx(3.0, abs=1e-12)


def unbiased(x: np.ndarray, y: np.ndarray) -> float:
    own = [polynomial_kernel(z, degree=3, coef0=1) for z in (x, y)]
    means = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in own]
    return float(sum(means) - 2 * polynomial_kernel(x, y, degree=3, coef0=1).mean())


def test_kernel_distance_is_that_of_scikit_learns_kernel_in_a_thousand_cases() -> None:
    rng = np.random.default_rng(0)
    for seed in range(1000):
        x, y = two_sets(seed, *rng.integers(2, 40, size=2), features=int(rng.integers(1, 9)))
        assert_allclose(kernel_distance(x, y), unbiased(x, y), rtol=1e-9, atol=1e-12)


def test_kernel_distance_in_rows_and_without_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = two_sets(1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("artifex.modalities.image.metrics.kernel.ROWS", 7)
    assert_allclose(kernel_distance(x, y), whole, rtol=1e-12)
    rng = np.random.default_rng(2)
    draws = [kernel_distance(*rng.normal(size=(2, 20, 4))) for _ in range(400)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / 20
    with pytest.raises(InvalidInputError, match="2 samples and 2 references at least are needed; got 1 and 50"):
        kernel_distance(x[:1], y)
    with pytest.raises(InvalidInputError, match="the features of references are not all finite"):
        kernel_distance(x, np.full_like(y, np.inf))


def by_definition(name: str, x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Balls from all distances between points as they are."""

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.square(a[:, None] - b[None]).sum(axis=2)

    def radii(z: np.ndarray) -> np.ndarray:
        return np.sort(distances(z, z), axis=1)[:, k]  # the nearest is the point itself

    inside = distances(x, y) <= radii(y)
    if name == "precision":
        return float(inside.any(axis=1).mean())
    if name == "density":
        return float(inside.sum() / (k * len(x)))
    if name == "coverage":
        return float(inside.any(axis=0).mean())
    return float((distances(y, x) <= radii(x)).any(axis=1).mean())


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbourhoods_by_their_definitions_in_a_thousand_cases(name: str) -> None:
    """A third of them on a lattice, where most distances have ties and some points are copies."""
    rng = np.random.default_rng(0)
    for seed in range(1000):
        k = 1 + seed % 4
        n, m = rng.integers(k + 1, 20, size=2)
        x, y = two_sets(seed, n, m, features=1 + seed % 5)
        if seed % 3 == 0:
            x, y = (rng.integers(0, 4, size=z.shape).astype(float) for z in (x, y))
        assert NEIGHBOURS[name](x, y, k=k) == pytest.approx(by_definition(name, x, y, k), abs=1e-12)


@pytest.mark.reference
def test_neighbourhoods_are_those_of_prdc() -> None:
    prdc = pytest.importorskip("prdc")
    for seed in range(200):
        x, y = two_sets(seed)
        theirs = prdc.compute_prdc(y, x, nearest_k=3)
        for name, metric in NEIGHBOURS.items():
            assert metric(x, y, k=3) == pytest.approx(theirs[name], abs=1e-12)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbourhoods_of_equal_and_distant_sets_far_from_zero(name: str) -> None:
    x, _ = two_sets(0)
    metric = NEIGHBOURS[name]
    assert metric(x + 1e5, x + 1e5) >= 1.0
    assert metric(x + 1e5, x) == 0.0


def test_ties_lie_inside() -> None:
    """On a lattice every distance has ties, and copies have radius zero."""
    x = np.stack(np.meshgrid(*[np.arange(4.0)] * 2), axis=-1).reshape(-1, 2)
    assert precision(x + np.array([[1.0, 0.0]]), x, k=1) == 1.0
    copies = np.repeat(x, 3, axis=0) + 0.1
    assert precision(copies, copies, k=2) == recall(copies, copies, k=2) == coverage(copies, copies, k=2) == 1.0
    assert precision(x + 0.1, copies, k=2) == 1.0


def test_neighbourhoods_need_more_than_k_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = two_sets(0)
    with pytest.raises(InvalidInputError, match="4 samples and 4 references at least are needed; got 3 and 50"):
        precision(x[:3], y)
    with pytest.raises(InvalidInputError, match=r"of one extractor are needed; got \(60, 6\) and \(50, 5\)"):
        coverage(x, y[:, :5])
    whole = [metric(x, y) for metric in NEIGHBOURS.values()]
    monkeypatch.setattr("artifex.modalities.image.metrics.neighbours.ROWS", 7)
    assert [metric(x, y) for metric in NEIGHBOURS.values()] == whole


def test_class_score_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        p = rng.dirichlet(np.full(5, 0.3), size=int(rng.integers(1, 30)))
        kl = np.sum(scipy.special.rel_entr(p, p.mean(0)), axis=1)
        assert_allclose(class_score(p), np.exp(kl.mean()), rtol=1e-9)
    assert class_score(np.eye(7)) == pytest.approx(7)
    assert class_score(np.full((4, 7), 1 / 7)) == pytest.approx(1)
    with pytest.raises(InvalidInputError, match="each row adding up to one"):
        class_score(rng.normal(size=(4, 7)))


def test_class_score_streams_and_resamples() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(6), size=90)
    rows = INCEPTION_SCORE.statistics({"samples": p})
    parts = [INCEPTION_SCORE.statistics({"samples": p[i:j]}).sum(0) for i, j in pairwise([0, 1, 8, 72, 90])]
    assert_allclose(INCEPTION_SCORE.finalize(sum(parts)), class_score(p), rtol=1e-12)
    counts = np.random.default_rng(2).multinomial(90, np.full(90, 1 / 90), size=3)
    resampled = [class_score(p.repeat(count, axis=0)) for count in counts]
    assert_allclose(INCEPTION_SCORE.finalize(counts @ rows), resampled, rtol=1e-12)


def test_perceptual_distance_of_vectors() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 5, 9))
    total = PERCEPTUAL_DISTANCE.statistics({"samples": x, "references": y}).sum(0)
    assert_allclose(PERCEPTUAL_DISTANCE.finalize(total), np.mean(np.sum((x - y) ** 2, axis=1)), rtol=1e-12)
    with pytest.raises(InvalidInputError, match=r"pairs of feature vectors \(pairs, features\) are needed"):
        PERCEPTUAL_DISTANCE.statistics({"samples": x, "references": y[:2]})


def test_every_metric_of_features_names_a_registered_extractor() -> None:
    found = registry()
    named = {entry.name: entry for entry, _ in found.entries("metric") if entry.modality == "image" and entry.features}
    assert {"image_frechet_distance", "image_kernel_distance", "inception_frechet_distance", "perceptual_distance"} <= set(
        named
    )
    for entry in named.values():
        assert found.entry_for_slot("feature_extractor", entry.features)
        target = resolve(entry.metric)
        assert isinstance(target, StreamedMetric | MergedMetric) or callable(target)
        assert "FID" not in entry.name.upper().split("_")
