"""Residual encoders and decoders: how they start, sizes that do not halve evenly, and what they learn of digits.

What they compute is held against PyTorch in `test_vae_resnet_reference_torch.py`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig
from artifex.vae.layers import AttentionBlock, ResidualBlock, norm_groups

KINDS = {"dtype": None, "param_dtype": "float32"}


def config_of(shape=(7, 5, 1), widths=(4, 8), **parts) -> VAEConfig:
    return VAEConfig(
        encoder=EncoderConfig(input_shape=shape, hidden_dims=widths, activation="silu", **parts),
        decoder=DecoderConfig(hidden_dims=widths[::-1], activation="silu", **parts),
        latent_dim=3,
        encoder_type="resnet",
    )


def test_a_block_starts_as_its_shortcut():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 8))
    assert_array_equal(ResidualBlock(8, 8, activation=jax.nn.silu, rngs=nnx.Rngs(0), **KINDS)(x), x)
    assert_array_equal(AttentionBlock(8, rngs=nnx.Rngs(0), **KINDS)(x), x)
    wider = ResidualBlock(8, 12, activation=jax.nn.silu, rngs=nnx.Rngs(0), **KINDS)
    assert_allclose(wider(x), x @ wider.shortcut.kernel[0, 0], atol=1e-5)


def test_attention_looks_at_every_position_and_at_none_more_than_another_when_queries_are_zero():
    block = AttentionBlock(4, rngs=nnx.Rngs(0), **KINDS)
    block.query.kernel[...] = jnp.zeros((1, 1, 4, 4))
    block.value.kernel[...] = block.output.kernel[...] = jnp.eye(4)[None, None]
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 4))
    mean = jnp.mean(block.norm(x), axis=(1, 2), keepdims=True)
    assert_allclose(block(x), x + mean, atol=1e-5)


@pytest.mark.parametrize("channels", range(1, 200))
def test_groups_divide_the_channels_and_hold_four_where_they_can(channels: int):
    groups = norm_groups(channels)
    assert channels % groups == 0
    assert groups <= 32
    assert groups == 1 or channels // groups >= 4


@pytest.mark.parametrize(("shape", "smallest"), [((28, 28, 1), (4, 4)), ((7, 5, 2), (1, 1)), ((9, 16, 3), (2, 2))])
def test_any_size_comes_back(shape: tuple[int, ...], smallest: tuple[int, int]):
    config = config_of(shape, (4, 4, 8), blocks_per_level=1)
    made = nnx.eval_shape(lambda: VAE(config, rngs=nnx.Rngs(0)))
    assert made.encoder.head.layers[0].kernel.shape[0] == 8 * smallest[0] * smallest[1]
    outputs = nnx.eval_shape(lambda: VAE(config, rngs=nnx.Rngs(0))(jnp.zeros((2, *shape))))
    assert outputs["reconstruction"].shape == (2, *shape)


def test_blocks_per_level_is_how_many_blocks_a_level_has():
    def blocks(**parts: int) -> list[int]:
        made = nnx.eval_shape(lambda: VAE(config_of(**parts), rngs=nnx.Rngs(0)))
        return [len(level.layers) for part in (made.encoder, made.decoder) for level in part.trunk.levels]

    assert blocks() == [2, 2, 2, 2]
    assert blocks(blocks_per_level=3) == [3, 3, 3, 3]


@pytest.mark.nightly
def test_digits_are_learnt():
    """150 steps take the ELBO past the entropy bound of independent pixels, 25.19 nats an image.

    Digits black and white; 23.3 when this was written.
    """
    from sklearn.datasets import load_digits

    engine = pytest.importorskip("artifex.training")  # the distribution stands without it
    x = np.float32(load_digits().images[..., None] >= 8)
    model = VAE(config_of((8, 8, 1), (8, 16), blocks_per_level=1), rngs=nnx.Rngs(0))
    training = engine.TrainerConfig(steps=150, batch_size=64, optimizer={"learning_rate": 3e-3})
    engine.Trainer(model, training, seed=0).fit({"x": x[:1500]})
    held_out = jnp.asarray(x[1500:])
    elbo = model.loss_fn({"x": held_out}, model(held_out, rngs=nnx.Rngs(1)))["elbo"]
    assert -elbo < 25.19
