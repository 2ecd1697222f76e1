"""A picture of what a model is given: photographs, and the same as the image modality prepares them while a model trains.

    python docs/pictures/images.py [--seed 0] [--output docs/pictures]

From above: as they are stored; augmented, twice; in eight levels; as drawn black and white. Nothing is trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from sklearn.datasets import load_sample_image

from artifex.modalities.image import ImageModality, ImageModalityConfig, image_grid, save_image

SIDE, COUNT, ZOOM = 32, 10, 2
PLAIN = 60
AUGMENT = {"horizontal_flip": 0.5, "crop_padding": 6, "brightness": 0.2, "contrast": 0.5}
ROWS: list[dict[str, Any]] = [
    {},
    {"augment": AUGMENT},
    {"augment": AUGMENT},
    {"channels": "grayscale", "dequantize_levels": 8},
    {"channels": "grayscale", "binarize": "stochastic"},
]
"""Fields of the modality's config, beside size and colour."""


def main(seed: int, output: Path) -> None:
    """Prepare and draw."""
    stored, rngs, rows = photographs(seed), nnx.Rngs(seed), []
    for fields in ROWS:
        config = ImageModalityConfig.from_dict({"height": SIDE, "width": SIDE, "channels": "rgb", **fields})
        modality = ImageModality(config)
        shown = np.asarray(modality.restore(modality.prepare({"x": stored}, rngs=rngs, train=True)["x"]))
        rows.append(np.broadcast_to(shown, (COUNT, SIDE, SIDE, 3)))
    save_image(output / "images.png", image_grid(np.concatenate(rows), columns=COUNT, zoom=ZOOM))


def photographs(seed: int) -> np.ndarray:
    """Pieces of every sixth pixel of scikit-learn's two photographs, none of them plain, uint8 ``(COUNT, SIDE, SIDE, 3)``."""
    rng, pieces = np.random.default_rng(seed), []
    small = [load_sample_image(name)[::6, ::6] for name in ("china.jpg", "flower.jpg")]
    while len(pieces) < COUNT:
        photograph = small[len(pieces) % 2]
        row, column = (rng.integers(0, length - SIDE + 1) for length in photograph.shape[:2])
        piece = photograph[row : row + SIDE, column : column + SIDE]
        if piece.std() > PLAIN:
            pieces.append(piece)
    return np.stack(pieces)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.output)
