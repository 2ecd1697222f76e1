"""The picture of docs/packages/diffusion.md: eight Gaussians, from noise back to data, drawn with their exact denoiser.

    python docs/pictures/diffusion.py

Needs `artifex-diffusion` and `matplotlib`. Seconds.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from artifex.core.densities import EightGaussians
from artifex.diffusion import Levels, VarianceExploding, VarianceExplodingConfig, samplers

SHOWN = (10.0, 3.0, 1.0, 0.3, 0.01)


def main() -> None:
    """One panel for each noise level."""
    density, process = EightGaussians(), VarianceExploding(VarianceExplodingConfig(sigma_min=0.01, sigma_max=10.0))
    means = jnp.asarray(density.means(), jnp.float32)

    def denoise(x, sigma):
        away = x[:, None] - means[None]
        spread = density.noise**2 + sigma**2
        nearness = jax.nn.softmax(-0.5 * jnp.sum(away**2, axis=-1) / spread)
        return jnp.einsum("bk,bkd->bd", nearness, means[None] + density.noise**2 / spread * away)

    x = process.start_scale * jax.random.normal(jax.random.key(0), (2000, 2))
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(10, 2.2), layout="constrained")
    for i, axis in enumerate(axes):
        if i:
            levels: Levels = process.at_ratio(np.geomspace(SHOWN[i - 1], SHOWN[i], 20))
            x = samplers.heun(denoise, x, levels)
        reach = 3 * (SHOWN[i] + 1.6)
        axis.scatter(*np.asarray(x).T, s=0.5, color="#35608d")
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal", title=f"σ = {SHOWN[i]:g}")
    figure.savefig(Path(__file__).with_name("diffusion.png"), dpi=90)


if __name__ == "__main__":
    main()
