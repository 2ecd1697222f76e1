"""Losses, penalties, augmentation and metrics against what is known of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.core.densities import GridOfGaussians
from artifex.core.errors import InvalidInputError
from artifex.gan import augment, losses, metrics, penalties

DRAW = np.random.default_rng(0)
LOGITS = jnp.asarray(DRAW.normal(size=(2, 64)) * 2, jnp.float32)


def test_the_best_logistic_discriminator_is_the_log_ratio_of_densities():
    """Of N(1, 1) against N(-1, 1) it is 2x: a linear one descends to slope 2 and offset 0 (Goodfellow et al., section 4.1)."""
    x = jnp.asarray(DRAW.normal(size=4000), jnp.float32)
    x = jnp.concatenate([x, -x])  # symmetric, so that the offset is exactly 0

    def loss(weights):
        return losses.logistic_discriminator(weights[0] * (x + 1) + weights[1], weights[0] * (x - 1) + weights[1])

    weights = jax.jit(lambda: jax.lax.fori_loop(0, 200, lambda _, w: w - 1.0 * jax.grad(loss)(w), jnp.zeros(2)))()
    assert_allclose(weights, [2.0, 0.0], atol=0.15)  # standard error of such a slope from 8000 points: 0.04


@pytest.mark.parametrize("name", losses.LOSSES)
def test_each_side_pulls_logits_of_generated_data_its_own_way(name):
    rule, (real, fake) = losses.LOSSES[name], LOGITS
    fake = jax.nn.sigmoid(fake)  # between the targets of least squares
    down = jax.grad(lambda f: rule.discriminator(real, f))(fake)
    up = jax.grad(lambda f: rule.generator(*((real, f) if rule.relative else (f,))))(fake)
    assert np.all(up < 0)
    assert np.all(down > 0)


def test_minimax_saturates_where_non_saturating_does_not():
    sure = jnp.full((1,), -20.0)
    assert abs(float(jax.grad(losses.minimax_generator)(sure)[0])) < 1e-8
    assert_allclose(jax.grad(losses.non_saturating_generator)(sure), [-1.0], rtol=1e-6)


def test_accuracy_has_the_middle_for_boundary_where_only_differences_count():
    real, fake = jnp.array([11.0, 12.0]), jnp.array([9.0, 10.0])
    assert [float(a) for a in losses.accuracies(real, fake, None)] == [1.0, 1.0]
    assert [float(a) for a in losses.accuracies(real, fake, 0.0)] == [1.0, 0.0]


def quadratic(x):
    return jnp.sum(x**2, axis=-1) / 2


def test_penalties_of_a_function_with_a_known_slope():
    x, y = (jnp.asarray(DRAW.normal(size=(32, 3)), jnp.float32) for _ in range(2))
    assert_allclose(penalties.squared_slopes(quadratic, x), np.sum(np.square(x), -1), rtol=1e-5)
    assert_allclose(penalties.r1(quadratic, x), 0.5 * np.mean(np.sum(np.square(x), -1)), rtol=1e-5)
    key = jax.random.key(0)
    u = np.asarray(jax.random.uniform(key, (32, 1)))
    norms = np.linalg.norm(u * np.asarray(x) + (1 - u) * np.asarray(y), axis=-1)
    assert_allclose(penalties.gradient_penalty(quadratic, x, y, key, slope=2.0), np.mean((norms - 2) ** 2), rtol=1e-5)
    assert np.ptp(u) > 0.5  # one for each pair


def test_a_flat_critic_has_a_finite_gradient():
    def penalty(w):
        return penalties.slope_penalty(lambda x: w * x[:, 0], jnp.ones((2, 3)))

    assert float(penalty(0.0)) == 1.0
    assert np.isfinite(jax.grad(penalty)(0.0))


def test_pairs_that_are_none_are_refused():
    with pytest.raises(InvalidInputError, match=r"real has shape \(2, 3\) and fake \(4, 3\)"):
        penalties.gradient_penalty(quadratic, jnp.ones((2, 3)), jnp.ones((4, 3)), jax.random.key(0))


def test_losses_and_penalties_refuse_what_would_broadcast():
    """Logits (4,) beside (4, 1) would make sixteen pairs of four."""
    for loss in (losses.relativistic_discriminator, losses.relativistic_generator):
        with pytest.raises(InvalidInputError, match=r"real has shape \(4,\) and fake \(4, 1\)"):
            loss(jnp.zeros(4), jnp.zeros((4, 1)))
    for x in (jnp.zeros(3), jnp.zeros((2, 3), jnp.int32)):
        with pytest.raises(InvalidInputError, match="a batch of examples, floating point"):
            penalties.r1(quadratic, x)
    with pytest.raises(InvalidInputError, match=r"examples of one shape, got \(4, 2\) and \(4, 3\)"):
        metrics.relative_spread(jnp.ones((4, 2)), jnp.ones((4, 3)))


# augmentation


def test_translation_moves_whole_images_and_zeros_come_in():
    x = jnp.asarray(DRAW.uniform(1, 2, (200, 8, 16, 1)), jnp.float32)
    moved = np.asarray(augment.translation(x, jax.random.key(0)))
    seen = set()
    for before, after in zip(np.asarray(x), moved, strict=True):
        rows, columns = np.nonzero(after[..., 0])
        top, left = rows.min(), columns.min()
        found = [
            (dy, dx)
            for dy in (-1, 0, 1)
            for dx in (-2, -1, 0, 1, 2)
            if np.allclose(np.pad(before, ((2, 2), (2, 2), (0, 0)))[2 - dy : 10 - dy, 2 - dx : 18 - dx], after)
        ]
        assert len(found) == 1, (top, left)
        seen.add(found[0])
    assert len(seen) == 15  # each of 3 × 5 shifts, which 200 draws miss one time in a hundred thousand


def test_cutout_blanks_at_most_a_quarter_and_color_keeps_shapes_and_gradients():
    x = jnp.ones((300, 8, 8, 3))
    blank = np.mean(np.asarray(augment.cutout(x, jax.random.key(1))) == 0, axis=(1, 2, 3))
    assert blank.max() == 0.25
    assert 0 < blank.min() < 0.25
    coloured = augment.color(jnp.asarray(DRAW.normal(size=(4, 8, 8, 3)), jnp.float32), jax.random.key(2))
    assert coloured.shape == (4, 8, 8, 3)
    for change in augment.CHANGES.values():
        assert np.any(jax.grad(lambda x, c=change: jnp.sum(c(x, jax.random.key(3)) ** 2))(x[:2]))


def test_what_is_no_image_or_no_change_is_refused():
    with pytest.raises(InvalidInputError, match=r"are \(B, H, W, C\) in floating point, got float32 of shape \(2, 8, 8\)"):
        augment.augment(jnp.zeros((2, 8, 8)), ("color",), jax.random.key(0))
    with pytest.raises(InvalidInputError, match="got uint8"):
        augment.augment(jnp.zeros((2, 8, 8, 1), jnp.uint8), ("color",), jax.random.key(0))
    with pytest.raises(InvalidInputError, match="no change called 'flip'; there are color, translation, cutout"):
        augment.augment(jnp.zeros((2, 8, 8, 1)), ("flip",), jax.random.key(0))


# metrics


def test_metrics_of_draws_from_the_density_itself():
    density = GridOfGaussians()
    means, draws = jnp.asarray(density.means(), jnp.float32), density.sample(jax.random.key(0), 20_000)
    assert int(metrics.modes_covered(draws, means, 0.05)) == 25
    # 1 - exp(-9 / 2); its standard error here is 0.0007
    assert_allclose(metrics.high_quality_share(draws, means, 0.05), 1 - np.exp(-4.5), atol=0.003)
    one = draws[jnp.argsort(jnp.sum((draws - means[7][None]) ** 2, axis=-1))[:100]]
    assert int(metrics.modes_covered(one, means, 0.05)) == 1
    assert float(metrics.relative_spread(one, draws)) < 0.05
    assert_allclose(metrics.relative_spread(draws, draws), 1.0, rtol=1e-6)


def test_good_samples_far_from_any_other_count_for_their_own_mode_only():
    means = jnp.array([[0.0, 0.0], [1.0, 0.0]])
    samples = jnp.array([[0.0, 0.14], [0.0, 0.16], [0.5, 0.0]])
    assert_allclose(metrics.high_quality_share(samples, means, 0.05), 1 / 3, rtol=1e-6)
    assert int(metrics.modes_covered(samples, means, 0.05)) == 1
    with pytest.raises(InvalidInputError, match=r"samples \(N, D\) and means \(K, D\)"):
        metrics.modes_covered(samples[:, 0], means, 0.05)
