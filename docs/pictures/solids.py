"""A picture of the synthetic solids: as voxels, and as points on their surfaces.

    python docs/pictures/solids.py [--seed 0] [--output docs/pictures]

Seen from the side, the nearer the brighter. Nothing is trained; it takes seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from artifex.geometric.datasets import SolidPoints, SolidPointsConfig, SolidVoxels, SolidVoxelsConfig
from artifex.modalities.image import image_grid, save_image

SIZE, COLUMNS = 48, 10


def main(seed: int, output: Path) -> None:
    """Draw."""
    voxels = SolidVoxels(SolidVoxelsConfig(size=24, n_train=COLUMNS, seed=seed)).arrays("train")["x"]
    points = SolidPoints(SolidPointsConfig(n_points=1024, n_train=COLUMNS, seed=seed)).arrays("train")["x"]
    rows = np.concatenate([voxels_from_the_side(voxels), np.stack([points_from_the_side(cloud) for cloud in points])])
    save_image(output / "solids.png", image_grid(rows, columns=COLUMNS, zoom=2))


def voxels_from_the_side(voxels: np.ndarray) -> np.ndarray:
    """``(M, n, n, n, 1)`` to pictures ``(M, SIZE, SIZE, 1)``: brightness falls with the depth of the first filled voxel."""
    filled = voxels[..., 0] > 0.5
    depth = np.argmax(filled, axis=2) / voxels.shape[2]  # from the front
    shade = np.where(filled.any(axis=2), 1 - 0.8 * depth, 0).astype(np.float32)
    large = np.kron(shade, np.ones((1, SIZE // voxels.shape[1], SIZE // voxels.shape[3]), np.float32))
    return np.flip(large.swapaxes(1, 2), axis=1)[..., None]


def points_from_the_side(cloud: np.ndarray) -> np.ndarray:
    """``(N, 3)`` to a picture ``(SIZE, SIZE, 1)``."""
    picture = np.zeros((SIZE, SIZE, 1), np.float32)
    across, front, up = ((cloud + 1) / 2).T
    for point in np.argsort(-front):  # the nearest last
        row, column = SIZE - 1 - int(up[point] * (SIZE - 1)), int(across[point] * (SIZE - 1))
        picture[row, column] = 1 - 0.8 * front[point]
    return picture


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    main(**vars(parser.parse_args()))
