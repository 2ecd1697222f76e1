"""Every kind of VAE against the conformance kit."""

from __future__ import annotations

import numpy as np

from artifex.core.testing.conformance import conformance
from artifex.vae import BetaTCVAEConfig, BetaVAEConfig, CapacityConfig, DecoderConfig, EncoderConfig, IWAEConfig, VAEConfig

IMAGES = {"x": (np.random.default_rng(0).integers(0, 17, (8, 8, 8, 1)) / 16).astype(np.float32)}
PARTS = {
    "encoder": EncoderConfig(input_shape=(8, 8, 1), latent_dim=4, hidden_dims=(16,), activation="silu"),
    "decoder": DecoderConfig(hidden_dims=(16,), activation="silu"),
}
LIKELIHOODS = {
    "gaussian": "gaussian",
    "gaussian_fixed": {"kind": "gaussian", "noise_scale": 0.5},
    "gaussian_predicted": {"kind": "gaussian", "noise_scale": "predicted"},
    "discretized_logistic": {"kind": "discretized_logistic", "levels": 17},
}

TestVAE = conformance(
    {
        "dense": (VAEConfig(**PARTS), IMAGES),
        "conv": (VAEConfig(**PARTS, encoder_type="conv"), IMAGES),
        **{name: (VAEConfig(**PARTS, likelihood=likelihood), IMAGES) for name, likelihood in LIKELIHOODS.items()},
    }
)
TestBetaVAE = conformance(
    {
        "beta": (BetaVAEConfig(**PARTS, beta=4.0), IMAGES),
        "capacity": (BetaVAEConfig(**PARTS, capacity=CapacityConfig(steps=10)), IMAGES, {"step": 3}),
    }
)
TestObjectives = conformance(
    {
        "beta_tc": (BetaTCVAEConfig(**PARTS, dataset_size=100), IMAGES),
        "iwae": (IWAEConfig(**PARTS, num_samples=3), IMAGES),
    }
)
