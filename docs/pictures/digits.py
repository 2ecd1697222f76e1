"""Pictures of a VAE on handwritten digits: data and samples, reconstructions, a walk between digits.

    python docs/pictures/digits.py [--seed 0] [--epochs 150] [--output docs/pictures]

The model and its training are the preset `vae-digits`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.modalities.image import image_grid, save_image
from artifex.modalities.image.datasets import Digits, DigitsConfig
from artifex.training import Trainer, build_run, read_run_config


def trained(seed: int, epochs: int) -> tuple[Trainer, jnp.ndarray]:
    """The preset, trained in memory, and the test images as the model sees them."""
    config = read_run_config("vae-digits", [f"seed={seed}", f"training.epochs={epochs}", "callbacks=[]"])
    run = build_run(config)
    run.trainer.callbacks = ()  # in memory: nothing to report to a folder
    run.trainer.fit(run.train)
    stored = {"x": jnp.asarray(Digits(DigitsConfig()).arrays("test")["x"])}
    assert run.trainer.modality is not None
    return run.trainer, run.trainer.modality.prepare(stored, rngs=nnx.Rngs(seed), train=False)["x"]


def main(seed: int, epochs: int, output: Path) -> None:
    """Train and draw."""
    trainer, test = trained(seed, epochs)
    model = trainer.evaluation_model()
    data = image_grid(test[:48], columns=8, zoom=5)
    samples = image_grid(model.generate(48, rngs=nnx.Rngs(seed)), columns=8, zoom=5)
    gap = np.full((len(data), 24, 1), 255, np.uint8)
    save_image(output / "samples.png", np.concatenate([data, gap, samples], axis=1))
    pairs = jnp.concatenate([test[:14], model.reconstruct(test[:14])])
    save_image(output / "reconstructions.png", image_grid(pairs, columns=14, zoom=6))
    walks = model.interpolate(test[:5], test[5:10], n_steps=14).reshape(-1, 8, 8, 1)
    save_image(output / "interpolation.png", image_grid(walks, columns=14, zoom=6))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output)
