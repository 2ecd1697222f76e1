"""The beta-VAE's objectives, from known terms."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.core.errors import InvalidInputError
from artifex.vae import VAE, BetaVAE, BetaVAEConfig, CapacityConfig, DecoderConfig, EncoderConfig, VAEConfig

PARTS = {
    "encoder": EncoderConfig(input_shape=(4,), latent_dim=2, hidden_dims=(8,)),
    "decoder": DecoderConfig(hidden_dims=(8,)),
}


def outputs_with(model: VAE, kl: float) -> dict[str, jax.Array]:
    """Outputs whose log likelihood is 4 log(1/2) and whose divergence is ``kl``, for every example of a batch of three."""
    mean = jnp.full((3, 2), kl**0.5)  # KL = (m^2 + m^2) / 2
    return {"parameters": jnp.zeros((3, 4)), "mean": mean, "log_variance": jnp.zeros((3, 2))}


BATCH = {"x": jnp.ones((3, 4))}
RECONSTRUCTION = 4 * 0.6931472


def test_beta_weights_the_divergence():
    model = BetaVAE(BetaVAEConfig(**PARTS, beta=3.0), rngs=nnx.Rngs(0))
    terms = model.loss_fn(BATCH, outputs_with(model, kl=2.0))
    assert_allclose(terms["loss"], RECONSTRUCTION + 3 * 2, rtol=1e-6)
    assert_allclose(terms["elbo"], -RECONSTRUCTION - 2, rtol=1e-6)  # the bound itself has no beta


def test_kl_weight_weights_the_divergence_of_a_vae():
    model = VAE(VAEConfig(**PARTS, kl_weight=0.5), rngs=nnx.Rngs(0))
    assert_allclose(model.loss_fn(BATCH, outputs_with(model, kl=2.0))["loss"], RECONSTRUCTION + 1, rtol=1e-6)


def test_beta_of_one_is_the_vae():
    beta, plain = BetaVAE(BetaVAEConfig(**PARTS, beta=1.0), rngs=nnx.Rngs(0)), VAE(VAEConfig(**PARTS), rngs=nnx.Rngs(0))
    x = jax.random.uniform(jax.random.key(0), (3, 4))
    losses = [m.loss_fn({"x": x}, m(x, rngs=nnx.Rngs(1)))["loss"] for m in (beta, plain)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("step", "capacity"), [(0, 0.0), (50, 2.5), (100, 5.0), (1000, 5.0)])
def test_divergence_is_held_at_the_capacity_of_the_step(step: int, capacity: float):
    config = BetaVAEConfig(**PARTS, capacity=CapacityConfig(nats=5.0, steps=100, gamma=10.0))
    model = BetaVAE(config, rngs=nnx.Rngs(0))
    terms = jax.jit(lambda step: model.loss_fn(BATCH, outputs_with(model, kl=2.0), step=step))(step)
    assert_allclose(terms["capacity"], capacity)
    assert_allclose(terms["loss"], RECONSTRUCTION + 10 * abs(2 - capacity), rtol=1e-6)


def test_an_annealed_capacity_asks_for_the_step():
    model = BetaVAE(BetaVAEConfig(**PARTS, capacity=CapacityConfig()), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"no step is given.*loss_fn\(\.\.\., step=\.\.\.\)"):
        model.loss_fn(BATCH, outputs_with(model, kl=2.0))


def test_the_trainer_can_see_that_it_takes_the_step():
    assert "step" in inspect.signature(BetaVAE.loss_fn).parameters
    assert "step" not in inspect.signature(VAE.loss_fn).parameters
