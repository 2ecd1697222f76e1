"""A picture of what a DCGAN makes of handwritten digits: real ones above, generated ones below.

    python docs/pictures/adversarial.py [--seed 0] [--epochs 150] [--output docs/pictures]

Two rows of training images, then four of samples of the generator's moving average. The model is that of the preset
`dcgan-digits`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.gan import ConvDiscriminatorConfig, ConvGeneratorConfig, DCGANConfig
from artifex.modalities.image import ImageModality, ImageModalityConfig, image_grid, save_image
from artifex.modalities.image.datasets import Digits, DigitsConfig
from artifex.training import Trainer, TrainerConfig

COLUMNS = 14


def main(seed: int, epochs: int, output: Path) -> None:
    """Train and draw."""
    config = DCGANConfig(
        generator=ConvGeneratorConfig(latent_dim=32, hidden_dims=(64, 32), output_shape=(8, 8, 1), data_format="channels_last"),
        discriminator=ConvDiscriminatorConfig(hidden_dims=(32, 64), data_format="channels_last"),
    )
    model = create_model(config, rngs=nnx.Rngs(seed))
    modality = ImageModality(ImageModalityConfig(height=8, width=8, scale="symmetric"))
    digits = Digits(DigitsConfig()).arrays("train")
    training = TrainerConfig(
        epochs=epochs,
        batch_size=64,
        optimizer={"learning_rate": 2e-4, "options": {"b1": 0.5}},
        ema_decay=0.999,
        ema_parameters=("generator",),
    )
    trainer = Trainer(model, training, seed=seed, modality=modality)
    trainer.fit(digits)

    samples = trainer.evaluation_model().generate(4 * COLUMNS, rngs=nnx.Rngs(seed))
    made = np.asarray(modality.restore(samples))
    save_image(output / "adversarial.png", image_grid(np.concatenate([digits["x"][: 2 * COLUMNS], made]), COLUMNS, zoom=6))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    main(**vars(parser.parse_args()))
