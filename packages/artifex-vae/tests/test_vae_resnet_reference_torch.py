"""The KL autoencoder and a residual VAE against PyTorch: the same weights, data and noise give the same numbers.

Each test runs twice: on the arrays that `frozen_torch_kl_autoencoder.py` froze, and, in the `reference` session, on PyTorch
itself. Sizes on the way are odd and even; what starts at zero is not zero here.

Rounding: both sides compute in float64; networks of some twenty layers, whose sums have up to 72 terms of order one, leave less
than 1e-10 of the largest element. In float32, where one bit is 6e-8, 2e-5 is asked.
"""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.vae import VAE, DecoderConfig, EncoderConfig, KLAutoencoder, KLAutoencoderConfig, VAEConfig

TESTS = Path(__file__).parent
SHAPE, WIDTHS, LATENTS = (7, 6, 2), (4, 8), 3
KL_WEIGHT = 0.1
ROUNDING = {"float32": 2e-5, "float64": 1e-10}
CHANNELS_LAST = np.arange(8 * 2 * 2).reshape(8, 2, 2).transpose(1, 2, 0).ravel()
"""Flattened features of the residual VAE: position of each (height, width, channel) in PyTorch's (channel, height, width)."""

Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)])
def case(request: pytest.FixtureRequest, kind: str) -> Arrays:
    if request.param == "live":
        return runpy.run_path(str(TESTS / "frozen_torch_kl_autoencoder.py"))["case"](kind)
    with np.load(TESTS / "frozen_torch_kl_autoencoder.npz") as frozen:
        return {name.removeprefix(f"{kind}/"): frozen[name] for name in frozen.files if name.startswith(f"{kind}/")}


@pytest.fixture(params=["kl", "flat"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@cache
def initialised(kind: str) -> Any:
    common: dict[str, Any] = {"likelihood": "laplace", "kl_weight": KL_WEIGHT}
    if kind == "kl":
        sizes = {"input_shape": SHAPE, "hidden_dims": WIDTHS, "latent_channels": LATENTS, "blocks_per_level": 1}
        return nnx.split(KLAutoencoder(KLAutoencoderConfig(**sizes, **common), rngs=nnx.Rngs(0)), nnx.Param, ...)
    parts: dict[str, Any] = {"activation": "silu", "blocks_per_level": 1}
    config = VAEConfig(
        encoder=EncoderConfig(input_shape=SHAPE, hidden_dims=WIDTHS, **parts),
        decoder=DecoderConfig(hidden_dims=WIDTHS[::-1], **parts),
        latent_dim=LATENTS,
        encoder_type="resnet",
        **common,
    )
    return nnx.split(VAE(config, rngs=nnx.Rngs(0)), nnx.Param, ...)


def carried(case: Arrays, kind: str) -> nnx.State:
    """PyTorch's weights as the state of our parameters, all of them by name and none left over."""
    left = {name.removeprefix("weight/"): value for name, value in case.items() if name.startswith("weight/")}
    _, params, _ = initialised(kind)

    def take(path: tuple[Any, ...], ours: jax.Array) -> jax.Array:
        names = names_of(path)
        weight = left.pop(torch_name(names, kind))
        if names[-1] == "kernel":
            weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        if kind == "flat" and names[:2] == ["encoder", "head"] and names[-1] == "kernel":
            weight = weight[CHANNELS_LAST]
        if kind == "flat" and names[:2] == ["decoder", "stem"]:
            weight = weight[..., CHANNELS_LAST]
        assert weight.shape == ours.shape
        return jnp.asarray(weight, jnp.float64)

    made = jax.tree_util.tree_map_with_path(take, nnx.as_pure(params))
    assert not left
    return made


def names_of(path: tuple[Any, ...]) -> list[str]:
    return [str(getattr(key, "key", getattr(key, "name", key))) for key in path]


def torch_name(names: list[str], kind: str) -> str:
    """``levels.0.layers.0.norms.1.norm.scale`` is ``levels.0.0.norms.1.weight`` there; dense layers stand in an MLP here."""
    *path, last = names
    path = [name for name in path if name != "layers"]
    if kind == "flat" and path in (["encoder", "head", "0"], ["decoder", "stem", "0"]):
        path = path[:2]
    if path[-1] == "norm":
        path = path[:-1] if path[-2] != "attention" else path
    return ".".join([*path, {"kernel": "weight", "scale": "weight"}.get(last, last)])


def terms(kind: str, params: Any, x: jax.Array, noise: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss, and everything on the way to it, with the noise given."""
    graph, _, rest = initialised(kind)
    model = nnx.merge(graph, params, rest)
    posterior = model.encoder(x)
    z = posterior.reparameterize(noise)
    outputs = {"mean": posterior.mean, "log_variance": posterior.log_variance, "z": z, "parameters": model.decoder(z)}
    log_likelihood, kl = model.elbo_terms(x, outputs)
    return model.loss_fn({"x": x}, outputs)["loss"], {**outputs, "log_likelihood": log_likelihood, "kl": kl}


@pytest.mark.daily("flat-frozen-float64", "kl-frozen-float32")
@pytest.mark.parametrize("dtype", ROUNDING)
def test_outputs_terms_and_gradients_equal_torch(kind: str, case: Arrays, dtype: str):
    """Gradients in float64 alone. Two numbers stand for each: its product with its weight, and its length."""
    given = jax.tree.map(lambda a: jnp.asarray(a, dtype), (carried(case, kind), case["x"], case["noise"]))
    if dtype == "float32":
        loss, ours = jax.jit(terms, static_argnums=0)(kind, *given)
    else:
        (loss, ours), gradients = jax.jit(jax.value_and_grad(terms, 1, has_aux=True), static_argnums=0)(kind, *given)
        pairs = jax.tree.map(lambda g, w: jnp.stack([jnp.sum(g * w), jnp.linalg.norm(g)]), gradients, given[0])
        ours |= {f"gradient/{torch_name(names_of(path), kind)}": pair for path, pair in jax.tree.leaves_with_path(pairs)}
    wanted = {name: value for name, value in case.items() if not name.startswith(("weight/", "x", "noise"))}
    assert ours.keys() | {"loss"} == {name for name in wanted if dtype == "float64" or not name.startswith("gradient/")}
    for name, array in {**ours, "loss": loss}.items():
        assert array.dtype == dtype
        assert_allclose(array, wanted[name], rtol=0, atol=ROUNDING[dtype] * np.abs(wanted[name]).max() + 1e-12, err_msg=name)
