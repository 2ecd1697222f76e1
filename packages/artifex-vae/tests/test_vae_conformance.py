"""Every kind of VAE against the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.testing.conformance import conformance
from artifex.vae import (
    BetaTCVAEConfig,
    BetaVAEConfig,
    CapacityConfig,
    ConditionalVAEConfig,
    DecoderConfig,
    EncoderConfig,
    HierarchicalVAEConfig,
    IWAEConfig,
    JointVAEConfig,
    KLAutoencoderConfig,
    VAEConfig,
    VQVAEConfig,
)

IMAGES = {"x": (np.random.default_rng(0).integers(0, 17, (8, 8, 8, 1)) / 16).astype(np.float32)}
PARTS = {
    "encoder": EncoderConfig(input_shape=(8, 8, 1), latent_dim=4, hidden_dims=(16,), activation="silu"),
    "decoder": DecoderConfig(hidden_dims=(16,), activation="silu"),
}
BLOCKS = {name: part.replace(hidden_dims=(8,), blocks_per_level=1) for name, part in PARTS.items()}
CLASSES = {**IMAGES, "condition": np.arange(8, dtype=np.int32) % 4}
VECTORS = {**IMAGES, "condition": np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)}
DRAWN = {"sampling": {"condition": VECTORS["condition"]}}
LIKELIHOODS = {
    "gaussian": "gaussian",
    "gaussian_fixed": {"kind": "gaussian", "noise_scale": 0.5},
    "gaussian_predicted": {"kind": "gaussian", "noise_scale": "predicted"},
    "laplace": "laplace",
    "discretized_logistic": {"kind": "discretized_logistic", "levels": 17},
}

TestVAE = conformance(
    {
        "dense": (VAEConfig(**PARTS), IMAGES),
        "conv": (VAEConfig(**PARTS, encoder_type="conv"), IMAGES),
    }
)
# The KL autoencoder stands for residual networks every day; their own tests are in test_vae_resnet.py.
TestResNet = pytest.mark.nightly(conformance({"resnet": (VAEConfig(**BLOCKS, encoder_type="resnet"), IMAGES)}))
TestLikelihoods = pytest.mark.nightly(  # what they are is tested elsewhere; here, that nothing else about a model minds
    conformance({name: (VAEConfig(**PARTS, likelihood=likelihood), IMAGES) for name, likelihood in LIKELIHOODS.items()})
)
TestBetaVAE = conformance({"capacity": (BetaVAEConfig(**PARTS, capacity=CapacityConfig(steps=10)), IMAGES, {"step": 3})})
TestObjectives = conformance(
    {
        "beta_tc": (BetaTCVAEConfig(**PARTS, dataset_size=100), IMAGES),
        "iwae": (IWAEConfig(**PARTS, num_samples=3), IMAGES),
    }
)
TestConditionalVAE = conformance({"classes": (ConditionalVAEConfig(**PARTS, n_classes=4), CLASSES)})
TestConditionalKinds = pytest.mark.nightly(
    conformance(
        {
            "conv": (ConditionalVAEConfig(**PARTS, n_classes=4, encoder_type="conv"), CLASSES),
            "resnet": (ConditionalVAEConfig(**BLOCKS, n_classes=4, encoder_type="resnet"), CLASSES),
            "vector": (
                ConditionalVAEConfig(**PARTS, condition_dim=3),
                VECTORS,
                {"sampling": {"condition": VECTORS["condition"]}},
            ),
        }
    )
)
JOINT = [
    {"part": name, "encoder": {"input_shape": shape, "hidden_dims": [16]}, "decoder": {"hidden_dims": [16]}}
    for name, shape in (("image", [4, 8]), ("word", [32]))
]
PAIRS = {"x": IMAGES["x"].reshape(8, 64)}
TestJointVAE = conformance(
    {
        "product": (JointVAEConfig.from_dict({"parts": JOINT, "latent_dim": 4}), PAIRS),
        "mixture": (JointVAEConfig.from_dict({"parts": JOINT, "latent_dim": 4, "experts": "mixture"}), PAIRS),
    }
)
TestVQVAE = conformance(
    {"conv": (VQVAEConfig(input_shape=(8, 8, 1), hidden_dims=(8,), activation="silu", codebook_size=16, code_dim=8), IMAGES)}
)
TestHierarchicalVAE = conformance(
    {
        "two_levels": (
            HierarchicalVAEConfig(input_shape=(8, 8, 1), latent_dims=(4, 2), hidden_dims=(16, 8), activation="silu"),
            IMAGES,
        )
    }
)
TestKLAutoencoder = conformance(
    {
        "attention": (
            KLAutoencoderConfig(input_shape=(8, 8, 1), hidden_dims=(8,), latent_channels=2, blocks_per_level=1),
            IMAGES,
        )
    }
)
