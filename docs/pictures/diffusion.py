"""The picture of docs/packages/diffusion.md: eight Gaussians, from noise back to data, drawn with their exact denoiser.

    python docs/pictures/diffusion.py [--seed 0] [--output docs/pictures]

How densely points lie, at five noise levels; each panel as wide as its cloud. Needs `artifex-diffusion` and the image modality.
Seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from artifex.core.densities import EightGaussians
from artifex.diffusion import Levels, VarianceExploding, VarianceExplodingConfig, samplers
from artifex.modalities.image import image_grid, save_image

SHOWN = (10.0, 3.0, 1.0, 0.3, 0.01)
SIZE = 72


def main(seed: int, output: Path) -> None:
    """One panel for each noise level."""
    density, process = EightGaussians(), VarianceExploding(VarianceExplodingConfig(sigma_min=0.01, sigma_max=10.0))
    means = jnp.asarray(density.means(), jnp.float32)

    def denoise(x, sigma):
        away = x[:, None] - means[None]
        spread = density.noise**2 + sigma**2
        nearness = jax.nn.softmax(-0.5 * jnp.sum(away**2, axis=-1) / spread)
        return jnp.einsum("bk,bkd->bd", nearness, means[None] + density.noise**2 / spread * away)

    x = process.start_scale * jax.random.normal(jax.random.key(seed), (20_000, 2))
    panels = []
    for i, sigma in enumerate(SHOWN):
        if i:
            levels: Levels = process.at_ratio(np.geomspace(SHOWN[i - 1], sigma, 20))
            x = samplers.heun(denoise, x, levels)
        panels.append(crowded(np.asarray(x), 3 * (sigma + 1.6)))
    save_image(output / "diffusion.png", image_grid(np.stack(panels), columns=len(SHOWN), zoom=2))


def crowded(x: np.ndarray, reach: float) -> np.ndarray:
    """How many points lie where, the most of them white, ``(SIZE, SIZE, 1)``."""
    counts, _, _ = np.histogram2d(-x[:, 1], x[:, 0], bins=SIZE, range=[(-reach, reach)] * 2)
    return (np.sqrt(counts / counts.max())).astype(np.float32)[..., None]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    main(**vars(parser.parse_args()))
