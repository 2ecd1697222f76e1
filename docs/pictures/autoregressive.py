"""Picture of what a PixelCNN draws: digits beside a PixelCNN's, a class in each column.

    python docs/pictures/autoregressive.py [--seed 0] [--epochs 25] [--run FOLDER] [--output docs/pictures]

The model and its training are the preset `pixel-cnn-digits`; with `--run`, one that was trained already.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from artifex.modalities.image import image_grid, save_image
from artifex.modalities.image.datasets import Digits, DigitsConfig
from artifex.training import build_run, load_run, read_run_config

ROWS = 6


def trained(seed: int, epochs: int) -> Any:
    """The preset's model, trained in memory."""
    run = build_run(read_run_config("pixel-cnn-digits", [f"seed={seed}", f"training.epochs={epochs}", "callbacks=[]"]))
    run.trainer.callbacks = ()  # in memory: nothing to report to a folder
    run.trainer.fit(run.train)
    return run.trainer.evaluation_model()


def main(seed: int, epochs: int, output: Path, run: Path | None = None) -> None:
    """Train, or load, and draw."""
    stored = Digits(DigitsConfig()).arrays("test")
    data = np.stack([stored["x"][stored["label"] == c][:ROWS] for c in range(10)], axis=1).reshape(-1, 8, 8, 1)
    model, classes = trained(seed, epochs) if run is None else load_run(run)[1], np.tile(np.arange(10), ROWS)
    drawn = np.asarray(model.generate(len(classes), condition=classes, rngs=nnx.Rngs(seed)))
    left, right = (image_grid(part, columns=10, zoom=4) for part in (data, drawn))
    gap = np.full((len(left), 24, 1), 255, np.uint8)
    save_image(output / "autoregressive.png", np.concatenate([left, gap, right], axis=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--run", type=Path, help="folder of a finished run of the preset")
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output, arguments.run)
