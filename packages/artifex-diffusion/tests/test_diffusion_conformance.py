"""Every kind of diffusion model against the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.testing.conformance import box, conformance
from artifex.diffusion import (
    DDIMConfig,
    DDPMConfig,
    DiTBackboneConfig,
    DiTConfig,
    EDMConfig,
    GuidedDiffusionConfig,
    MLPBackboneConfig,
    NoiseScheduleConfig,
    RectifiedFlowConfig,
    ScoreSDEConfig,
    UNet1DBackboneConfig,
    UNetBackboneConfig,
)

DRAW = np.random.default_rng(0).normal
IMAGES = {"x": DRAW(size=(8, 4, 4, 1)).astype(np.float32)}
VECTORS = {"x": DRAW(size=(8, 3)).astype(np.float32)}
SEQUENCES = {"x": DRAW(size=(8, 6, 2)).astype(np.float32)}
CLASSES = {"condition": np.arange(8, dtype=np.int32) % 4}
TOKENS = {"condition": DRAW(size=(8, 3, 5)).astype(np.float32)}
MLP = MLPBackboneConfig(hidden_dims=(16, 16), time_dim=8)
UNET = UNetBackboneConfig(hidden_dims=(8, 16), blocks_per_level=1)
SHORT = NoiseScheduleConfig(num_timesteps=8)
DIM = {"kind": "ddim", "steps": 4}

TestUNet = conformance({"ddpm": (DDPMConfig(input_shape=(4, 4, 1), backbone=UNET, noise_schedule=SHORT), IMAGES)})
TestVectors = conformance(
    {
        "ddim": (DDIMConfig(input_shape=(3,), backbone=MLP, noise_schedule=SHORT, sampler=DIM, min_snr_gamma=5.0), VECTORS),
        "edm": (EDMConfig(input_shape=(3,), backbone=MLP), VECTORS),
        "rectified_flow": (RectifiedFlowConfig(input_shape=(3,), backbone=MLP), VECTORS),
        "score_sde": (ScoreSDEConfig(input_shape=(3,), backbone=MLP, sampler={"kind": "edm", "steps": 5}), VECTORS),
        "guided": (
            GuidedDiffusionConfig(input_shape=(3,), backbone=MLP.replace(num_classes=4), noise_schedule=SHORT, sampler=DIM),
            {**VECTORS, **CLASSES},
        ),
    }
)
TestDiT = conformance(
    {
        "classes": (
            DiTConfig(
                input_shape=(4, 4, 1),
                backbone=DiTBackboneConfig(hidden_dim=8, depth=1, heads=2, num_classes=4),
                condition_dropout=0.2,
                guidance_scale=2.0,
                noise_schedule=SHORT,
                sampler=DIM,
            ),
            {**IMAGES, **CLASSES},
        )
    }
)
TestBackbones = pytest.mark.nightly(
    conformance(
        {
            "unet1d": (
                DDPMConfig(
                    input_shape=(6, 2),
                    backbone=UNet1DBackboneConfig(hidden_dims=(8, 8), blocks_per_level=1, num_classes=4),
                    noise_schedule=SHORT,
                ),
                {**SEQUENCES, **CLASSES},
            ),
            "unet_context": (
                DDPMConfig(
                    input_shape=(4, 4, 1),
                    backbone=UNET.replace(cross_attention_dim=5, attention_resolutions=(2,), scale_shift=True),
                    noise_schedule=SHORT,
                    parameterization="v",
                    condition_dropout=0.1,
                ),
                {**IMAGES, **TOKENS},
                {"sampling": {"condition": TOKENS["condition"]}},
            ),
            "unet_patches": (
                DDPMConfig(input_shape=(8, 8, 1), backbone=UNET.replace(patch_size=2), noise_schedule=SHORT),
                {"x": DRAW(size=(8, 8, 8, 1)).astype(np.float32)},  # four places in the middle, for attention to choose from
            ),
            "mlp_vector": (
                EDMConfig(input_shape=(3,), backbone=MLP.replace(condition_dim=2)),
                {**VECTORS, "condition": DRAW(size=(8, 2)).astype(np.float32)},
                {"sampling": {"condition": DRAW(size=(8, 2)).astype(np.float32)}},
            ),
            "probability_flow": (
                ScoreSDEConfig(
                    input_shape=(2,),
                    backbone=MLP,
                    noise_schedule={"kind": "variance_exploding", "times": "log_uniform", "sigma_max": 1.0},  # within the box
                    sampler={"kind": "probability_flow", "steps": 4},
                ),
                {"x": DRAW(size=(8, 2)).astype(np.float32)},
                {"exact": box(-6.0, 6.0, (2,), 48)},
            ),
        }
    )
)
