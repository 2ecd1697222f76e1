"""Group norm: the numbers of its definition, of flax's layer and of PyTorch's, gradients too, and where means are large."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.nn import GroupNorm, group_norm

SHAPES = [((2, 5, 6, 8), 4), ((3, 7, 6), 3), ((4, 6), 2), ((2, 3, 2, 4, 8), 1), ((2, 5, 6, 4), 4)]


def by_definition(x, scale, bias, groups, epsilon=1e-6):
    """The textbook: example by example, group by group, in float64."""
    x, y = np.asarray(x, np.float64), np.empty(np.shape(x))
    size = x.shape[-1] // groups
    for b in range(len(x)):
        for g in range(groups):
            channels = slice(g * size, (g + 1) * size)
            part = x[b, ..., channels]
            normal = (part - part.mean()) / np.sqrt(part.var() + epsilon)
            y[b, ..., channels] = normal * np.asarray(scale, np.float64)[channels] + np.asarray(bias, np.float64)[channels]
    return y


def arrays(shape, mean=0.0):
    random = np.random.default_rng(len(shape))
    x = np.float32(mean + random.normal(size=shape))
    return x, np.float32(1 + 0.3 * random.normal(size=shape[-1])), np.float32(random.normal(size=shape[-1]))


def with_parameters(layer, scale, bias):
    layer.scale[...], layer.bias[...] = jnp.asarray(scale), jnp.asarray(bias)
    return layer


@pytest.mark.parametrize(("shape", "groups"), SHAPES, ids=str)
def test_it_is_its_definition(shape, groups):
    x, scale, bias = arrays(shape)
    # float32: values of a few units, one rounding is 2e-7 of them
    np.testing.assert_allclose(group_norm(x, scale, bias, groups), by_definition(x, scale, bias, groups), atol=4e-6)


@pytest.mark.parametrize(("shape", "groups"), SHAPES, ids=str)
def test_values_and_gradients_equal_flax(shape, groups):
    x, scale, bias = arrays(shape)
    weights = np.random.default_rng(9).normal(size=shape)
    graph = nnx.graphdef(nnx.GroupNorm(shape[-1], groups, use_fast_variance=False, rngs=nnx.Rngs(0)))

    def flax(x, scale, bias):
        return nnx.merge(graph, {"scale": scale, "bias": bias})(x)

    def ours(x, scale, bias):
        return group_norm(x, scale, bias, groups)

    def both(form):
        def scalar(*given):
            y = form(*given)
            return jnp.sum(jnp.float32(weights) * jax.nn.silu(y)), y

        return jax.value_and_grad(scalar, (0, 1, 2), has_aux=True)

    found, wanted = jax.jit(lambda *given: (both(ours)(*given), both(flax)(*given)))(x, scale, bias)
    # sums of up to 60 terms of order one
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5), found, wanted)


def test_numbers_of_pytorch():
    # torch 2.13: F.group_norm(x.permute(0, 3, 1, 2), 2, weight, bias, 1e-6) on squares modulo 11, back to channels-last
    x = (np.arange(16) ** 2 % 11).reshape(1, 2, 2, 4).astype(np.float32)
    weight, bias = np.float32([1.0, 0.5, -1.0, 2.0]), np.float32([0.0, 1.0, 0.0, -1.0])
    expected = [-1.254796, 0.558498, 0.162221, 1.919985, 0.604161, 0.930289, 0.486664, -0.675557]
    expected += [2.091327, 1.116185, 1.13555, -3.919985, -0.883005, 1.116185, -1.459993, -0.675557]
    np.testing.assert_allclose(group_norm(x, weight, bias, 2).ravel(), expected, atol=2e-6)


def test_a_large_mean_costs_no_more_than_the_rounding_of_the_input():
    x, scale, bias = arrays((2, 8, 8, 4), mean=3000.0)
    # x itself is rounded to 1.2e-4; E[x^2] - m^2 would be wrong by whole units
    np.testing.assert_allclose(group_norm(x, scale, bias, 2), by_definition(x, scale, bias, 2), atol=1e-3)


def test_forward_mode_and_second_derivatives():
    x, scale, bias = arrays((2, 3, 3, 4))
    scalar = lambda x: jnp.sum(jnp.sin(group_norm(x, scale, bias, 2)))  # noqa: E731
    direction = np.float32(np.random.default_rng(3).normal(size=x.shape))
    along = jax.jit(lambda x: jax.jvp(jax.grad(scalar), (x,), (jnp.asarray(direction),))[1])(x)
    h = 1e-2  # central differences in float32: h^2 of truncation, 1e-7 / h of rounding
    by_differences = (jax.grad(scalar)(x + h * direction) - jax.grad(scalar)(x - h * direction)) / (2 * h)
    np.testing.assert_allclose(along, by_differences, atol=5e-3 * float(jnp.abs(along).max()))


def test_types():
    layer = GroupNorm(4, 2, param_dtype=jnp.bfloat16)
    assert layer.scale[...].dtype == layer.bias[...].dtype == jnp.bfloat16
    assert layer(jnp.ones((1, 2, 2, 4), jnp.bfloat16)).dtype == jnp.bfloat16
    assert layer(jnp.ones((1, 2, 2, 4))).dtype == jnp.float32
    assert GroupNorm(4, 2, dtype=jnp.bfloat16)(jnp.ones((1, 2, 2, 4))).dtype == jnp.bfloat16


def test_statistics_of_bfloat16_are_float32():
    """The mean of 256 and 258 lies between two bfloat16 numbers."""
    x = jnp.tile(jnp.array([256.0, 258.0], jnp.bfloat16), (1, 4, 4, 1))
    y = GroupNorm(2, 1, dtype=jnp.bfloat16)(x)
    np.testing.assert_array_equal(y[0, 0, 0].astype(jnp.float32), [-1.0, 1.0])


def test_parameters_know_their_logical_axes_and_start_as_no_change():
    layer = GroupNorm(6, 3)
    assert {layer.scale.get_metadata("logical_axes"), layer.bias.get_metadata("logical_axes")} == {("conv_out",)}
    np.testing.assert_array_equal([layer.scale[...], layer.bias[...]], [np.ones(6), np.zeros(6)])


def test_the_layer_uses_its_parameters():
    x, scale, bias = arrays((2, 3, 4, 6))
    layer = with_parameters(GroupNorm(6, 3, epsilon=0.5), scale, bias)
    np.testing.assert_allclose(layer(x), by_definition(x, scale, bias, 3, 0.5), atol=4e-6)


def test_bad_input_is_one_clear_error():
    with pytest.raises(InvalidInputError, match=r"4 groups do not divide 6 channels; use one of \[1, 2, 3, 6\]"):
        GroupNorm(6, 4)
    with pytest.raises(InvalidInputError, match="0 groups"):
        GroupNorm(6, 0)
    with pytest.raises(InvalidInputError, match=r"takes a scale and a bias of shape \(4,\).*got \(6,\)"):
        GroupNorm(6, 2)(jnp.ones((1, 2, 2, 4)))
    with pytest.raises(InvalidInputError, match="a batch axis first"):
        group_norm(jnp.ones(4), jnp.ones(4), jnp.ones(4), 2)
