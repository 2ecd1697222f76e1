"""A picture of tables: pairs of columns of the made mixed table above, of rows that a diffusion model draws below.

    python docs/pictures/tables.py [--seed 0] [--epochs 750] [--output docs/pictures]

From the left, histograms of age and income, spending and savings, age and the day of joining, income and turnover. Model and
training are the preset `edm-mixed-table`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from flax import nnx

from artifex.modalities.image import image_grid, save_image
from artifex.modalities.tabular.datasets import MixedTable
from artifex.training import build_run, read_run_config

PAIRS = (("age", "income"), ("spending", "savings"), ("age", "joined"), ("income", "turnover"))
CELLS, ZOOM = 36, 4


def main(seed: int, epochs: int, output: Path) -> None:
    """Train and draw."""
    settings = [f"seed={seed}", "training.steps=null", f"training.epochs={epochs}", "callbacks=[]"]
    run = build_run(read_run_config("edm-mixed-table", settings))
    run.trainer.callbacks = ()  # in memory: nothing to report to a folder
    run.trainer.fit(run.train)
    made = run.trainer.modality.to_frame(np.asarray(run.trainer.evaluation_model().generate(4000, rngs=nnx.Rngs(seed))))
    draw(MixedTable(run.config.data.dataset).table("train"), made, output)


def draw(data: pd.DataFrame, made: pd.DataFrame, output: Path) -> None:
    """The histograms of both, each pair on the axes of the data."""
    panels = []
    for table in (data, made):
        for names in PAIRS:
            ranges = [np.quantile(_numbers(data[name].dropna()), [0.005, 0.995]) for name in names]
            there = table[list(names)].dropna()
            counts = np.histogram2d(*(_numbers(there[name]) for name in names), bins=CELLS, range=ranges)[0].T[::-1]
            panels.append(np.kron(np.sqrt(counts / counts.max()), np.ones((ZOOM, ZOOM))))
    save_image(output / "tables.png", image_grid(np.stack(panels)[..., None].astype(np.float32), columns=len(PAIRS)))


def _numbers(values: pd.Series) -> np.ndarray:
    return values.astype("int64").to_numpy(float) if values.dtype.kind == "M" else values.to_numpy(float)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=750)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output)
