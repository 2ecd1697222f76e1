"""The isotropic normal distribution on rotations against its series in float64, and exp after log."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.core.geometry import so3_exp, so3_log
from artifex.geometric.igso3 import igso3_log_density, igso3_score, sample_igso3, uniform_rotations

ANGLES = np.array([0.0, 1e-4, 1e-2, 0.1, 0.5, 1.0, 2.0, 3.0, 3.14, np.float32(np.pi)], np.float32).astype(np.float64)


def series(w: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """``f`` and ``df/dw``, by characters ``1 + 2 sum_m cos(m w)`` in float64: an independent sum, enough terms for each."""
    m = np.arange(1, 400)
    l = np.arange(400)
    weights = (2 * l + 1) * np.exp(-l * (l + 1) * sigma**2 / 2)
    tail = weights[::-1].cumsum()[::-1][1:]  # of all l from m on
    f = weights.sum() + 2 * np.cos(np.outer(w, m)) @ tail
    return f, -2 * (np.sin(np.outer(w, m)) * m) @ tail


@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0, 1.39, 1.41, 2.0])
def test_density_and_score_are_those_of_the_series(sigma: float):
    f, slope = series(ANGLES, sigma)
    seen = f > 1e-8  # below, the series in float64 has no digits left
    w = jnp.asarray(ANGLES, jnp.float32)
    density = np.exp(np.asarray(igso3_log_density(w, sigma), np.float64))
    assert_allclose(density[seen], f[seen], rtol=1e-4)
    axis = np.array([0.6, 0.0, 0.8])
    score = np.asarray(igso3_score(jnp.asarray(ANGLES[:, None] * axis, jnp.float32), sigma))
    assert np.isfinite(score).all()
    wanted = (slope[seen] / f[seen])[:, None] * axis
    # at pi the score vanishes as the difference of numbers of its usual size: there a part of the largest is what counts
    scale = np.linalg.norm(wanted, axis=1, keepdims=True) + 0.05 * np.linalg.norm(wanted, axis=1).max()
    assert np.max(np.abs(score[seen] - wanted) / scale) < 1e-4


@pytest.mark.parametrize("sigma", [0.2, 1.5])
def test_draws_have_the_angles_of_the_density(sigma: float):
    n = 20_000
    angles = np.linalg.norm(np.asarray(jax.jit(lambda k: so3_log(sample_igso3(k, sigma, (n,))))(jax.random.key(0))), axis=1)
    grid = np.linspace(0, np.pi, 20_001)[1:]
    density = np.maximum(series(grid, sigma)[0], 0) * (1 - np.cos(grid)) / np.pi
    cumulative = np.cumsum(density) * (grid[1] - grid[0])
    assert abs(cumulative[-1] - 1) < 1e-3  # f is a density
    found = np.searchsorted(np.sort(angles), grid) / n
    assert np.max(np.abs(found - cumulative)) < 1.95 / np.sqrt(n)  # Kolmogorov and Smirnov, 1 in 1000


def test_uniform_rotations_have_no_preferred_direction():
    n = 20_000
    r = np.asarray(jax.jit(lambda k: uniform_rotations(k, (n,)))(jax.random.key(0)))
    assert np.abs(r.mean(axis=0)).max() < 4 / np.sqrt(3 * n)
    assert_allclose(np.square(r).mean(axis=0), np.full((3, 3), 1 / 3), atol=4 * np.sqrt(4 / 45 / n))


@pytest.mark.parametrize("angle", [0.0, 1e-7, np.pi - 1e-6, np.pi])
def test_log_after_exp_and_its_gradient_at_the_hard_angles(angle: float):
    axis = np.array([2.0, -1.0, 2.0]) / 3
    with jax.enable_x64(True):
        w = jnp.asarray(angle * axis)
        back = so3_log(so3_exp(w))
        assert min(np.abs(back - w).max(), np.abs(back + w).max() if angle == np.pi else np.inf) < 1e-5
        gradient = jax.jacobian(lambda w: so3_log(so3_exp(w)))(w)
        assert np.isfinite(gradient).all()
