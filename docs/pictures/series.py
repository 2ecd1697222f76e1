"""A picture of time series: on the left sines, on the right what a diffusion model draws.

    python docs/pictures/series.py [--seed 0] [--epochs 38] [--output docs/pictures]

The model and its training are the preset `edm-sines`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from flax import nnx

from artifex.modalities.image import image_grid, save_image
from artifex.modalities.timeseries.datasets import MadeSeries
from artifex.training import build_run, read_run_config

SHOWN, COLUMNS, WIDTH, HEIGHT = 16, 4, 96, 48


def main(seed: int, epochs: int, output: Path) -> None:
    """Train and draw."""
    settings = [f"seed={seed}", "training.steps=null", f"training.epochs={epochs}", "callbacks=[]"]
    run = build_run(read_run_config("edm-sines", settings))
    run.trainer.callbacks = ()  # in memory: nothing to report to a folder
    run.trainer.fit(run.train)
    made = run.trainer.modality.restore(run.trainer.evaluation_model().generate(SHOWN, rngs=nnx.Rngs(seed)))
    draw(MadeSeries(run.config.data.dataset).arrays("test")["x"][:SHOWN], np.asarray(made), output)


def draw(data: np.ndarray, made: np.ndarray, output: Path) -> None:
    """Both as grids of curves, side by side."""
    left, right = (
        image_grid(np.stack([_curve(one[:, 0]) for one in side])[..., None], columns=COLUMNS) for side in (data, made)
    )
    gap = np.full((len(left), 24, left.shape[2]), 255, np.uint8)
    save_image(output / "series.png", np.concatenate([left, gap, right], axis=1))


def _curve(values: np.ndarray) -> np.ndarray:
    """White on black: every column of pixels from where the line comes in to where it goes out."""
    ends = np.interp(np.linspace(0, len(values) - 1, WIDTH + 1), np.arange(len(values)), values)
    rows = np.clip((1 - (ends + 1.3) / 2.6) * (HEIGHT - 1), 0, HEIGHT - 1)
    y = np.arange(HEIGHT)[:, None]
    low, high = np.minimum(rows[:-1], rows[1:]), np.maximum(rows[:-1], rows[1:])
    return ((y >= np.floor(low)) & (y <= np.ceil(high))).astype(np.float32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=38)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output)
