"""The diffusion's likelihood where it is known, its schedule against the paper's formulas, and what it refuses."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.core.errors import InvalidInputError
from artifex.geometric import EGNNConfig, EquivariantDiffusion, EquivariantDiffusionConfig, PointCloudFlowConfig, VoxelVAEConfig
from artifex.geometric.schedules import noise_schedule, transitions
from artifex.geometric.sets import centred, centred_noise
from artifex.geometric.sizes import size_counts

N, SIZE, SPREAD = 5, 4, 1.7
TINY = {"max_points": N, "network": EGNNConfig(features=4, layers=1)}


class Exact(EquivariantDiffusion):
    """Sets whose coordinates are normal, of standard deviation SPREAD, without centre of mass: the noise's mean is known."""

    def predicted_noise(self, z: Any, t: Any, mask: Any) -> Any:
        table = noise_schedule(self.config.schedule, self.config.timesteps, self.config.precision)
        a, s = (jnp.asarray(column, z.dtype)[t][:, None, None] for column in table)
        return s * z / (jnp.square(a * SPREAD) + jnp.square(s))


@pytest.fixture(scope="module")
def exact() -> Exact:
    return Exact(EquivariantDiffusionConfig(**TINY, size_counts=(0, 0, 0, 1)), rngs=nnx.Rngs(0))


def bound_of_a_dimension(timesteps: int) -> float:
    """The expected bound of one normal dimension with the exact noise, nats: its terms in closed form, in float64."""
    table, v = noise_schedule("polynomial_2", timesteps), SPREAD**2
    error = table.signal**2 * v / (table.signal**2 * v + table.noise**2)  # E (e - e_theta)^2
    path = np.sum((table.snr[:-1] / table.snr[1:] - 1) / 2 * error[1:])
    end = error[0] / 2 + np.log(table.noise[0] / table.signal[0]) + np.log(2 * np.pi) / 2
    prior = (table.noise[-1] ** 2 - 1 + table.signal[-1] ** 2 * v) / 2 - np.log(table.noise[-1])
    return -float(path + end + prior)


def test_likelihood_is_that_of_a_normal_distribution_of_fewer_dimensions(exact: Exact):
    """The mean of the bound is what theory says for 3 (n - 1) dimensions, and that is minus the entropy as steps get small."""
    n, d = 1000, 3 * (SIZE - 1)
    mask = jnp.arange(N)[None] < jnp.full((n, 1), SIZE)
    x = SPREAD * centred_noise(jax.random.key(0), mask)
    found = np.asarray(exact.log_prob(x + 3.0 * mask[..., None], mask=mask, num_times=200, rngs=nnx.Rngs(1)))
    squared = np.sum(np.square(np.asarray(x)), axis=(1, 2)) / SPREAD**2
    error = found + 0.5 * (squared - d)  # the part that is known to have mean 0
    standard = error.std() / np.sqrt(n)
    assert standard < 0.5
    assert abs(error.mean() - d * bound_of_a_dimension(1000)) < 4 * standard
    entropy = 0.5 * np.log(2 * np.pi * np.e * SPREAD**2)
    losses = [-entropy - bound_of_a_dimension(timesteps) for timesteps in (1000, 10_000)]
    assert 0 < losses[1] < losses[0] / 8 < 0.05  # of a dimension: it falls as one over the number of steps


def test_samples_have_the_spread_of_the_data_and_the_sizes_asked_for(exact: Exact):
    x, mask = exact.sample_sets(4000, steps=250, rngs=nnx.Rngs(0))
    x, mask = np.asarray(x), np.asarray(mask)
    assert (mask.sum(axis=1) == SIZE).all()
    assert not x[~mask].any()
    assert np.abs(x.sum(axis=1)).max() < 1e-4
    variance = np.square(x).sum() / (len(x) * 3 * (SIZE - 1))
    assert abs(variance / SPREAD**2 - 1) < 4 * np.sqrt(2 / (len(x) * 3 * (SIZE - 1))) + 0.02


def test_schedule_is_the_papers():
    """(1 - 2p)(1 - (t/T)^2)^2 + p wherever a step takes less than 99.9 %; signal and noise share one unit of variance."""
    table = noise_schedule("polynomial_2", 1000, 1e-5)
    t = np.arange(1001) / 1000
    wanted = (1 - 2e-5) * (1 - t**2) ** 2 + 1e-5
    assert_allclose(table.signal[:-1] ** 2, wanted[:-1], rtol=1e-9)
    assert_allclose(table.signal**2 + table.noise**2, 1, rtol=1e-12)
    assert (np.diff(table.snr) < 0).all()


def test_steps_of_a_sampler_compose_to_the_marginals():
    """With the exact noise of one known set, every step ends at the right mean and variance."""
    table, path = noise_schedule("cosine", 100), transitions("cosine", 100, 10)
    mean, variance = table.signal[100], table.noise[100] ** 2  # of z, for data 1
    for t, keep, take, spread in zip(*path, strict=True):
        # e(z, t) = (z - a_t) / s_t
        scale = keep - take / table.noise[t]
        mean = scale * mean + take * table.signal[t] / table.noise[t]
        variance = scale**2 * variance + spread**2
    assert_allclose([mean, variance], [table.signal[0], table.noise[0] ** 2], rtol=1e-6)


def test_one_wrong_input_one_message():
    model = EquivariantDiffusion(EquivariantDiffusionConfig(**TINY, n_types=2, timesteps=4), rngs=nnx.Rngs(0))
    for call, message in (
        (lambda: model(jnp.zeros((2, 5, 3))), r"x has shape \(2, 5, 3\); sets of points are \(B, N up to 5, 5\)"),
        (lambda: model(jnp.zeros((2, 6, 5))), r"x has shape \(2, 6, 5\)"),
        (lambda: model(jnp.zeros((2, 5, 5)), mask=jnp.ones((2, 4))), r"mask has shape \(2, 4\) and x \(2, 5, 5\)"),
        (lambda: model.generate(2, sizes=[3, 9]), r"sizes lie between 1 and the model's max_points, 5"),
        (lambda: model.generate(2, steps=0), r"steps is 0; it has to be an integer of at least 1"),
        (lambda: model.generate(2, steps=9), r"steps is 9; .* the model's timesteps, 4"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()
    for make, message in (
        (lambda: EquivariantDiffusionConfig(max_points=5, network="set_transformer"), "SetTransformerConfig is not; use egnn"),
        (lambda: EquivariantDiffusionConfig(max_points=2, size_counts=(0, 1, 1)), "up to 3 points, but max_points is 2"),
        (lambda: PointCloudFlowConfig(max_points=2, size_counts=(0, 0)), "size_counts are all 0"),
        (lambda: VoxelVAEConfig(shape=(6, 6, 6, 1), channels=(4, 8)), r"cannot be halved 2 times"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_sizes_follow_the_histogram():
    mask = np.arange(4)[None] < np.array([[2], [2], [4], [2]])
    counts = size_counts(mask)
    assert counts == (0, 3, 0, 1)
    model = EquivariantDiffusion(EquivariantDiffusionConfig(**TINY, size_counts=counts, timesteps=1), rngs=nnx.Rngs(0))
    sizes = np.asarray(model.sample_sets(2000)[1]).sum(axis=1)
    assert set(sizes) == {2, 4}
    assert abs(np.mean(sizes == 2) - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)


def test_noise_has_no_centre_of_mass_and_its_own_dimensions():
    mask = jnp.asarray(np.arange(5)[None] < np.full((4000, 1), 3))
    noise = np.asarray(centred_noise(jax.random.key(0), mask, 1))
    assert np.abs(noise[..., :3].sum(axis=1)).max() < 1e-5
    squared = np.square(noise[..., :3]).sum(axis=(1, 2))
    assert abs(squared.mean() - 6) < 4 * np.sqrt(12 / 4000)  # chi squared of 3 (3 - 1) dimensions
    assert abs(np.square(noise[..., 3]).sum(axis=1).mean() - 3) < 4 * np.sqrt(6 / 4000)
    assert_allclose(centred(jnp.asarray(noise[..., :3]), mask), noise[..., :3], atol=1e-5)
