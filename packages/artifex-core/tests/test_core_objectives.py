"""Means that keep their weight, and what an objective says of itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import artifex.core
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.objectives import Objective, WeightedMean, is_below, optimizer_names, value_of, weighed, weighted_mean


def test_parts_add_up_to_the_whole_however_they_are_cut():
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(12, 5)).astype(np.float32), rng.random((12, 5)) < 0.3
    expected = np.sum(values[mask].astype(np.float64)) / np.sum(mask)
    for cuts in ([], [6], [1, 2, 11]):
        parts = [weighted_mean(v, m) for v, m in zip(np.split(values, cuts), np.split(mask, cuts), strict=True)]
        whole = jax.tree.map(lambda *leaves: sum(leaves), *parts)
        np.testing.assert_allclose(whole.value, expected, rtol=1e-6)
        np.testing.assert_allclose(sum(part.over(whole.weight) for part in parts), expected, rtol=1e-6)


def test_nothing_to_average_is_zero_with_no_gradient():
    def value(x):
        return weighted_mean(x, jnp.zeros(3, bool)).value

    x = jnp.array([1.0, jnp.nan, jnp.inf])
    assert float(value(x)) == 0.0
    np.testing.assert_array_equal(jax.grad(value)(x), np.zeros(3))
    assert float(WeightedMean(jnp.array(0.0), jnp.array(0.0)).value) == 0.0


def test_masked_places_change_neither_value_nor_gradient():
    mask = jnp.array([[True, False], [True, True]])
    x = jnp.array([[1.0, jnp.nan], [2.0, 6.0]])
    value, gradient = jax.value_and_grad(lambda x: weighted_mean(x, mask).value)(x)
    assert float(value) == 3.0
    np.testing.assert_allclose(gradient, [[1 / 3, 0], [1 / 3, 1 / 3]], rtol=1e-6)


def test_a_mask_has_the_first_axes_of_what_it_masks():
    values = jnp.arange(12.0).reshape(2, 3, 2)
    rows = weighted_mean(values, jnp.array([True, False]))
    assert (float(rows.value), float(rows.weight)) == (2.5, 6.0)
    assert float(weighted_mean(values, jnp.array([[[True, False]], [[False, True]]])).weight) == 6.0
    assert float(weighted_mean(values, jnp.array([0.5, 1.5])).value) == pytest.approx((0.5 * 15 + 1.5 * 51) / 12)
    for shape in ((3,), (2, 2), (2, 3, 2, 1)):
        with pytest.raises(InvalidInputError, match=r"values have shape \(2, 3, 2\) and the mask"):
            weighted_mean(values, jnp.ones(shape))


def test_sums_differences_and_multiples_keep_each_weight():
    a, b = WeightedMean(jnp.array(6.0), jnp.array(3.0)), WeightedMean(jnp.array(20.0), jnp.array(2.0))
    for made, expected in ((a + b, 12.0), (a - b, -8.0), (2 * a + b * 0.5, 9.0), (-a, -2.0), (np.float32(3) * (a + b), 36.0)):
        assert float(made.value) == expected
    halves = [WeightedMean(t, w) + WeightedMean(u, v) for t, w, u, v in ((6.0, 1.0, 0.0, 0.0), (0.0, 2.0, 20.0, 2.0))]
    assert float(jax.tree.map(lambda x, y: x + y, *halves).value) == 12.0  # means of the parts would make 6 and 10


def test_what_weighs_is_not_guessed():
    mean = WeightedMean(jnp.array(6.0), jnp.array(3.0))
    for add in (lambda: mean + 1.0, lambda: jnp.ones([]) + mean, lambda: mean + np.float32(1)):
        with pytest.raises(InvalidTypeError, match="what it weighs is not known"):
            add()
    with pytest.raises(InvalidTypeError, match="product of two"):
        mean * mean
    assert float((mean + weighed(jnp.array(1.0), 4)).value) == 3.0


def test_no_gradient_goes_through_a_weight():
    slope = jax.grad(lambda w: WeightedMean(6.0 * w, 3.0 * w).value)(1.0)
    assert float(slope) == 2.0


def test_plain_scalars_weigh_their_examples():
    made = weighed(jnp.array(2.0, jnp.bfloat16), 5)
    assert (float(made.total), float(made.weight), made.total.dtype) == (10.0, 5.0, jnp.float32)
    assert float(value_of(made)) == float(value_of(jnp.array(2.0))) == 2.0


def loss(model, batch, rngs, step):
    return {"loss": jnp.zeros([])}


def test_an_objective_knows_its_parameters_and_its_optimiser():
    head = Objective(loss, "head", ("critic.head", "encoder"))
    assert [head.owns(key) for key in ("critic.head.kernel", "critic.headless", "encoder.bias", "critic.body")] == [1, 0, 1, 0]
    assert Objective(loss).owns("anything")
    assert not is_below("critics", "critic")
    penalty = Objective(loss, "r1", "critic", every=16, optimizer="critic")
    assert optimizer_names([Objective(loss, "critic", "critic"), penalty, head]) == ("critic", "head")
    with pytest.raises(InvalidInputError, match="every=0"):
        Objective(loss, every=0)


def test_the_core_hands_them_on():
    assert artifex.core.Objective is Objective
    assert artifex.core.WeightedMean is WeightedMean
    assert artifex.core.weighted_mean is weighted_mean
