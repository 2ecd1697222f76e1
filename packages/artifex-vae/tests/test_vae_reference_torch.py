"""The VAE against PyTorch: the same weights, data and noise give the same numbers, up to rounding.

Each test runs twice: on the arrays that `frozen_torch_vae.py` froze, and, in the `reference` session, on PyTorch itself.

Rounding: both sides compute in float64, where sums of a few dozen terms of order one differ by some 1e-15; 1e-10 leaves room
for their growth in 20 steps of Adam, whose first steps divide small gradients by themselves. In float32, where one bit is 6e-8
and a network is four layers deep, 1e-5 of the largest element is asked.
"""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig, losses
from artifex.vae.likelihoods import bernoulli_log_prob, discretized_logistic_log_prob, gaussian_log_prob

TESTS = Path(__file__).parent
HIDDEN = {"dense": (12, 8), "conv": (3, 5)}
LATENT_DIM, LEARNING_RATE = 3, 1e-2
CHANNELS_LAST = np.arange(5 * 2 * 3).reshape(5, 2, 3).transpose(1, 2, 0).ravel()
"""Flattened conv features: position of each (height, width, channel) in PyTorch's (channel, height, width)."""
ROUNDING = {"float32": 1e-5, "float64": 1e-10}

Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)])
def case(request: pytest.FixtureRequest, kind: str) -> Arrays:
    if request.param == "live":
        return runpy.run_path(str(TESTS / "frozen_torch_vae.py"))["case"](kind)
    with np.load(TESTS / "frozen_torch_vae.npz") as frozen:
        return {name.removeprefix(f"{kind}/"): frozen[name] for name in frozen.files if name.startswith(f"{kind}/")}


@pytest.fixture(params=["dense", "conv"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(kind: str, case: Arrays) -> VAE:
    """Our VAE of the same form as PyTorch's, with its weights."""
    made = nnx.merge(*initialised(kind, case["x"].shape[2:]))
    nnx.update(made, carried(made, kind, case, "weight"))
    return made


@cache
def initialised(kind: str, shape: tuple[int, ...]) -> tuple[nnx.GraphDef, nnx.State]:
    config = VAEConfig(
        encoder=EncoderConfig(hidden_dims=HIDDEN[kind], input_shape=shape),
        decoder=DecoderConfig(hidden_dims=HIDDEN[kind][::-1]),
        latent_dim=LATENT_DIM,
        encoder_type=kind,
    )
    return nnx.split(VAE(config, rngs=nnx.Rngs(0)))


def carried(model: VAE, kind: str, case: Arrays, what: str) -> nnx.State:
    """PyTorch's weights or gradients, ``what/layer.weight`` and ``what/layer.bias``, as the state of our parameters."""
    model = nnx.clone(model)
    for name, layer in layers(model, kind).items():
        bias = case[f"{what}/{name}.bias"]
        layer.bias.set_value(jnp.asarray(bias[CHANNELS_LAST] if (kind, name) == ("conv", "decoder.0") else bias))
        layer.kernel.set_value(jnp.asarray(kernel(kind, name, case[f"{what}/{name}.weight"])))
    return nnx.state(model, nnx.Param)


def layers(model: VAE, kind: str) -> dict[str, nnx.Module]:
    """Our layers by PyTorch's names."""
    encoder, decoder = model.encoder, model.decoder
    if kind == "dense":
        down, up = encoder.mlp.layers, decoder.mlp.layers
    else:
        down, up = [*encoder.layers, *encoder.head.layers], [*decoder.stem.layers, *decoder.layers]
    return {f"encoder.{i}": layer for i, layer in enumerate(down)} | {f"decoder.{i}": layer for i, layer in enumerate(up)}


def kernel(kind: str, name: str, weight: np.ndarray) -> np.ndarray:
    """PyTorch's weight in our layout: inputs before outputs, channels last, transposed convolutions not flipped."""
    if weight.ndim == 4:
        return weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1) if name.startswith("decoder") else weight.transpose(2, 3, 1, 0)
    if kind == "conv" and name == "decoder.0":
        return weight.T[:, CHANNELS_LAST]
    return weight.T[CHANNELS_LAST] if kind == "conv" else weight.T


def forward(model: VAE, x: jax.Array, noise: jax.Array) -> dict[str, jax.Array]:
    """What the model's own call does, with the noise given."""
    posterior = model.encode(x)
    z = posterior.reparameterize(noise)
    return {"mean": posterior.mean, "log_variance": posterior.log_variance, "z": z, "parameters": model.decoder(z)}


def as_pure_function(model: VAE):
    """``terms(params, x, noise)``: the loss, and everything on the way to it; and the parameters."""
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def terms(params: nnx.State, x: jax.Array, noise: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        model = nnx.merge(graphdef, params, rest)
        outputs = forward(model, x, noise)
        log_likelihood, kl = model.elbo_terms(x, outputs)
        log_importance_ratio = losses.log_importance_ratio(noise, outputs["z"], outputs["log_variance"])
        on_the_way = {"log_likelihood": log_likelihood, "kl": kl, "log_importance_ratio": log_importance_ratio}
        return model.loss_fn({"x": x}, outputs)["loss"], outputs | on_the_way

    return terms, params


def assert_equal_up_to_rounding(ours: jax.Array, theirs: np.ndarray, dtype: str) -> None:
    assert ours.dtype == dtype
    assert_allclose(ours, theirs, rtol=0, atol=ROUNDING[dtype] * max(np.abs(theirs).max(), 1e-30))


@pytest.mark.parametrize("dtype", ROUNDING)
def test_outputs_and_elbo_terms_equal_torch(model: VAE, case: Arrays, dtype: str):
    terms, params = as_pure_function(model)
    params, x, noise = jax.tree.map(lambda a: a.astype(dtype), (params, case["x"][0], case["noise"][0]))
    loss, ours = jax.jit(terms)(params, x, noise)
    assert_equal_up_to_rounding(loss, case["loss"], dtype)
    for name, array in ours.items():
        assert_equal_up_to_rounding(array, case[name], dtype)


def test_gradients_equal_torch(model: VAE, kind: str, case: Arrays):
    terms, params = as_pure_function(model)
    ours, _ = jax.jit(jax.grad(terms, has_aux=True))(params, case["x"][0], case["noise"][0])
    theirs = carried(model, kind, case, "gradient")
    jax.tree.map(lambda a, b: assert_equal_up_to_rounding(a, np.asarray(b), "float64"), ours, theirs)


def test_twenty_steps_of_adam_equal_torch(model: VAE, case: Arrays):
    terms, params = as_pure_function(model)
    optimizer = optax.adam(LEARNING_RATE)

    def step(state, batch):
        params, moments = state
        (loss, _), gradients = jax.value_and_grad(terms, has_aux=True)(params, *batch)
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), moments), loss

    _, curve = jax.lax.scan(step, (params, jax.jit(optimizer.init)(params)), (case["x"], case["noise"]))
    assert_equal_up_to_rounding(curve, case["losses"], "float64")
    assert curve[-5:].mean() < 0.97 * curve[:5].mean()  # it did learn, so the comparison meant something


@pytest.mark.reference
def test_bernoulli_equals_torch_distributions():
    torch = pytest.importorskip("torch")
    logits, x = np.meshgrid(np.linspace(-40, 40, 33), np.array([0.0, 1.0]))
    theirs = torch.distributions.Bernoulli(logits=torch.tensor(logits)).log_prob(torch.tensor(x)).numpy()
    # PyTorch writes max(l, 0) - x l + log1p(exp(-|l|)), which loses what is small beside l = 40: a few 1e-15
    assert_allclose(bernoulli_log_prob(jnp.asarray(x), jnp.asarray(logits)), theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.reference
def test_gaussian_equals_torch_distributions():
    torch = pytest.importorskip("torch")
    x, mean, scale = np.meshgrid(np.linspace(-3, 3, 7), np.linspace(-2, 2, 5), np.array([0.01, 0.3, 5.0]))
    theirs = torch.distributions.Normal(torch.tensor(mean), torch.tensor(scale)).log_prob(torch.tensor(x)).numpy()
    assert_allclose(gaussian_log_prob(*map(jnp.asarray, (x, mean, scale))), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.reference
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_discretized_logistic_equals_differences_of_torch_cdf(levels: int):
    """The logistic in PyTorch is a uniform pushed through the logit.

    Its mass on a level is a difference of two probabilities rounded at 1e-16: a mass of 1e-7, the least here, is known to 1e-9.
    """
    torch = pytest.importorskip("torch")
    d = torch.distributions
    half = 0.5 / (levels - 1)
    x, location = np.meshgrid(np.linspace(0, 1, levels), np.linspace(-0.2, 1.2, 8))
    scale = np.full_like(x, 2 * half if levels == 2 else 0.1)
    uniform = d.Uniform(torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    logistic = d.TransformedDistribution(
        uniform, [d.SigmoidTransform().inv, d.AffineTransform(torch.tensor(location), torch.tensor(scale))]
    )
    upper = torch.where(torch.tensor(x) == 1, 1.0, logistic.cdf(torch.tensor(x + half)))
    lower = torch.where(torch.tensor(x) == 0, 0.0, logistic.cdf(torch.tensor(x - half)))
    theirs = (upper - lower).numpy()
    assert theirs.min() > 1e-7
    ours = discretized_logistic_log_prob(*map(jnp.asarray, (x, location, scale)), levels=levels)
    assert_allclose(ours, np.log(theirs), rtol=0, atol=1e-8)
