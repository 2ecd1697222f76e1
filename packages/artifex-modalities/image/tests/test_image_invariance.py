"""Every metric of images gives one figure, however its examples are cut into batches and over devices."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core import plugins
from artifex.core.testing.metrics import check_invariance

REGISTERED = {
    entry.name: entry
    for entry, plugin in plugins.registry().entries("metric")
    if plugin.distribution == "artifex-modalities-image"
}


@pytest.fixture(scope="module")
def examples() -> dict:
    """Of 72 examples each: images, features far from zero, probabilities."""
    rng = np.random.default_rng(0)
    images = rng.random((72, 12, 13, 3), np.float32)
    noisy = np.clip(images + 0.1 * rng.standard_normal(images.shape, np.float32), 0, 1)
    features = (300 + rng.standard_normal((2, 72, 5)) * [[[1.0]], [[1.2]]]).astype(np.float32)
    probabilities = rng.dirichlet(np.ones(10), 72).astype(np.float32)
    return {
        "images": {"samples": noisy, "references": images},
        "features": {"samples": features[0], "references": features[1]},
        "probabilities": {"samples": probabilities},
    }


@pytest.mark.parametrize("name", REGISTERED)
def test_figures_depend_neither_on_batches_nor_on_devices(examples: dict, name: str) -> None:
    entry = REGISTERED[name]
    kind = "images" if not entry.features else "probabilities" if "probabilities" in entry.features else "features"
    check_invariance(entry, {key: examples[kind][key] for key in entry.needs})
