"""Networks, penalties and losses against PyTorch: the same weights and data give the same numbers, up to rounding.

Each test runs twice: on the arrays that `frozen_torch_gan.py` froze, and, in the `reference` session, on PyTorch itself.

Rounding: everything is float32, where one bit is 6e-8 and networks are three layers deep; 1e-5 of the largest element is asked
of penalties and their gradients, 1e-4 of images and logits.
"""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.pure import functional
from artifex.gan import DCGAN, ConvDiscriminatorConfig, ConvGeneratorConfig, DCGANConfig, losses, penalties
from artifex.gan.gan import evaluated
from artifex.gan.layers import Block
from artifex.gan.torch_weights import load_torch_dcgan
from artifex.gan.translators import PatchDiscriminator, PatchDiscriminatorConfig, ResNetGenerator, ResNetGeneratorConfig

TESTS = Path(__file__).parent


@cache
def _arrays(source: str, name: str) -> dict[str, np.ndarray]:
    if source == "torch":
        return runpy.run_path(str(TESTS / "frozen_torch_gan.py"))["case"](name)
    with np.load(TESTS / "frozen_torch_gan.npz") as frozen:
        return {key.removeprefix(f"{name}/"): frozen[key] for key in frozen.files if key.startswith(f"{name}/")}


@pytest.fixture(params=["frozen", pytest.param("torch", marks=pytest.mark.reference)])
def arrays(request):
    return lambda name: _arrays(request.param, name)


def _below(arrays, prefix):
    return {key.removeprefix(f"{prefix}/"): value for key, value in arrays.items() if key.startswith(f"{prefix}/")}


def _close(got, wanted, tolerance, what=""):
    scale = float(np.max(np.abs(wanted)))
    np.testing.assert_allclose(np.asarray(got), wanted, atol=tolerance * scale, rtol=0, err_msg=what)


def _config(**discriminator):
    return DCGANConfig(
        generator=ConvGeneratorConfig(latent_dim=5, hidden_dims=(8, 4), output_shape=(2, 16, 16)),
        discriminator=ConvDiscriminatorConfig(hidden_dims=(4, 8), **discriminator),
    )


@pytest.fixture
def loaded(arrays):
    frozen, model = arrays("dcgan"), DCGAN(_config(), rngs=nnx.Rngs(0))
    load_torch_dcgan(model, generator=_below(frozen, "generator"), discriminator=_below(frozen, "discriminator"))
    return model, frozen


def test_a_dcgan_with_pytorchs_weights_gives_its_images_and_logits(loaded):
    model, frozen = loaded
    graph, state = nnx.split(model)

    @jax.jit
    def train(state, z, real):
        model = nnx.merge(graph, state)
        images = model.generator(z)
        logits, fake_logits = model.discriminator(real), model.discriminator(images)
        return (images, logits, fake_logits), nnx.state(model, nnx.BatchStat)

    @jax.jit
    def evaluate(state, z, real):
        model = evaluated(nnx.merge(graph, state))
        images = model.generator(z)
        return images, model.discriminator(real), model.discriminator(images)

    made, statistics = train(state, frozen["z"], frozen["real"])
    for name, value in zip(("images", "logits", "fake_logits"), made, strict=True):
        _close(value, frozen[f"train/{name}"], 1e-4, f"in training, {name}")
    nnx.update(model, statistics)
    made = evaluate(nnx.state(model), frozen["z"], frozen["real"])
    for name, value in zip(("images", "logits", "fake_logits"), made, strict=True):
        _close(value, frozen[f"evaluate/{name}"], 1e-4, f"in evaluation, {name}")
    # one call on real and one on generated data, each with statistics of its own: PyTorch's running averages came the same way
    after = _below(frozen, "after")
    _close(model.discriminator.layers[1].norm.mean[...], after["discriminator/3.running_mean"], 1e-5)
    _close(model.discriminator.layers[1].norm.variance[...], after["discriminator/3.running_var"], 1e-5)
    _close(model.generator.stem_norm.variance[...], after["generator/1.running_var"], 1e-5)


def test_networks_of_translation_are_pytorchs_with_reflected_edges_and_instance_norms(arrays):
    frozen = arrays("translators")
    kinds = {"dtype": None, "param_dtype": "float32", "rngs": nnx.Rngs(0)}
    sizes = {"shape_in": (2, 10, 12), "shape_out": (3, 10, 12), "data_format": "channels_first"}
    generator = ResNetGenerator(ResNetGeneratorConfig(hidden_dims=(4, 8), n_blocks=2, stem_size=5), **sizes, **kinds)
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(hidden_dims=(4, 8)), 2, channels_first=True, **kinds)
    inner = [block for pair in generator.blocks for block in (pair.first, pair.second)]
    _fill([generator.stem, *generator.down, *inner, *generator.up, generator.head], _below(frozen, "generator"))
    _fill([*discriminator.layers, Block(discriminator.head, None, None)], _below(frozen, "discriminator"))
    _close(jax.jit(functional(generator))(frozen["x"]), frozen["generator_output"], 1e-4)
    _close(jax.jit(functional(discriminator))(frozen["x"]), frozen["discriminator_output"][:, 0], 1e-4)


def _fill(blocks, weights):
    """PyTorch's parameters, in their order, into blocks of a convolution and its norm."""
    values = iter([weights[key] for key in sorted(weights)])
    for block in blocks:
        conv = getattr(block.layer, "conv", block.layer)
        conv.kernel[...] = next(values).transpose(2, 3, 1, 0)
        if conv.bias is not None:
            conv.bias[...] = next(values)
        if block.norm is not None:
            block.norm.scale[...], block.norm.bias[...] = next(values), next(values)
    assert next(values, None) is None


def test_weights_of_another_network_are_refused(loaded):
    model, frozen = loaded
    weights = _below(frozen, "generator")
    with pytest.raises(InvalidInputError, match="3 layers; hidden_dims"):
        load_torch_dcgan(model, generator={key: value for key, value in weights.items() if not key.startswith("6.")})
    with pytest.raises(InvalidInputError, match=r"state dict has shape \(4, 4, 4, 2\), the model \(4, 4, 8, 4\)"):
        load_torch_dcgan(model, generator={**weights, "3.weight": weights["6.weight"]})
    plain = DCGAN(_config(norm="none"), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match="a batch norm and no bias; the model's has no batch norm"):
        load_torch_dcgan(plain, discriminator=_below(frozen, "discriminator"))
    with pytest.raises(InvalidTypeError, match="fills a DCGAN, got Rngs"):
        load_torch_dcgan(nnx.Rngs(0))


@pytest.mark.parametrize("name", ["slope", "r1"])
def test_penalties_and_their_gradients_are_those_of_pytorchs_autograd(arrays, name):
    frozen = arrays("slopes")
    weights = _below(frozen, "critic")
    config = _config(norm="none", activation="tanh")
    model = DCGAN(config, rngs=nnx.Rngs(0))
    load_torch_dcgan(model, discriminator=weights)
    penalty = {"slope": penalties.slope_penalty, "r1": penalties.r1}[name]
    graph, params = nnx.split(model.discriminator)

    @jax.jit
    @jax.value_and_grad
    def value_and_gradient(params):
        return penalty(functional(nnx.merge(graph, params)), frozen["points"])

    value, gradient = value_and_gradient(params)
    _close(value, frozen[f"{name}/value"], 1e-5)
    wanted = _below(frozen, f"{name}/gradient")
    gradients = nnx.merge(graph, gradient)
    for i, layer in enumerate(gradients.layers):
        _close(layer.layer.kernel[...], wanted[f"{2 * i}.weight"].transpose(2, 3, 1, 0), 1e-5, f"layer {i}")
        _close(layer.layer.bias[...], wanted[f"{2 * i}.bias"], 1e-5, f"layer {i}")
    _close(gradients.head.kernel[...][:, 0], wanted["4.weight"].ravel(), 1e-5, "head")


@pytest.mark.parametrize(
    "name",
    [name for name in losses.__all__ if name.endswith(("_discriminator", "_generator"))],
)
def test_losses_are_those_of_pytorchs_functions(arrays, name):
    frozen = arrays("losses")
    both = name.endswith("discriminator") or name.startswith("relativistic")
    given = (frozen["real"], frozen["fake"]) if both else (frozen["fake"],)
    np.testing.assert_allclose(getattr(losses, name)(*given), frozen[name], rtol=1e-6)
