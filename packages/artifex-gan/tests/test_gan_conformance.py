"""Every adversarial model against the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.testing.conformance import conformance
from artifex.gan import (
    ConditionalGANConfig,
    ConvDiscriminatorConfig,
    ConvGeneratorConfig,
    CycleGANConfig,
    DCGANConfig,
    DiscriminatorConfig,
    GANConfig,
    GeneratorConfig,
    LSGANConfig,
    PatchDiscriminatorConfig,
    PatchGANConfig,
    ResNetGeneratorConfig,
    WGANConfig,
)

DRAW = np.random.default_rng(0)
POINTS = {"x": DRAW.normal(size=(8, 2)).astype(np.float32)}
IMAGES = {"x": DRAW.uniform(-1, 1, (8, 1, 8, 8)).astype(np.float32)}
CLASSES = {**POINTS, "condition": np.arange(8, dtype=np.int32) % 3}
DENSE = {
    "generator": GeneratorConfig(latent_dim=4, hidden_dims=(16,), output_shape=(2,), activation="silu"),
    "discriminator": DiscriminatorConfig(hidden_dims=(16,), activation="silu"),
}
CONV = {
    "generator": ConvGeneratorConfig(latent_dim=4, hidden_dims=(8,), output_shape=(1, 8, 8), activation="silu"),
    "discriminator": ConvDiscriminatorConfig(hidden_dims=(8, 8), activation="silu"),
}
TRANSLATION = {
    "shape": (1, 8, 8),
    "generator": ResNetGeneratorConfig(hidden_dims=(4, 8), n_blocks=1, stem_size=3, activation="silu"),
    "discriminator": PatchDiscriminatorConfig(hidden_dims=(4, 8), kernel_size=3, activation="silu"),
}
PAIRS = {**IMAGES, "condition": DRAW.uniform(-1, 1, (8, 1, 8, 8)).astype(np.float32)}
TRANSLATED = {
    "sampling": {"condition": PAIRS["condition"]},
    "waive": {"calls_differ": "a translation is a function of its condition: nothing is drawn"},
}

TestGAN = conformance({"dense": (GANConfig(**DENSE), POINTS)})
TestDCGAN = conformance({"conv": (DCGANConfig(**CONV), IMAGES)})
TestWGAN = conformance({"dense": (WGANConfig(**DENSE, n_critic=2), POINTS)})
TestConditionalGAN = conformance({"dense": (ConditionalGANConfig(**DENSE, n_classes=3, embedding_dim=4), CLASSES)})
TestCycleGAN = conformance({"identity": (CycleGANConfig(**TRANSLATION, identity_weight=5.0, pool_size=8), PAIRS, TRANSLATED)})
TestPatchGAN = conformance({"two_scales": (PatchGANConfig(**TRANSLATION, n_scales=2), PAIRS, TRANSLATED)})
# a GAN with other losses, and other networks in the same roles
TestLSGAN = pytest.mark.nightly(conformance({"dense": (LSGANConfig(**DENSE), POINTS)}))
TestKinds = pytest.mark.nightly(
    conformance(
        {
            "lazy_penalties": (GANConfig(**DENSE, loss="relativistic", r1=1.0, r2=1.0, penalty_every=4), POINTS),
            "augmented": (DCGANConfig(**CONV, augment=("color", "translation", "cutout")), IMAGES),
            "conv_critic": (WGANConfig(**CONV), IMAGES),
            "conv_classes": (ConditionalGANConfig(**CONV, n_classes=3), {**IMAGES, "condition": CLASSES["condition"]}),
        }
    )
)
