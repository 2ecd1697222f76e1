"""A picture of a joint VAE on digits and their words: either from the other, and both from nothing.

    python docs/pictures/words.py [--seed 0] [--epochs 150] [--output docs/pictures]

Rows, from above: test images, and the words decoded from them; the words zero to nine in turns, and images decoded from them;
images and words drawn together.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from PIL import Image, ImageDraw

from artifex.core import create_model
from artifex.modalities.image import image_grid, save_image
from artifex.modalities.multimodal import MultiModalModality, MultiModalModelAdapter
from artifex.modalities.multimodal.datasets import DigitWords
from artifex.modalities.multimodal.datasets.digit_words import WORDS
from artifex.training import Trainer
from artifex.training.run_config import read_run_config

COLUMNS, TILE = 12, 48


def written(word: str) -> np.ndarray:
    """A word as a tile."""
    tile = Image.new("L", (TILE, TILE), 0)
    ImageDraw.Draw(tile).text((TILE // 2, TILE // 2), word, fill=255, anchor="mm", font_size=15)
    return np.asarray(tile)[..., None] / 255.0


def drawn(image: Any) -> np.ndarray:
    """An image as a tile."""
    return np.kron(np.asarray(image), np.ones((TILE // 8, TILE // 8, 1)))


def main(seed: int, epochs: int, output: Path) -> None:
    """Train and draw."""
    run: Any = read_run_config("joint-vae-digits", [f"training.epochs={epochs}"])
    modality, data = MultiModalModality(run.data.modality), DigitWords(run.data.dataset)
    model = create_model(run.model, rngs=nnx.Rngs(seed))
    Trainer(model, run.training, seed=seed, modality=modality).fit(data.arrays("train"))

    among = MultiModalModelAdapter(modality).adapt_model(model)
    test = data.arrays("test")
    images = test["x"][:COLUMNS]
    from_images = among.reconstruct({"image": images})
    words = [WORDS[i % 10] for i in range(COLUMNS)]
    given = modality.prepare({"word": modality.parts["word"].codes(words)}, train=False)
    posterior = model.encode(given["x"], mask=given["mask"])
    from_words = among.decode(posterior.sample(jax.random.key(seed)))
    both = among.generate(COLUMNS, rngs=nnx.Rngs(seed))
    rows = [
        *map(drawn, images),
        *(written(example["word"]) for example in from_images),
        *map(written, words),
        *(drawn(example["image"]) for example in from_words),
        *(drawn(example["image"]) for example in both),
        *(written(example["word"]) for example in both),
    ]
    save_image(output / "words.png", image_grid(np.stack(rows), columns=COLUMNS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output)
