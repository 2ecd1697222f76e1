"""A picture of a VAE of voxels: synthetic solids, and others that the model draws.

    python docs/pictures/solids.py [--seed 0] [--steps 1000] [--output docs/pictures]

Rows, from above: solids from the test split; draws of the model. Seen from the side, the nearer the brighter. The model and its
training are the preset `voxel-vae-solids`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.geometric.datasets import SolidVoxels, SolidVoxelsConfig
from artifex.modalities.image import image_grid, save_image
from artifex.training import Trainer
from artifex.training.run_config import read_run_config


def main(seed: int, steps: int, output: Path) -> None:
    """Train and draw."""
    run = read_run_config("voxel-vae-solids", [f"training.steps={steps}"])
    model = create_model(run.model, rngs=nnx.Rngs(seed))
    solids = SolidVoxels(SolidVoxelsConfig(size=12))
    Trainer(model, run.training, seed=seed).fit(solids.arrays("train"))
    rows = np.concatenate([solids.arrays("test")["x"][:10], np.asarray(model.generate(10, rngs=nnx.Rngs(seed)))])
    save_image(output / "solids.png", image_grid(seen_from_the_side(rows), columns=10, zoom=4))


def seen_from_the_side(voxels: np.ndarray) -> np.ndarray:
    """``(M, D, H, W, 1)`` to pictures ``(M, W, D, 1)``: brightness falls with the depth of the first filled voxel."""
    filled = voxels[..., 0] > 0.5
    depth = np.argmax(filled, axis=2)  # along H
    shade = np.where(filled.any(axis=2), 1 - 0.8 * depth / voxels.shape[2], 0)
    return np.flip(shade.swapaxes(1, 2), axis=1)[..., None].astype(np.float32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.steps, arguments.output)
