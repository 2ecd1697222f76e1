"""Models of images: nothing of the future is seen, all of the past is, and drawing computes what the whole image gives.

Roundings of float32 in networks of a few layers: 1e-5 of numbers of order one.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.ar import PixelCNN, PixelCNNConfig, PixelCNNPP, PixelCNNPPConfig
from artifex.core.config import Config
from artifex.core.errors import InvalidInputError
from artifex.core.factory import create_model
from artifex.core.testing.conformance import lattice

NETWORK = {"hidden_channels": 8, "num_layers": 2, "first_kernel_size": 5}
RESIDUAL = {"hidden_channels": 8, "num_layers": 2, "num_mixtures": 2, "dropout": 0.5}
CONFIGS: dict[str, Config] = {
    "pixel_cnn": PixelCNNConfig(image_shape=(4, 3, 2), levels=5, **NETWORK),
    "pixel_cnn_classes": PixelCNNConfig(image_shape=(3, 4, 1), levels=5, num_classes=3, **NETWORK),
    "pixel_cnn_pp": PixelCNNPPConfig(image_shape=(3, 3, 3), levels=5, num_classes=3, **RESIDUAL),
}


DAILY = pytest.mark.daily("pixel_cnn", "pixel_cnn_pp")


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest):
    """A model a random step away from where it starts: a layer that starts at zero would hide those before it."""
    made = create_model(CONFIGS[request.param], rngs=nnx.Rngs(0))
    state, noise = nnx.state(made, nnx.Param), np.random.default_rng(0)
    nnx.update(made, jax.tree.map(lambda p: p + 0.1 * noise.normal(size=p.shape).astype(np.float32), state))
    return nnx.view(made, deterministic=True, raise_if_not_found=False)


def images(model, n: int = 2) -> jax.Array:
    steps = model.config.levels - 1
    return jnp.asarray(np.random.default_rng(1).integers(0, steps + 1, (n, *model.config.image_shape)) / steps, jnp.float32)


def classes(model, n: int):
    return None if model.config.num_classes is None else np.arange(n) % model.config.num_classes


@DAILY
def test_an_element_depends_on_all_before_it_and_on_nothing_else(model):
    x = images(model, 4)  # at any one image a unit that is cut off may hide something

    @jax.jit
    def gradients(x):
        given = None if model.config.num_classes is None else 1
        return jax.lax.map(jax.jacrev(lambda x: model(x[None], condition=given)["parameters"][0]), x)

    seen = np.abs(gradients(x)).reshape(4, x[0].size, -1, x[0].size).sum(axis=(0, 2)) > 0
    assert_array_equal(seen, np.tri(x[0].size, k=-1, dtype=bool))


def test_what_lies_outside_the_receptive_field_is_not_seen():
    config = PixelCNNConfig(image_shape=(6, 9, 1), levels=3, hidden_channels=4, num_layers=1, first_kernel_size=3)
    model = PixelCNN(config, rngs=nnx.Rngs(0))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(model(x)["parameters"][0, 4, 4]))))(images(model, 1))[0, ..., 0]
    # one row up and one column on each side by the first convolution, as many again by the layer; two columns to the left
    wanted = np.zeros((6, 9), bool)
    wanted[2:4, 2:7] = True
    wanted[4, 2:4] = True
    assert_array_equal(np.abs(gradient) > 0, wanted)


@DAILY
def test_one_by_one_as_all_at_once(model):
    """What is kept from pixel to pixel stands for a forward pass over the whole image, at every step."""
    x, given = images(model), classes(model, 2)
    whole = jax.jit(lambda x: model(x, condition=given)["parameters"])(x)
    assert_allclose(model._parameters_one_by_one(x, given), whole, atol=1e-5)


def test_samples_follow_the_model():
    """Frequencies of all 27 images of three pixels, against their probabilities."""
    config = PixelCNNConfig(image_shape=(1, 3, 1), levels=3, hidden_channels=8, num_layers=1, first_kernel_size=3)
    model = PixelCNN(config, rngs=nnx.Rngs(3))
    points = lattice(np.arange(3) / 2, (1, 3, 1)).points
    probabilities = np.exp(np.asarray(model.log_prob(jnp.asarray(points)), np.float64))
    assert abs(probabilities.sum() - 1) < 1e-5
    drawn = np.asarray(model.generate(20_000, rngs=nnx.Rngs(1)))
    index = np.round(drawn.reshape(-1, 3) * 2).astype(int) @ [9, 3, 1]
    counts = np.bincount(index, minlength=27)
    chi2 = np.sum((counts - 20_000 * probabilities) ** 2 / (20_000 * probabilities))
    assert chi2 < 60  # 26 degrees of freedom: above 60 once in 7000 seeds


@pytest.mark.daily("PixelCNNConfig-1", "PixelCNNPPConfig-2")
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("config", [PixelCNNConfig, PixelCNNPPConfig])
def test_probabilities_of_all_images_add_up_to_one(config: type, channels: int):
    shape = (2, 2 // channels, channels)
    network = NETWORK if config is PixelCNNConfig else RESIDUAL
    model = create_model(config(image_shape=shape, levels=4, **network), rngs=nnx.Rngs(0))
    points = lattice(np.arange(4) / 3, shape).points
    assert abs(np.exp(np.asarray(model.log_prob(jnp.asarray(points)), np.float64)).sum() - 1) < 1e-5


def test_a_pixel_has_one_component_for_all_its_channels():
    """The parameters of one channel after another against equation 3 of the paper, written out for a pixel of three."""
    config = PixelCNNPPConfig(image_shape=(1, 1, 3), levels=256, hidden_channels=4, num_layers=1, num_mixtures=3)
    model = PixelCNNPP(config, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    features, x = rng.normal(size=(config.parameters_of_pixel,)), 2 * rng.integers(0, 256, 3) / 255 - 1
    logits, means, log_scales, coefficients = np.split(features, [3, 12, 21])
    means, scales, a = means.reshape(3, 3), np.exp(log_scales.reshape(3, 3)), np.tanh(coefficients.reshape(3, 3))
    means = np.stack([means[0], means[1] + a[0] * x[0], means[2] + a[1] * x[0] + a[2] * x[1]])

    def cdf(edge: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(edge - means) / scales))

    masses = np.array([cdf(x[c] + 1 / 255)[c] - cdf(x[c] - 1 / 255)[c] for c in range(3)])
    wanted = np.log(np.sum(np.exp(logits) / np.exp(logits).sum() * masses.prod(axis=0)))

    @jax.jit
    def log_prob(features, row):
        parameters = [model.channel_parameters(features, row, c) for c in range(3)]
        return model.element_log_prob(row, jnp.stack(parameters, axis=1)).sum()

    got = log_prob(features.astype(np.float32)[None], x.astype(np.float32)[None])
    assert_allclose(got, wanted, rtol=1e-5)


def test_dropout_is_for_training_alone():
    model = create_model(CONFIGS["pixel_cnn_pp"], rngs=nnx.Rngs(0))
    x = images(model)
    called = nnx.jit(lambda model: model(x, label=np.array([0, 1]))["parameters"])
    first, again = called(model), called(model)
    assert not np.allclose(first, again)
    assert_allclose(model.log_prob(x, condition=0), model.log_prob(x, condition=0), rtol=0)


@pytest.mark.nightly
def test_four_images_of_28_by_28_take_less_than_six_seconds():
    """64 channels, 8 layers, warm, with 256 levels; on two quiet cores 0.2 s."""
    model = PixelCNN(PixelCNNConfig(image_shape=(28, 28, 1), hidden_channels=64, num_layers=8), rngs=nnx.Rngs(0))
    model.generate(4).block_until_ready()
    start = time.perf_counter()
    model.generate(4).block_until_ready()
    assert time.perf_counter() - start < 6


@DAILY
def test_a_prefix_stays(model):
    x = images(model)
    made = model.generate(2, prefix=x[:, :2], condition=classes(model, 2), rngs=nnx.Rngs(0))
    assert_allclose(made[:, :2], x[:, :2], atol=1e-6)
    other = model.generate(2, prefix=1 - x[:, :2], condition=classes(model, 2), rngs=nnx.Rngs(0))
    assert np.any(np.asarray(made[:, 2:]) != np.asarray(other[:, 2:]))


def test_values_between_levels_count_as_the_nearer():
    model = create_model(CONFIGS["pixel_cnn"], rngs=nnx.Rngs(0))
    x = images(model)
    near = jnp.clip(x + 0.1, 0, 1)  # levels are a quarter apart
    assert_allclose(model.log_prob(near), model.log_prob(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((2, 3, 4, 1), np.float32)}, r"x has shape \(2, 3, 4, 1\), expected \(batch, 4, 3, 2\)"),
        ({"x": np.zeros((4, 3, 2), np.float32)}, r"add a batch axis: x\[None\]"),
        ({"x": np.zeros((2, 4, 3, 2), np.uint8)}, "x is uint8, expected floating point in"),
        ({"condition": np.zeros(2, int)}, "the model has none: set num_classes"),
    ],
)
def test_what_does_not_fit_is_said(change: dict[str, np.ndarray], message: str):
    model = create_model(CONFIGS["pixel_cnn"], rngs=nnx.Rngs(0))
    given = {"x": jnp.zeros((2, 4, 3, 2)), **change}
    with pytest.raises(InvalidInputError, match=message):
        model(jnp.asarray(given.pop("x")), **given)


def test_sampling_refuses_what_does_not_fit():
    model = create_model(CONFIGS["pixel_cnn_classes"], rngs=nnx.Rngs(0))
    for given, message in (
        ({"n_samples": 0}, "n_samples is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"condition": 3}, "classes from 3 to 3, expected 0 to 2"),
        ({"condition": np.zeros(2, np.float32)}, r"condition is float32 of shape \(2,\), expected classes below 3"),
        (
            {"prefix": np.zeros((1, 4, 4, 1))},
            r"of shape \(1, 4, 4, 1\), expected .* \(1, rows up to 3, 4, 1\)",
        ),
    ):
        with pytest.raises(InvalidInputError, match=message):
            model.generate(**given)
    with pytest.raises(InvalidInputError, match=r"no condition is given; pass condition=\.\.\. with classes below 3"):
        model(jnp.zeros((2, 3, 4, 1)))
    with pytest.raises(ValueError, match="kernel_size is 4; it has to be odd"):
        PixelCNNConfig(image_shape=(4, 4, 1), kernel_size=4)
