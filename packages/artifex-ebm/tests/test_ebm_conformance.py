"""Every kind of energy-based model against the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.testing.conformance import conformance
from artifex.ebm import (
    ConditionalEBMConfig,
    ContrastiveDivergenceConfig,
    ConvEnergyConfig,
    DeepEBMConfig,
    EBMConfig,
    EnergyNetworkConfig,
    JEMConfig,
    MCMCConfig,
    MixtureEnergyConfig,
    ProductOfEnergiesConfig,
    QuadraticEnergyConfig,
    RBMConfig,
    ResNetEnergyConfig,
    SampleBufferConfig,
)

NOISE = np.random.default_rng(0)
VECTORS = {"x": NOISE.normal(size=(8, 4)).astype(np.float32)}
IMAGES = {"x": NOISE.uniform(size=(8, 8, 8, 1)).astype(np.float32)}
BITS = {"x": NOISE.integers(0, 2, (8, 8, 8, 1)).astype(np.float32)}
LABELS = np.arange(8, dtype=np.int32) % 4
NETWORK, CHAIN = EnergyNetworkConfig(hidden_dims=(16, 8)), MCMCConfig(n_steps=3, step_size=0.01)
SMALL = {"energy_network": NETWORK, "mcmc": CHAIN}
BUFFER = SampleBufferConfig(capacity=16, reinit_probability=0.25)
CONV = ConvEnergyConfig(hidden_dims=(8,), spectral_norm=True)
IMAGE_CHAIN = MCMCConfig(n_steps=3, step_size=0.1, noise_scale=0.01, max_gradient=0.1, bounds=(0.0, 1.0))
OBJECTIVES = ("contrastive_divergence", "denoising_score_matching", "sliced_score_matching", "noise_contrastive")
TWO_GAUSSIANS = MixtureEnergyConfig(components=(QuadraticEnergyConfig(mean_scale=1.0),) * 2)
PRODUCT = ProductOfEnergiesConfig(components=(QuadraticEnergyConfig(), NETWORK), weights=(1.0, 0.5))

TestEBM = conformance({"persistent": (EBMConfig(input_dim=4, sample_buffer=BUFFER, **SMALL), VECTORS)})
TestObjectives = pytest.mark.nightly(
    conformance({name: (EBMConfig(input_dim=4, objective=name, tilted=True, **SMALL), VECTORS) for name in OBJECTIVES})
)
TestEnergies = pytest.mark.nightly(
    conformance(
        {
            "quadratic": (EBMConfig(input_dim=4, energy_network="quadratic", mcmc=CHAIN), VECTORS),
            "mixture": (EBMConfig(input_dim=4, energy_network=TWO_GAUSSIANS, mcmc=CHAIN), VECTORS),
            "product": (EBMConfig(input_dim=4, energy_network=PRODUCT, mcmc=CHAIN), VECTORS),
        }
    )
)
TestDeepEBM = conformance(
    {"conv": (DeepEBMConfig(input_shape=(8, 8, 1), energy_network=CONV, mcmc=IMAGE_CHAIN, sample_buffer=BUFFER), IMAGES)}
)
TestResNet = pytest.mark.nightly(
    conformance(
        {
            "resnet": (
                DeepEBMConfig(
                    input_shape=(8, 8, 1),
                    energy_network=ResNetEnergyConfig(hidden_dims=(8, 8)),
                    mcmc=IMAGE_CHAIN,
                    sample_buffer=None,
                    objective=ContrastiveDivergenceConfig(),
                ),
                IMAGES,
            )
        }
    )
)
TestConditionalEBM = conformance(
    {
        "classes": (
            ConditionalEBMConfig(input_dim=4, n_classes=4, sample_buffer=BUFFER, **SMALL),
            {**VECTORS, "condition": LABELS},
        )
    }
)
TestConditionalKinds = pytest.mark.nightly(
    conformance(
        {
            "vectors": (
                ConditionalEBMConfig(input_dim=4, condition_dim=2, sample_buffer=BUFFER, **SMALL),
                {**VECTORS, "condition": NOISE.normal(size=(8, 2)).astype(np.float32)},
                {"sampling": {"condition": np.ones((1, 2), np.float32)}},
            ),
            "images": (
                ConditionalEBMConfig(input_shape=(8, 8, 1), n_classes=4, energy_network=CONV, mcmc=IMAGE_CHAIN),
                {**IMAGES, "condition": LABELS},
            ),
        }
    )
)
TestJEM = conformance(
    {"classes": (JEMConfig(input_dim=4, n_classes=4, sample_buffer=BUFFER, **SMALL), {**VECTORS, "label": LABELS})}
)
TestRBM = conformance(
    {"binary": (RBMConfig(input_shape=(8, 8, 1), n_hidden=8, n_generation_steps=3, sample_buffer=BUFFER), BITS)}
)
TestGaussianRBM = pytest.mark.nightly(
    conformance({"gaussian": (RBMConfig(input_dim=4, n_hidden=8, visible_units="gaussian", n_generation_steps=3), VECTORS)})
)
