"""Variational inference with a flow and the trainer: a target known but for its normaliser is found, and its normaliser."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.core.objectives import Objective
from artifex.flow import IAFConfig
from artifex.flow.losses import log_ratio, reverse_kl_objective
from artifex.flow.metrics import effective_sample_size, log_normalizer
from artifex.training import OptimizerConfig, SchedulerConfig, Trainer, TrainerConfig

MEAN = np.array([1.0, -2.0])
COVARIANCE = np.array([[1.5, 0.9], [0.9, 0.8]])
LOG_Z = 1.7


def log_target(x: jax.Array) -> jax.Array:
    """A correlated normal distribution times ``e^1.7``."""
    away = x - jnp.asarray(MEAN, x.dtype)[None]
    precision = jnp.asarray(np.linalg.inv(COVARIANCE), x.dtype)
    normaliser = math.log(2 * math.pi) + 0.5 * math.log(np.linalg.det(COVARIANCE))
    return LOG_Z - normaliser - 0.5 * jnp.einsum("ni,ij,nj->n", away, precision, away)


def test_the_trainer_descends_reverse_kl_to_the_target_and_its_normaliser() -> None:
    model = create_model(IAFConfig(input_dim=2, num_transforms=1, hidden_dims=()), rngs=nnx.Rngs(0))
    optimizer = OptimizerConfig(learning_rate=0.05, scheduler=SchedulerConfig(scheduler_type="cosine"))
    objective = Objective(reverse_kl_objective(log_target, 64, path_gradient=True))
    trainer = Trainer(model, TrainerConfig(steps=600, batch_size=1, optimizer=optimizer), seed=0, objectives=(objective,))
    metrics = trainer.fit(np.zeros((1, 2), np.float32))  # nothing is learned from data: one row keeps the trainer's count
    # one affine layer holds the target, where the path gradient vanishes for every sample: only Adam's last steps and rounding
    # are left, and the divergence is of second order in what is missing
    assert abs(metrics["loss"] + LOG_Z) < 1e-3
    x, log_weights = log_ratio(model, log_target, 4096, rngs=nnx.Rngs(1))
    assert abs(float(log_normalizer(log_weights)) - LOG_Z) < 1e-3
    assert float(effective_sample_size(log_weights)) > 0.999 * 4096
    # samples of the target itself: mean and covariance within five standard errors
    white = (np.asarray(x, np.float64) - MEAN) @ np.linalg.inv(np.linalg.cholesky(COVARIANCE)).T
    assert np.all(np.abs(white.mean(0)) < 5 / math.sqrt(4096))
    assert np.all(np.abs(np.cov(white.T) - np.eye(2)) < 5 * math.sqrt(2 / 4096))
