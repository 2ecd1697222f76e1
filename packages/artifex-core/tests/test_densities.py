"""Known densities: against SciPy's integrals, their own draws, and their entropies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from artifex.core.densities import DENSITIES, DensitySamples, DensitySamplesConfig, EightGaussians, GridOfGaussians, TwoMoons
from artifex.core.errors import InvalidInputError

N = 5000
WITHIN = {"banana": (8.0, 24.0), "checkerboard": (8.0, 8.0)}
"""Half sides of a box that holds all but 1e-4 of the mass and, of the checkerboard, has its squares' edges on a grid."""


@pytest.fixture(scope="module", params=DENSITIES)
def drawn(request: pytest.FixtureRequest):
    density = DENSITIES[request.param]()
    x = density.sample(jax.random.key(0), N)
    return request.param, density, np.asarray(x), np.asarray(density.log_prob(x))


def test_entropy_is_what_draws_give(drawn) -> None:
    _, density, x, log_prob = drawn
    assert x.shape == (N, 2)
    assert x.dtype == np.float32
    # five standard deviations of the mean; the checkerboard has none
    assert abs(-log_prob.mean() - density.entropy()) < 5 * log_prob.std() / math.sqrt(N) + 1e-6


def test_draws_fall_where_the_density_says(drawn) -> None:
    """Shares of 64 boxes of equal size against the integral over each, which add up to one."""
    name, density, x, _ = drawn
    if name == "funnel":  # its neck is too narrow for a grid
        u = np.stack([x[:, 0] / 3, x[:, 1] * np.exp(-x[:, 0] / 2)])
        assert all(scipy.stats.kstest(row, "norm").pvalue > 1e-4 for row in u)
        assert abs(np.corrcoef(u)[0, 1]) < 5 / math.sqrt(N)
        return
    half, fine = np.array(WITHIN.get(name, (6.0, 6.0))), 768 if name == "grid_of_gaussians" else 192
    axes = [(np.arange(fine) + 0.5) * (2 * h / fine) - h for h in half]
    grid = jnp.asarray(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1), jnp.float32)
    rows = jax.jit(lambda grid: jax.lax.map(density.log_prob, grid))(grid)
    mass = np.exp(np.asarray(rows, np.float64)) * np.prod(2 * half / fine)
    assert abs(mass.sum() - 1) < 1e-3
    shares = mass.reshape(8, fine // 8, 8, fine // 8).sum(axis=(1, 3))
    counts = np.histogram2d(*x.T, bins=[np.linspace(-h, h, 9) for h in half])[0] / N
    assert np.all(np.abs(counts - shares) < 5 * np.sqrt(np.maximum(shares, 1 / N) / N) + 1e-3)


def along(curve: Callable[[float], tuple[float, float]], noise: float, x: np.ndarray) -> float:
    """The density of a blurred curve, its points evenly distributed on ``[0, 1]``."""

    def integrand(s: float) -> float:
        a, b = curve(s)
        return math.exp(-((x[0] - a) ** 2 + (x[1] - b) ** 2) / (2 * noise**2)) / (2 * math.pi * noise**2)

    return scipy.integrate.quad(integrand, 0, 1, limit=500, epsabs=1e-12, points=np.linspace(0, 1, 30))[0]


def moon(s: float) -> tuple[float, float]:
    return 2 * math.cos(math.pi * s) - 1, 2 * math.sin(math.pi * s) - 0.5


def spiral(u: float) -> tuple[float, float]:
    t = 3 * math.pi * math.sqrt(u)
    return -t * math.cos(t) / 3, t * math.sin(t) / 3


def roll(s: float) -> tuple[float, float]:
    t = 1.5 * math.pi * (1 + 2 * s)
    return t * math.cos(t) / 5, t * math.sin(t) / 5


def ring(radius: float) -> Callable[[float], tuple[float, float]]:
    return lambda s: (radius * math.cos(2 * math.pi * s), radius * math.sin(2 * math.pi * s))


EXPECTED: dict[str, Callable[[np.ndarray], Any]] = {
    "two_moons": lambda x: (along(moon, 0.2, x) + along(moon, 0.2, -x)) / 2,
    "two_spirals": lambda x: (along(spiral, 0.12, x) + along(spiral, 0.12, -x)) / 2,
    "swiss_roll": lambda x: along(roll, 0.2, x),
    "rings": lambda x: sum(along(ring(r), 0.24, x) for r in (0.75, 1.5, 2.25, 3.0)) / 4,
    "funnel": lambda x: scipy.stats.norm.pdf(x[0], 0, 3) * scipy.stats.norm.pdf(x[1], 0, math.exp(x[0] / 2)),
    "banana": lambda x: scipy.stats.norm.pdf(x[0], 0, 2) * scipy.stats.norm.pdf(x[1], 0.25 * (x[0] ** 2 - 4), 1),
    "eight_gaussians": lambda x: (
        sum(np.prod(scipy.stats.norm.pdf(x, EightGaussians().means()[k], 0.5 / math.sqrt(2))) for k in range(8)) / 8
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_density_is_scipys_integral(name: str) -> None:
    density = DENSITIES[name]()
    x = np.asarray(density.sample(jax.random.key(1), 5)) * np.linspace(0.7, 1.3, 5)[:, None]  # on what is likely, and beside it
    expected = np.log([EXPECTED[name](point) for point in x])
    np.testing.assert_allclose(density.log_prob(jnp.asarray(x, jnp.float32)), expected, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("noise", [0.05, 0.4])
def test_entropy_of_gaussians_far_apart_and_close_together(noise: float) -> None:
    apart = math.log(25) + math.log(2 * math.pi * math.e * noise**2)
    if noise == 0.05:
        assert GridOfGaussians(noise).entropy() == pytest.approx(apart, abs=1e-9)
        assert EightGaussians(noise).entropy() == pytest.approx(apart - math.log(25 / 8), abs=1e-4)
    else:
        assert GridOfGaussians(noise).entropy() < apart - 1e-3  # they overlap


def test_narrow_moons_are_integrated_as_well() -> None:
    # almost that of a place on curves 4 pi long and of noise across them, but for the four ends
    along_and_across = math.log(4 * math.pi) + 0.5 * math.log(2 * math.pi * math.e * 0.06**2)
    assert TwoMoons(0.06).entropy() == pytest.approx(along_and_across, abs=0.03)


def test_splits_are_other_draws_and_the_same_ones_again() -> None:
    made = [DensitySamples(DensitySamplesConfig(density="rings", n_train=50, n_test=50, seed=seed)) for seed in (0, 0, 1)]
    first, again, other = (data.arrays("train")["x"] for data in made)
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)
    assert not np.any(first == made[0].arrays("test")["x"])
    with pytest.raises(InvalidInputError, match="train, test, validation"):
        made[0].arrays("valid")


def test_the_funnel_far_down_its_neck() -> None:
    """``x_2 = 0`` stays where the mass is however narrow the neck: ``log N(-200; 0, 9) + log N(0; 0, e^-200)`` by hand."""
    expected = -0.5 * (200 / 3) ** 2 - np.log(2 * np.pi * 3) + 100
    np.testing.assert_allclose(DENSITIES["funnel"]().log_prob(jnp.array([[-200.0, 0.0]])), expected, rtol=1e-5)
