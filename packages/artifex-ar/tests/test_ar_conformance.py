"""Every autoregressive model against the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.ar import PixelCNNConfig, PixelCNNPPConfig, TransformerARConfig, WaveNetConfig
from artifex.ar.companding import mu_law_inverse
from artifex.core.testing.conformance import conformance, lattice

LEVELS = np.arange(3) / 2


def images(*shape: int, n: int = 8) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).choice(LEVELS, (n, *shape)).astype(np.float32)}


def classes(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**batch, "condition": np.arange(8, dtype=np.int32) % 4}


TOKENS = {"x": np.random.default_rng(0).integers(0, 3, (8, 4)).astype(np.int32)}
TRANSFORMER = {"vocab_size": 3, "context_length": 4, "num_layers": 2, "embed_dim": 16, "num_heads": 4}
LLAMA = {"positions": "rotary", "norm": "rms_norm", "activation": "swiglu", "use_bias": False, "tie_embeddings": False}
SEQUENCES = {"exact": lattice(range(3), (4,), np.int32)}

TestTransformer = conformance({"llama": (TransformerARConfig(**TRANSFORMER, **LLAMA, num_kv_heads=2), TOKENS, SEQUENCES)})
TestTransformerKinds = pytest.mark.nightly(
    conformance(
        {
            "gpt2": (TransformerARConfig(**TRANSFORMER, start_token=1, dropout=0.1, remat=True), TOKENS, SEQUENCES),
            "classes": (TransformerARConfig(**TRANSFORMER, num_classes=4), classes(TOKENS), SEQUENCES),
        }
    )
)

PIXEL_CNN = {"levels": 3, "hidden_channels": 8, "num_layers": 2, "first_kernel_size": 3}

TestPixelCNN = pytest.mark.nightly(
    conformance(
        {
            "classes": (
                PixelCNNConfig(image_shape=(2, 2, 1), num_classes=4, **PIXEL_CNN),
                classes(images(2, 2, 1)),
                {"exact": lattice(LEVELS, (2, 2, 1))},
            )
        }
    )
)
PIXEL_CNN_PP = {"levels": 3, "hidden_channels": 8, "num_layers": 1, "num_mixtures": 2}
TestPixelCNNPP = conformance(
    {
        "classes": (
            PixelCNNPPConfig(image_shape=(2, 2, 1), num_classes=4, dropout=0.1, **PIXEL_CNN_PP),
            classes(images(2, 2, 1)),
            {"exact": lattice(LEVELS, (2, 2, 1))},
        )
    }
)
COLOURS = {"x": np.random.default_rng(0).choice([0, 1], (8, 2, 2, 3)).astype(np.float32)}  # a pixel above, one to the left

TestColours = pytest.mark.nightly(
    conformance(
        {
            "pixel_cnn": (
                PixelCNNConfig(image_shape=(2, 2, 3), **{**PIXEL_CNN, "levels": 2}),
                COLOURS,
                {"exact": lattice([0, 1], (2, 2, 3))},
            ),
            "pixel_cnn_pp": (
                PixelCNNPPConfig(image_shape=(2, 2, 3), **{**PIXEL_CNN_PP, "levels": 2}),
                COLOURS,
                {"exact": lattice([0, 1], (2, 2, 3))},
            ),
        }
    )
)

WAVENET = {"length": 5, "num_layers": 2, "num_stacks": 1, "residual_channels": 8, "skip_channels": 8}
LOUDNESS = np.asarray(mu_law_inverse(2 * LEVELS - 1, 2))
SIGNALS = {"x": np.random.default_rng(0).choice(LOUDNESS, (8, 5)).astype(np.float32)}
EVEN = {"x": np.random.default_rng(0).choice(2 * LEVELS - 1, (8, 5)).astype(np.float32)}
FEATURES = np.random.default_rng(1).normal(size=(8, 5, 3)).astype(np.float32)

TestWaveNet = conformance(
    {"mu_law": (WaveNetConfig(**WAVENET, levels=3, num_classes=4), classes(SIGNALS), {"exact": lattice(LOUDNESS, (5,))})}
)
TestWaveNetKinds = pytest.mark.nightly(
    conformance(
        {
            "logistics": (
                WaveNetConfig(**WAVENET, levels=3, output="logistics", num_mixtures=2, kernel_size=3),
                EVEN,
                {"exact": lattice(2 * LEVELS - 1, (5,))},
            ),
            "features": (
                WaveNetConfig(**WAVENET, levels=3, condition_dim=3),
                {**SIGNALS, "condition": FEATURES},
                {"exact": lattice(LOUDNESS, (5,)), "sampling": {"condition": FEATURES}},
            ),
        }
    )
)
