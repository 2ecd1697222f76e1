"""A picture of an energy-based model of eight Gaussians: data, the density that it learned, and what its chains find.

    python docs/pictures/energies.py [--seed 0] [--epochs 15] [--output docs/pictures]

From the left: a histogram of the data; exp(-E) on a grid; a histogram of samples.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.core.densities import DensitySamples, DensitySamplesConfig
from artifex.ebm import EBMConfig, EnergyNetworkConfig, MCMCConfig
from artifex.modalities.image import image_grid, save_image
from artifex.training import Trainer, TrainerConfig

EXTENT, PIXELS = 4.5, 180


def main(seed: int, epochs: int, output: Path) -> None:
    """Train and draw."""
    config = EBMConfig(
        input_dim=2,
        energy_network=EnergyNetworkConfig(hidden_dims=(64, 64)),
        objective={"kind": "noise_contrastive", "noise_ratio": 2},
        reference={"kind": "gaussian", "scale": 2.0},
        generation=MCMCConfig(sampler="mala", n_steps=200, step_size=0.05),
        tilted=True,
    )
    model, data = create_model(config, rngs=nnx.Rngs(seed)), DensitySamples(DensitySamplesConfig(density="eight_gaussians"))
    training = TrainerConfig(epochs=epochs, batch_size=500, optimizer={"learning_rate": 3e-3})
    Trainer(model, training, seed=seed).fit(data.arrays("train"))

    axis = (np.arange(PIXELS) + 0.5) * (2 * EXTENT / PIXELS) - EXTENT
    points = np.stack(np.meshgrid(axis, axis[::-1]), axis=-1).reshape(-1, 2).astype(np.float32)
    density = np.exp(-np.asarray(model.energy(jnp.asarray(points)))).reshape(PIXELS, PIXELS)
    panels = [_histogram(data.arrays("test")["x"]), density, _histogram(np.asarray(model.generate(10_000)))]
    shades = np.stack([np.sqrt(panel / panel.max()) for panel in panels])[..., None]
    save_image(output / "energies.png", image_grid(shades.astype(np.float32), columns=3))


def _histogram(x: np.ndarray) -> np.ndarray:
    """Counts on a coarser grid, as large as the other panel."""
    edges = np.linspace(-EXTENT, EXTENT, PIXELS // 3 + 1)
    counts = np.histogram2d(-x[:, 1], x[:, 0], bins=(edges, edges))[0]
    return np.kron(counts, np.ones((3, 3)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output)
