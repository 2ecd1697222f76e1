"""A picture of two energies put together: two moons, eight Gaussians, both at once, and what chains of both find.

    python docs/pictures/concepts.py [--seed 0] [--epochs 15] [--output docs/pictures]

From the left: exp(-E) of each model on a grid, exp of minus the sum of both, a histogram of samples of the sum.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.core.densities import DensitySamples, DensitySamplesConfig
from artifex.ebm import EBMConfig, EnergyNetworkConfig, MCMCConfig, sample_chains
from artifex.modalities.image import image_grid, save_image
from artifex.training import Trainer, TrainerConfig

EXTENT, PIXELS = 4.0, 180
CHAINS = MCMCConfig(sampler="hmc", n_steps=200, step_size=0.1, n_leapfrog=20)


def main(seed: int, epochs: int, output: Path) -> None:
    """Train both and draw."""
    moons, modes = (_trained(density, seed, epochs) for density in ("two_moons", "eight_gaussians"))

    def both(x: jax.Array) -> jax.Array:
        return moons.energy(x) + modes.energy(x)

    axis = (np.arange(PIXELS) + 0.5) * (2 * EXTENT / PIXELS) - EXTENT
    points = jnp.asarray(np.stack(np.meshgrid(axis, axis[::-1]), axis=-1).reshape(-1, 2), jnp.float32)
    energies = [np.asarray(energy(points)).reshape(PIXELS, PIXELS) for energy in (moons.energy, modes.energy, both)]
    start, key = jax.random.split(jax.random.key(seed))
    chains = jax.jit(lambda x, key: sample_chains(CHAINS, both, x, key))(2 * jax.random.normal(start, (5000, 2)), key)
    panels = [*(np.exp(energy.min() - energy) for energy in energies), _histogram(np.asarray(chains.x))]
    shades = np.stack([np.sqrt(panel / panel.max()) for panel in panels])[..., None]
    save_image(output / "concepts.png", image_grid(shades.astype(np.float32), columns=4))


def _trained(density: Any, seed: int, epochs: int) -> Any:
    config = EBMConfig(
        input_dim=2,
        energy_network=EnergyNetworkConfig(hidden_dims=(64, 64)),
        objective={"kind": "noise_contrastive", "noise_ratio": 2},
        reference={"kind": "gaussian", "scale": 2.0},
        tilted=True,
    )
    model, data = create_model(config, rngs=nnx.Rngs(seed)), DensitySamples(DensitySamplesConfig(density=density))
    training = TrainerConfig(epochs=epochs, batch_size=500, optimizer={"learning_rate": 3e-3})
    Trainer(model, training, seed=seed).fit(data.arrays("train"))
    return model


def _histogram(x: np.ndarray) -> np.ndarray:
    """Counts on a coarser grid, as large as the other panels."""
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
