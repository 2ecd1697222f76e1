"""Upsampling and convolution as one operation: its definition, PyTorch's numbers, gradients, the form for each platform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.nn import Conv, UpsampleConv, upsampling as up

CASES = [
    ((4, 3), (3, 3), 3, 4),
    ((5,), (5,), 2, 3),
    ((2, 3, 2), (3, 1, 3), 2, 2),
    ((4, 3), (5, 3), 2, 1),
]  # sizes, kernel, C, O
FORMS = [up.plain_upsample_conv, up.subpixel_upsample_conv, up.upsample_conv]


def arrays(sizes, kernel, channels, outputs):
    random = np.random.default_rng(len(sizes) + sum(kernel))
    x = random.normal(size=(2, *sizes, channels)).astype(np.float32)
    return x, random.normal(size=(*kernel, channels, outputs)).astype(np.float32)


def by_definition(x, kernel):
    """Element by element, in float64: zeros around the doubled image."""
    *sizes, _, n_out = kernel.shape
    ends = [(0, 0), *((k // 2, k // 2) for k in sizes), (0, 0)]
    doubled = np.float64(x)
    for axis in range(1, len(sizes) + 1):
        doubled = doubled.repeat(2, axis)
    padded = np.pad(doubled, ends)
    y = np.zeros((*doubled.shape[:-1], n_out))
    for at in np.ndindex(*doubled.shape[1:-1]):
        window = padded[(slice(None), *(slice(i, i + k) for i, k in zip(at, sizes, strict=True)))]
        y[(slice(None), *at)] = np.tensordot(window, kernel, kernel.ndim - 1)
    return y


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_form_is_the_definition(case):
    x, kernel = arrays(*case)
    for form in FORMS:
        np.testing.assert_allclose(form(x, kernel), by_definition(x, kernel), atol=2e-5)  # sums of at most 45 products


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_the_fast_form_equal_the_plain_ones(case):
    def gradients(form):
        return jax.grad(lambda x, kernel: jnp.sum(jnp.sin(form(x, kernel))), (0, 1))

    plain, *others = jax.jit(lambda *given: [gradients(form)(*given) for form in FORMS])(*arrays(*case))
    for found in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, plain)


def test_numbers_of_pytorch():
    def grid(*shape, mod):
        """Small whole numbers, so that every sum is exact."""
        return (np.arange(np.prod(shape)) ** 2 * 3 % mod - mod // 2).reshape(shape).astype(np.float32)

    # torch 2.13: u = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="nearest"), then
    # F.conv2d(u, kernel.permute(3, 2, 0, 1), padding=1), back to channels-last
    expected = [
        [
            [[-13, 0], [0, 37], [15, 39], [16, 34], [47, 36], [-12, 31]],
            [[9, -99], [72, -57], [41, -50], [30, -10], [17, 1], [22, 1]],
            [[-47, -43], [-19, -44], [-45, -42], [-31, 3], [-39, 9], [21, -32]],
            [[0, 59], [-41, -9], [-39, -25], [-14, -7], [-12, -17], [-3, 19]],
        ]
    ]
    for form in FORMS:
        np.testing.assert_array_equal(form(grid(1, 2, 3, 2, mod=11), grid(3, 3, 2, 2, mod=13)), expected)


def test_choice_follows_the_platform_lowered_for():
    x, kernel = arrays((4,), (3,), 2, 2)
    lowered = {
        platform: jax.jit(up.upsample_conv).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    found = {platform: "stablehlo.convolution" in text for platform, text in lowered.items()}
    assert found == {"cpu": False, "cuda": True, "tpu": True}


def test_the_layer_is_an_upsampling_and_our_convolution():
    layer, conv = UpsampleConv(3, 4, rngs=nnx.Rngs(0)), Conv(3, 4, rngs=nnx.Rngs(0))
    conv.kernel[...], conv.bias[...] = layer.kernel[...], jnp.arange(4.0)
    layer.bias[...] = jnp.arange(4.0)
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 3))
    np.testing.assert_allclose(layer(x), conv(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)), atol=1e-5)
    assert layer.kernel.get_metadata("logical_axes") == (None, None, "conv_in", "conv_out")
    assert UpsampleConv(3, 4, use_bias=False, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))(x).dtype == jnp.bfloat16


@pytest.mark.parametrize("form", FORMS)
def test_bad_input_is_one_clear_error(form):
    with pytest.raises(InvalidInputError, match=r"sizes \(4, 3\).*have to be odd"):
        form(jnp.ones((1, 2, 2, 3)), jnp.ones((4, 3, 3, 2)))
    with pytest.raises(InvalidInputError, match="Channels come last"):
        form(jnp.ones((1, 2, 2, 2)), jnp.ones((3, 3, 3, 2)))
