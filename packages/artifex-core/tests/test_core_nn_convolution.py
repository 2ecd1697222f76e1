"""The fast forms of convolution are the same functions as XLA's, PyTorch's and the definition's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.core.nn import convolution as cv

# float32, sums of at most 6 * 6 * 4 products of numbers of order one: rounding stays below 1e-5.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

FORMS = {
    "conv": (cv.plain_conv, cv.patches_conv, cv.conv),
    "transpose": (cv.plain_conv_transpose, cv.subpixel_conv_transpose, cv.conv_transpose),
}
CASES = [
    # sizes, kernel, strides, C, O
    ((6, 7), (3, 3), (2, 2), 1, 4),
    ((5, 5), (4, 4), (2, 2), 3, 2),
    ((6, 4), (2, 5), (3, 1), 2, 3),
    ((4, 4), (1, 1), (2, 2), 4, 2),
    ((9,), (5,), (2,), 2, 3),
    ((4, 3, 5), (3, 2, 3), (2, 1, 2), 2, 2),
]


def _arrays(sizes, kernel, channels, outputs):
    random = np.random.default_rng(len(sizes) + sum(kernel))
    x = random.normal(size=(2, *sizes, channels)).astype(np.float32)
    return x, (random.normal(size=(*kernel, channels, outputs)) / 4).astype(np.float32)


def _by_definition(x, kernel, strides):
    """Full transposed convolution: every input adds its multiple of the reversed kernel at its place, in float64."""
    *sizes, _, n_out = kernel.shape
    inputs = x.shape[1:-1]
    y = np.zeros((x.shape[0], *((n - 1) * s + k for n, s, k in zip(inputs, strides, sizes, strict=True)), n_out))
    flipped = np.flip(kernel, range(len(sizes))).astype(np.float64)
    for i in np.ndindex(*inputs):
        at = tuple(slice(a * s, a * s + k) for a, s, k in zip(i, strides, sizes, strict=True))
        y[(slice(None), *at)] += np.einsum("bc,...co->b...o", x[(slice(None), *i)], flipped)
    return y


def _grid(*shape, mod):
    """Small whole numbers, so that every sum is exact."""
    return (np.arange(np.prod(shape)) ** 2 * 3 % mod - mod // 2).reshape(shape).astype(np.float32)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", FORMS)
def test_fast_form_and_its_gradients_equal_the_plain_form(kind, case, padding):
    sizes, kernel, strides, channels, outputs = case
    if padding == "VALID" and kind == "conv" and any(k > n for k, n in zip(kernel, sizes, strict=True)):
        pytest.skip("a VALID convolution needs an input at least as large as its kernel")
    x, kernel = _arrays(sizes, kernel, channels, outputs)

    def value_and_gradients(form, x, kernel):
        def scalar(x, kernel):
            y = form(x, kernel, strides, padding)
            return jnp.sum(jnp.sin(y)), y

        return jax.value_and_grad(scalar, (0, 1), has_aux=True)(x, kernel)

    # One program for all: compiling is what takes the time here.
    plain, *others = jax.jit(lambda x, kernel: [value_and_gradients(form, x, kernel) for form in FORMS[kind]])(x, kernel)
    for found in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **TOLERANCE), found, plain)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_transposed_convolution_is_the_sum_of_its_definition(case):
    sizes, kernel, strides, channels, outputs = case
    x, kernel = _arrays(sizes, kernel, channels, outputs)
    full = _by_definition(x, kernel, strides)
    valid = cv.subpixel_conv_transpose(x, kernel, strides, "VALID")
    # Where the stride is larger than the kernel, "VALID" keeps the zeros after the last element too.
    inside = tuple(slice(0, n) for n in full.shape[1:-1])
    np.testing.assert_allclose(valid[(slice(None), *inside)], full, **TOLERANCE)


def test_numbers_of_pytorch():
    # torch 2.13: F.conv2d(pad(x, one zero after each axis), kernel.permute(3, 2, 0, 1), stride=2), back to channels-last
    x, kernel = _grid(1, 4, 4, 2, mod=11), _grid(3, 3, 2, 2, mod=13)
    expected = [[[[-30, 5], [10, 26]], [[13, -26], [-24, -16]]]]
    for form in FORMS["conv"]:
        np.testing.assert_array_equal(form(x, kernel, 2), expected)
    # torch 2.13: F.conv2d(x, kernel.permute(3, 2, 0, 1), stride=2, padding=1)
    for form in FORMS["conv"]:
        np.testing.assert_array_equal(form(x, kernel, 2, 1), [[[[-3, -54], [12, 46]], [[17, 6], [-17, -32]]]])
    # torch 2.13: F.conv_transpose2d(x, kernel[::-1, ::-1].permute(2, 3, 0, 1), stride=2, padding=1), back to channels-last
    x, kernel = _grid(1, 2, 3, 2, mod=11), _grid(4, 4, 2, 2, mod=13)
    expected = [
        [
            [[25, -36], [15, -10], [14, -20], [8, -6], [-9, 14], [-7, -30]],
            [[-4, 39], [-30, -21], [7, -8], [7, -11], [-30, -7], [-4, 7]],
            [[-17, -6], [-8, 22], [10, -10], [-7, 22], [15, -6], [14, 6]],
            [[30, -9], [-23, 5], [0, 26], [-39, 10], [2, 29], [-11, 17]],
        ]
    ]
    for form in FORMS["transpose"]:
        np.testing.assert_array_equal(form(x, kernel, 2), expected)


@pytest.mark.parametrize("kind", FORMS)
def test_second_derivatives_and_vmap(kind):
    plain, *_, chosen = FORMS[kind]
    x, kernel = _arrays((4, 4), (3, 3), 2, 2)

    def product(form):
        scalar = lambda x: jnp.sum(jnp.sin(form(x, kernel, 2)))  # noqa: E731
        return jax.jit(lambda x: jax.jvp(jax.grad(scalar), (x,), (jnp.ones_like(x),))[1])(x)

    np.testing.assert_allclose(product(chosen), product(plain), **TOLERANCE)
    many = jnp.stack([x, 2 * x])
    np.testing.assert_allclose(jax.vmap(lambda x: chosen(x, kernel, 2))(many)[1], plain(2 * x, kernel, 2), **TOLERANCE)


def test_choice_follows_the_platform_lowered_for():
    x, kernel = _arrays((4, 4), (4, 4), 2, 2)
    lowered = {
        platform: jax.jit(cv.conv_transpose).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert {platform: "lhs_dilate = [2, 2]" in text for platform, text in lowered.items()} == {
        "cpu": False,
        "cuda": True,
        "tpu": True,
    }


def test_bad_input_is_one_clear_error():
    x, kernel = jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 8))
    for given, says in [
        ((x[0], kernel), "exactly one batch axis"),
        ((x[..., :1], kernel), "Channels come last"),
        ((x, kernel, 1, "same"), "'SAME' or 'VALID'"),
        ((x, kernel, (1, 2, 3)), "strides"),
        ((x, kernel, 0), "positive"),
        ((x, kernel[0, 0]), "one to three sizes"),
    ]:
        for form in itertools.chain(*FORMS.values()):
            with pytest.raises(InvalidInputError, match=says):
                form(*given)


def test_small_input_for_a_valid_convolution():
    with pytest.raises(InvalidInputError, match="VALID"):
        cv.conv(jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1)), 1, "VALID")


@pytest.mark.parametrize("form", FORMS["conv"])
@pytest.mark.parametrize("padding", [0, 1, 2, ((1, 1), (1, 1)), ((0, 2), (3, 1)), [[2, 0], [0, 0]]], ids=str)
def test_padding_by_number_is_zeros_around_the_input(form, padding):
    x, kernel = _arrays((6, 5), (3, 2), 2, 3)
    ends = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    padded = jnp.pad(x, ((0, 0), *ends, (0, 0)))
    np.testing.assert_allclose(form(x, kernel, 2, padding), cv.conv(padded, kernel, 2, "VALID"), **TOLERANCE)


@pytest.mark.parametrize("form", FORMS["conv"])
def test_wrong_padding_is_one_clear_error(form):
    x, kernel = jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1))
    for padding in ("same", ((1, 1),), (1, 1), ((1, 1, 1), (1, 1, 1))):
        with pytest.raises(InvalidInputError, match=r"a pair \(before, after\) for each of 2 spatial axes; got"):
            form(x, kernel, 1, padding)
    with pytest.raises(InvalidInputError, match=r"sizes \(3, 3\) does not fit into sizes \(2, 2\) under padding 0"):
        form(x, kernel, 1, 0)
