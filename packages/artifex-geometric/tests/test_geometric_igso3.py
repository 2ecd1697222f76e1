"""The isotropic normal distribution on rotations against its series in float64, and exp after log."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.core.geometry import so3_exp, so3_log
from artifex.geometric.igso3 import igso3_log_density, igso3_score, sample_igso3

NEAR_PI = np.pi - np.array([1e-2, 3e-3, 1e-3, 3e-4, 1e-5, 0.0])
ANGLES = np.array([0.0, 1e-4, 1e-2, 0.1, 0.5, 1.0, 2.0, 3.0, *NEAR_PI], np.float32).astype(np.float64)


def series(w: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """``f`` and ``df/dw``, by characters ``1 + 2 sum_m cos(m w)`` in float64: an independent sum, enough terms for each."""
    m = np.arange(1, 400)
    l = np.arange(400)
    weights = (2 * l + 1) * np.exp(-l * (l + 1) * sigma**2 / 2)
    tail = weights[::-1].cumsum()[::-1][1:]  # of all l from m on
    f = weights.sum() + 2 * np.cos(np.outer(w, m)) @ tail
    return f, -2 * (np.sin(np.outer(w, m)) * m) @ tail


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.5, 0.7, 1.0, 1.39, 1.41, 2.0])
def test_density_and_score_are_those_of_the_series(sigma: float):
    """The density to 1e-5, where it exceeds 1e-8: below, the series in float64 has no digits left. The score as it can be held.

    At pi it is 0 by symmetry, so that no part of it can be held there: a vector of float32 has a length that is known to two
    roundings of pi, 2^-21, by which the score moves ``2^-21 |s'|``; and it is the difference of numbers as large as ``w /
    sigma^2``, each with its roundings. To this and 1e-5 of itself it is right. In units of ``1 / sigma`` the error was
    1.7e-5 at most, at sigma 0.5; pure relative error passes 1e-4 from 1e-3 before pi on, where ``2^-22 / (pi - w)`` does.
    """
    axis = np.array([0.6, 0.0, 0.8])
    vectors = jnp.asarray(ANGLES[:, None] * axis, jnp.float32)
    w = np.linalg.norm(np.asarray(vectors, np.float64), axis=1)
    f, _ = series(ANGLES, sigma)
    seen = f > 1e-8
    density = np.exp(np.asarray(igso3_log_density(jnp.asarray(ANGLES, jnp.float32), sigma), np.float64))
    assert_allclose(density[seen], f[seen], rtol=1e-5)

    def score(w: np.ndarray) -> np.ndarray:
        f, slope = series(w[seen], sigma)
        return slope / f

    found = np.asarray(igso3_score(vectors, sigma), np.float64)
    assert np.isfinite(found).all()
    bend = (score(w + 1e-4) - score(w - 1e-4)) / 2e-4  # the score is odd: w may be 0
    allowed = 1e-5 * np.abs(score(w)) + 2**-21 * (np.abs(bend) + w[seen] / sigma**2)
    assert np.all(np.abs(found[seen] - score(w)[:, None] * axis).max(axis=1) <= allowed)
    slopes = jax.jacobian(lambda vectors: igso3_score(vectors, sigma).sum(axis=0))(vectors)
    assert np.isfinite(slopes).all()


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("angle", [0.0, 1e-7, np.pi - 1e-6, np.pi])
def test_log_after_exp_and_its_gradient_at_the_hard_angles(angle: float, dtype: type):
    """To 1e-5 of the angle. At pi, and in float32 an ulp from it, the same rotation has two vectors."""
    axis = np.array([2.0, -1.0, 2.0]) / 3
    with jax.enable_x64(dtype is np.float64):
        w = jnp.asarray(angle * axis, dtype)
        back = so3_log(so3_exp(w))
        assert back.dtype == dtype
        two = abs(angle - np.pi) < np.finfo(dtype).eps
        assert min(np.abs(back - w).max(), np.abs(back + w).max() if two else np.inf) <= 1e-5 * angle
        gradient = jax.jacobian(lambda w: so3_log(so3_exp(w)))(w)
        assert np.isfinite(gradient).all()
