"""A picture of a VQ-VAE on handwritten digits: images, their four codes, and what is decoded from the codes alone.

    python docs/pictures/codes.py [--seed 0] [--epochs 150] [--output docs/pictures]

Rows, from above: test images; their 2 x 2 codes as shades of grey, by number; the images decoded from the codes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.modalities.image import ImageModality, ImageModalityConfig, image_grid, save_image
from artifex.modalities.image.datasets import Digits, DigitsConfig
from artifex.training import Trainer, TrainerConfig
from artifex.vae import VQVAEConfig


def main(seed: int, epochs: int, output: Path) -> None:
    """Train and draw."""
    config = VQVAEConfig(input_shape=(8, 8, 1), hidden_dims=(32, 64), codebook_size=128, code_dim=16)
    model = create_model(config, rngs=nnx.Rngs(seed))
    modality = ImageModality(ImageModalityConfig(height=8, width=8, binarize=0.5))
    digits = Digits(DigitsConfig())
    training = TrainerConfig(epochs=epochs, batch_size=100, optimizer={"learning_rate": 2e-3})
    Trainer(model, training, seed=seed, modality=modality).fit(digits.arrays("train"))

    stored = {"x": jnp.asarray(digits.arrays("test")["x"][:14])}
    test = modality.prepare(stored, rngs=nnx.Rngs(seed), train=False)["x"]
    codes = model.encode(test)  # (14, 2, 2)
    shades = np.kron(np.asarray(codes)[..., None] / config.codebook_size, np.ones((1, 4, 4, 1)))
    rows = np.concatenate([test, shades, model.decode(codes)])
    save_image(output / "codes.png", image_grid(rows, columns=14, zoom=6))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output)
