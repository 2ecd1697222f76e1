"""Latent diffusion in the trainer: the autoencoder's weights are read when training begins, and stay as they are."""

import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.core.storage import flat_weights, save_model
from artifex.diffusion import LatentDiffusionConfig
from artifex.training import Trainer, TrainerConfig
from artifex.vae import DecoderConfig, EncoderConfig, VAEConfig

AUTOENCODER = VAEConfig(
    encoder=EncoderConfig(input_shape=(6,), hidden_dims=(8,), latent_dim=2),
    decoder=DecoderConfig(hidden_dims=(8,)),
)


def test_a_run_reads_the_trained_autoencoder_and_leaves_it_as_it_is(tmp_path):
    saved = create_model(AUTOENCODER, rngs=nnx.Rngs(5))
    save_model(saved, tmp_path / "model")
    config = LatentDiffusionConfig(
        input_shape=(6,),
        latent_shape=(2,),
        autoencoder=AUTOENCODER,
        pretrained=tmp_path / "model",
        backbone={"kind": "mlp", "hidden_dims": [8]},
    )
    trainer = Trainer(create_model(config, rngs=nnx.Rngs(0)), TrainerConfig(steps=2, batch_size=16), seed=1)
    trainer.fit({"x": np.random.default_rng(0).uniform(size=(64, 6)).astype(np.float32)})
    assert trainer.model.initialized
    weights = flat_weights(trainer.model)
    for name, value in flat_weights(saved).items():
        np.testing.assert_array_equal(weights[f"autoencoder.{name}"], value, err_msg=name)
