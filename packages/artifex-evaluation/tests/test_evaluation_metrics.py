"""The metrics of any data, against independent ways to compute them."""

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.frechet import frechet_distance, merged_moments, moments
from artifex.evaluation.metrics import (
    FrechetDistance,
    coverage,
    density,
    energy_distance,
    kernel_distance,
    maximum_mean_discrepancy,
    precision,
    recall,
    sliced_wasserstein,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), RNG.normal(size=(80, 3)) * 1.3 + 0.4


def pairs(a, b, of):
    return np.array([[of(x, y) for y in b] for x in a])


def off_diagonal_mean(table):
    n = len(table)
    return (table.sum() - np.trace(table)) / (n * (n - 1))


def distance(x, y):
    return np.sqrt(np.sum((x - y) ** 2))


def test_energy_distance_by_its_definition():
    expected = 2 * pairs(X, Y, distance).mean() - sum(off_diagonal_mean(pairs(z, z, distance)) for z in (X, Y))
    np.testing.assert_allclose(energy_distance(X, Y), expected, rtol=1e-10)


def test_energy_distance_of_a_line_is_scipy_s_but_for_the_diagonal():
    """SciPy gives the root of the biased one, by distribution functions."""
    x, y = RNG.normal(size=400), RNG.normal(size=500) + 1
    biased = 2 * np.abs(x[:, None] - y).mean() - np.abs(x[:, None] - x).mean() - np.abs(y[:, None] - y).mean()
    np.testing.assert_allclose(scipy.stats.energy_distance(x, y) ** 2, biased, rtol=1e-9)
    correction = sum(np.abs(z[:, None] - z).mean() / (len(z) - 1) for z in (x, y))
    np.testing.assert_allclose(energy_distance(x[:, None], y[:, None]), biased - correction, rtol=1e-9)


def test_maximum_mean_discrepancy_by_its_definition():
    median = np.median([distance(a, b) for i, a in enumerate(Y) for b in Y[i + 1 :]])

    def kernel(x, y):
        return np.mean([np.exp(-(distance(x, y) ** 2) / (2 * (w * median) ** 2)) for w in (0.25, 0.5, 1, 2, 4)])

    expected = sum(off_diagonal_mean(pairs(z, z, kernel)) for z in (X, Y)) - 2 * pairs(X, Y, kernel).mean()
    np.testing.assert_allclose(maximum_mean_discrepancy(X, Y), expected, rtol=1e-9)


def test_sliced_wasserstein_along_each_direction_is_scipy_s():
    """Of equally many samples and references the sorted values are matched, which SciPy does by distribution functions."""
    directions = np.asarray(jax.random.normal(nnx.Rngs(3)(), (16, 3)), np.float64)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.mean([scipy.stats.wasserstein_distance(X @ d, Y[:60] @ d) for d in directions])
    np.testing.assert_allclose(sliced_wasserstein(X, Y[:60], nnx.Rngs(3), n_directions=16), expected, rtol=1e-9)


def test_neighbours_by_their_definitions():
    def balls(points):
        return [sorted(distance(p, q) for q in points)[5] for p in points]

    x_balls, y_balls = balls(X), balls(Y)
    inside_y = np.array([[distance(x, y) <= r for y, r in zip(Y, y_balls, strict=True)] for x in X])
    inside_x = np.array([[distance(x, y) <= r for x, r in zip(X, x_balls, strict=True)] for y in Y])
    assert precision(X, Y) == inside_y.any(axis=1).mean()
    assert recall(X, Y) == inside_x.any(axis=1).mean()
    assert density(X, Y) == inside_y.sum() / (5 * len(X))
    assert coverage(X, Y) == inside_y.any(axis=0).mean()


def test_kernel_distance_by_its_definition():
    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    def of_block(x, y):
        return sum(off_diagonal_mean(pairs(z, z, kernel)) for z in (x, y)) - 2 * pairs(x, y, kernel).mean()

    expected = np.mean([of_block(X[i : i + 20], Y[i : i + 20]) for i in (0, 20, 40)])
    np.testing.assert_allclose(kernel_distance(X, Y, block=20), expected, rtol=1e-9)


def test_frechet_distance_by_a_matrix_s_square_root():
    a, b = (np.cov(z.T) for z in (X, Y))
    root = scipy.linalg.sqrtm(a @ b).real
    expected = np.sum((X.mean(0) - Y.mean(0)) ** 2) + np.trace(a + b - 2 * root)
    np.testing.assert_allclose(frechet_distance(moments(X), moments(Y)), expected, rtol=1e-9)


def test_merged_moments_keep_their_digits_far_from_zero():
    """An offset of 300 in float32, where sums of raw squares lose the distance altogether."""
    x, y = (np.asarray(z + 300, np.float32) for z in (X, Y))
    whole = frechet_distance(moments(x), moments(y))
    state = moments(x[:0])
    for i in range(0, 60, 7):
        state = merged_moments(state, moments(x[i : i + 7]))
    np.testing.assert_allclose(frechet_distance(state, moments(y)), whole, rtol=1e-10)
    np.testing.assert_allclose(whole, frechet_distance(moments(X), moments(Y)), rtol=1e-4)  # of float32 at 300: 2e-5 each


def test_fewer_examples_than_features_are_no_harm():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(10, 40)), rng.normal(size=(12, 40))
    a, b = np.cov(x.T), np.cov(y.T)
    overlap = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0)).sum()
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a) + np.trace(b) - 2 * overlap
    np.testing.assert_allclose(frechet_distance(moments(x), moments(y)), expected, rtol=1e-6)  # the root of a rounding error


@pytest.mark.parametrize("metric", [energy_distance, maximum_mean_discrepancy, precision, recall, density, coverage])
@pytest.mark.parametrize(("x", "y"), [(X, Y[:, :2]), (X[:1], Y), (X[:, 0], Y[:, 0])])
def test_what_cannot_be_compared_is_said(metric, x, y):
    with pytest.raises(InvalidInputError, match="samples have shape"):
        metric(x, y)


def test_errors_of_features_and_states():
    with pytest.raises(InvalidInputError, match="more than 5 are needed"):
        precision(X[:9], Y[:4])
    with pytest.raises(InvalidInputError, match="two at least"):
        kernel_distance(X, Y[:, :2])
    with pytest.raises(InvalidInputError, match="one vector for each example"):
        moments(X[0])
    with pytest.raises(InvalidInputError, match="use one extractor"):
        frechet_distance(moments(X), moments(Y[:, :2]))
    with pytest.raises(InvalidInputError, match="two at least"):
        frechet_distance(moments(X), moments(Y[:1]))
    with pytest.raises(InvalidInputError, match="no references"):
        FrechetDistance().finalize({"samples": moments(X)})
