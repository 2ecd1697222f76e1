"""Picture of what PixelCNNs draw: digits, a PixelCNN's, a PixelCNN++'s, a class in each column.

    python docs/pictures/autoregressive.py [--seed 0] [--epochs 25] [--runs FOLDER FOLDER] [--output docs/pictures]

The models and their training are the presets `pixel-cnn-digits` and `pixel-cnn-pp-digits`; with `--runs`, those that were
trained already.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from artifex.modalities.image import image_grid, save_image
from artifex.modalities.image.datasets import Digits, DigitsConfig
from artifex.training import build_run, load_run, read_run_config

PRESETS = ("pixel-cnn-digits", "pixel-cnn-pp-digits")
ROWS = 6


def trained(preset: str, seed: int, epochs: int) -> Any:
    """The preset's model, trained in memory."""
    run = build_run(read_run_config(preset, [f"seed={seed}", f"training.epochs={epochs}", "callbacks=[]"]))
    run.trainer.callbacks = ()  # in memory: nothing to report to a folder
    run.trainer.fit(run.train)
    return run.trainer.evaluation_model()


def main(seed: int, epochs: int, output: Path, runs: Sequence[Path] = ()) -> None:
    """Train, or load, and draw."""
    stored = Digits(DigitsConfig()).arrays("test")
    data = [stored["x"][stored["label"] == c][:ROWS] for c in range(10)]
    parts = [np.stack(data, axis=1).reshape(-1, 8, 8, 1)]
    classes = np.tile(np.arange(10), ROWS)
    models = [load_run(run)[1] for run in runs] or [trained(preset, seed, epochs) for preset in PRESETS]
    parts += [np.asarray(model.generate(len(classes), condition=classes, rngs=nnx.Rngs(seed))) for model in models]
    grids = [image_grid(part, columns=10, zoom=4) for part in parts]
    gap = np.full((len(grids[0]), 24, 1), 255, np.uint8)
    pieces = [piece for grid in grids for piece in (grid, gap)][:-1]
    save_image(output / "autoregressive.png", np.concatenate(pieces, axis=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--runs", type=Path, nargs=2, default=(), help="folders of finished runs of the two presets")
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output, arguments.runs)
