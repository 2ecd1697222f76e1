"""Layers: the same numbers as flax's own with the same parameters, logical axes on every parameter, no backend at tracing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.nn import ACTIVATIONS, MLP, Conv, ConvTranspose, activation


@pytest.mark.parametrize(
    ("ours", "flax", "options"),
    [
        (Conv, nnx.Conv, {"kernel_size": (3, 3), "strides": 2}),
        (Conv, nnx.Conv, {"kernel_size": (4, 2), "padding": "VALID", "use_bias": False}),
        (Conv, nnx.Conv, {"kernel_size": (3, 3), "padding": ((0, 2), (1, 3)), "strides": 2}),
        (ConvTranspose, nnx.ConvTranspose, {"kernel_size": (4, 4), "strides": 2}),
        (ConvTranspose, nnx.ConvTranspose, {"kernel_size": (3, 3), "strides": 2, "padding": "VALID"}),
    ],
)
def test_same_as_flax_with_the_same_parameters(ours, flax, options):
    mine = ours(3, 5, **options, rngs=nnx.Rngs(0))
    if mine.bias is not None:
        mine.bias[...] = jnp.arange(5.0)
    pair = {**options, "strides": (options.get("strides", 1),) * 2}
    theirs = flax(3, 5, **pair, rngs=nnx.Rngs(1))
    nnx.update(theirs, {name: value[...] for name, value in nnx.to_pure_dict(nnx.state(mine, nnx.Param)).items()})
    x = jax.random.normal(jax.random.key(2), (2, 6, 6, 3))
    np.testing.assert_allclose(mine(x), theirs(x), rtol=1e-5, atol=1e-5)  # float32 rounding of 48 products


def test_wrong_padding_is_an_error_of_the_constructor():
    with pytest.raises(InvalidInputError, match=r"for each of 2 spatial axes; got \(1, 1\)"):
        Conv(1, 2, padding=(1, 1), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_types(layer):
    half = layer(3, 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert half.kernel[...].dtype == jnp.float32
    assert half(jnp.ones((1, 4, 4, 3))).dtype == jnp.bfloat16
    assert layer(3, 2, rngs=nnx.Rngs(0))(jnp.ones((1, 4, 4, 3), jnp.bfloat16)).dtype == jnp.float32
    assert layer(3, 2, param_dtype=jnp.float16, rngs=nnx.Rngs(0)).bias[...].dtype == jnp.float16


def test_every_parameter_knows_its_logical_axes():
    class Block(nnx.Module):
        def __init__(self, *, rngs):
            self.conv = Conv(1, 2, rngs=rngs)
            self.back = ConvTranspose(2, 1, (4,), rngs=rngs)
            self.mlp = MLP(4, (8,), 2, rngs=rngs)

    abstract = nnx.eval_shape(lambda: Block(rngs=nnx.Rngs(0)))
    found = {
        ".".join(map(str, path)): leaf.get_metadata("logical_axes") for path, leaf in nnx.to_flat_state(nnx.state(abstract))
    }
    assert found == {
        "back.bias": ("conv_out",),
        "back.kernel": (None, "conv_in", "conv_out"),
        "conv.bias": ("conv_out",),
        "conv.kernel": (None, None, "conv_in", "conv_out"),
        "mlp.layers.0.bias": ("mlp",),
        "mlp.layers.0.kernel": ("embed", "mlp"),
        "mlp.layers.1.bias": ("embed",),
        "mlp.layers.1.kernel": ("mlp", "embed"),
    }


def test_mlp_is_its_equation():
    mlp = MLP(3, (4, 5), 2, activation="tanh", rngs=nnx.Rngs(0))
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    h = x
    for i, layer in enumerate(mlp.layers):
        h = h @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
        h = np.tanh(h) if i < 2 else h
    np.testing.assert_allclose(mlp(jnp.asarray(x)), h, rtol=1e-5, atol=1e-6)
    assert MLP(3, (), 2, rngs=nnx.Rngs(0))(x).shape == (2, 2)


def test_activations():
    x = jnp.linspace(-3.0, 3.0, 13)
    for name in ACTIVATIONS:
        assert activation(name)(x).shape == x.shape
    # PyTorch's definitions, written out
    v = np.linspace(-3.0, 3.0, 13)
    by_hand = {
        "elu": np.where(v > 0, v, np.expm1(v)),
        "leaky_relu": np.where(v > 0, v, 0.01 * v),
        "silu": v / (1 + np.exp(-v)),
        "softplus": np.log1p(np.exp(v)),
        "identity": v,
    }
    for name, expected in by_hand.items():
        np.testing.assert_allclose(activation(name)(x), expected, rtol=1e-5, atol=1e-6)
    assert activation("swish") is activation("silu")
    with pytest.raises(InvalidInputError, match="'relu'"):
        activation("rellu")
