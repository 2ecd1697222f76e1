"""Densities whose denoiser ``E[x_0 | x_t]`` is known exactly, for tests of samplers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


class GaussianMixture:
    """``sum_k w_k N(m_k, s^2 S)`` on the plane."""

    def __init__(self, weights, means, covariance):
        self.weights, self.means, self.covariance = (np.asarray(a, np.float64) for a in (weights, means, covariance))

    def denoiser(self, process):
        values, vectors = np.linalg.eigh(self.covariance)
        means = jnp.asarray(self.means @ vectors, jnp.float32)  # in the covariance's axes
        values, vectors = jnp.asarray(values, jnp.float32), jnp.asarray(vectors, jnp.float32)
        log_weights = jnp.log(jnp.asarray(self.weights, jnp.float32))

        def denoise(x, t):
            alpha, sigma = (level[0] for level in process.at(jnp.reshape(jnp.asarray(t, jnp.float32), (1,))))
            y = x @ vectors  # (B, 2)
            spread = alpha**2 * values + sigma**2  # (2,)
            away = y[:, None] - alpha * means[None]  # (B, K, 2)
            logits = log_weights[None] - 0.5 * jnp.sum(away**2 / spread[None, None], axis=-1)
            each = means[None] + alpha * (values / spread)[None, None] * away
            return jnp.einsum("bk,bkd->bd", jax.nn.softmax(logits), each) @ vectors.T

        return denoise

    def log_prob(self, x):
        inverse = np.linalg.inv(self.covariance)
        away = x[:, None] - self.means[None]
        squared = np.einsum("bki,ij,bkj->bk", away, inverse, away)
        logs = np.log(self.weights) - 0.5 * squared - 0.5 * np.log(np.linalg.det(2 * np.pi * self.covariance))
        return np.logaddexp.reduce(logs, axis=1)


def gaussian():
    """One, correlated, off the origin."""
    return GaussianMixture([1.0], [[0.5, -0.3]], [[0.5, 0.3], [0.3, 0.4]])


def eight_modes():
    """Eight on a circle, of unequal weights, narrow."""
    angles = np.arange(8) * np.pi / 4
    weights = np.array([1, 2, 1, 2, 1, 2, 1, 2]) / 12
    return GaussianMixture(weights, np.stack([np.cos(angles), np.sin(angles)], -1), 0.08**2 * np.eye(2))
