"""Adversarial models under the trainer: who moves when, what is logged, what is averaged; and, nightly, what they reach."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.densities import GridOfGaussians
from artifex.gan import WGAN, DiscriminatorConfig, GeneratorConfig, WGANConfig, metrics

training = pytest.importorskip("artifex.training")  # the distribution stands without it

X = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
ADAM = {"learning_rate": 1e-3, "options": {"b1": 0.5, "b2": 0.9}}


def wgan(hidden_dims=(8,), latent_dim=2, **settings):
    return WGANConfig(
        generator=GeneratorConfig(latent_dim=latent_dim, hidden_dims=hidden_dims, output_shape=(2,)),
        discriminator=DiscriminatorConfig(hidden_dims=hidden_dims, activation="relu"),
        **settings,
    )


class Watch(training.Callback):
    """Keeps the parameters after each step."""

    def __init__(self):
        self.seen, self.logged = [], {}

    def on_step(self, trainer):
        self.seen.append(jax.tree.map(np.asarray, (trainer.state.params, trainer.state.ema)))

    def on_log(self, trainer, metrics):
        self.logged |= metrics


def test_the_critic_moves_at_every_step_the_generator_at_each_nth_and_only_it_is_averaged():
    watch, model = Watch(), WGAN(wgan(n_critic=3, penalty_every=2), rngs=nnx.Rngs(0))
    config = training.TrainerConfig(
        steps=5, batch_size=16, optimizer=ADAM, ema_decay=0.9, ema_parameters=("generator",), log_every=5
    )
    training.Trainer(model, config, seed=0, callbacks=[watch]).fit(X)
    moves = {"generator": [], "discriminator": []}
    for (before, _), (after, averages) in zip(watch.seen[:-1], watch.seen[1:], strict=True):
        for part, found in moves.items():
            found.append(any(np.any(after[name] != before[name]) for name in after if name.startswith(part)))
        assert averages
        assert all(name.startswith("generator.") for name in averages)
    assert moves == {"generator": [False, False, True, False], "discriminator": [True] * 4}
    assert {
        "discriminator/loss",
        "discriminator/grad_norm",
        "discriminator/diversity",
        "discriminator/real_accuracy",
        "discriminator/fake_accuracy",
        "penalty/gradient_penalty",
        "generator/loss",
        "generator/grad_norm",
    } <= watch.logged.keys()


@pytest.mark.nightly
def test_a_wgan_finds_every_one_of_25_modes():
    """The gate of benchmarks/gan_modes.py at two thirds of its budget."""
    density = GridOfGaussians()
    config = training.TrainerConfig(
        steps=10_000,
        batch_size=128,
        optimizer={"learning_rate": 1e-3, "options": {"b1": 0.0, "b2": 0.99}, "scheduler": {"scheduler_type": "cosine"}},
        ema_decay=0.999,
        ema_parameters=("generator",),
    )
    trainer = training.Trainer(WGAN(wgan((128,) * 3, n_critic=1, gradient_penalty=0.1), rngs=nnx.Rngs(0)), config, seed=0)
    trainer.fit(np.asarray(density.sample(jax.random.key(0), 200_000)))
    samples = trainer.evaluation_model().generate(2500, rngs=nnx.Rngs(1))
    means = jnp.asarray(density.means(), jnp.float32)
    assert int(metrics.modes_covered(samples, means, density.noise)) == 25
    # three seeds of benchmarks/gan_modes.py, at its full budget: 0.883, 0.892, 0.867
    assert float(metrics.high_quality_share(samples, means, density.noise)) > 0.75
