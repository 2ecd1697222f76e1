"""A picture of made folds: helices red, strands blue, turns grey, the nearer the brighter.

    python docs/pictures/proteins.py [--seed 0] [--output docs/pictures]

Nothing is trained; it takes seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from artifex.modalities.protein import Protein, secondary_structure
from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig

TILE, COLUMNS, ROWS = 150, 6, 2
COLOURS = {"a": (235, 90, 80), "b": (90, 140, 240), "c": (190, 190, 190)}


def main(seed: int, output: Path) -> None:
    """Draw."""
    config = ProteinFoldsConfig(n_train=COLUMNS * ROWS, n_held_out=1, min_seq_length=32, max_seq_length=48, seed=seed)
    picture = Image.new("RGB", (COLUMNS * TILE, ROWS * TILE))
    for i, protein in enumerate(ProteinFolds(config).split("train")):
        picture.paste(trace(protein), (i % COLUMNS * TILE, i // COLUMNS * TILE))
    picture.save(output / "proteins.png", optimize=True)


def trace(protein: Protein) -> Image.Image:
    """The chain of alpha carbons, seen along its shortest axis, from the far end to the near."""
    x = protein.atom("CA") - protein.atom("CA").mean(axis=0)
    axes = np.linalg.svd(x, full_matrices=False)[2]
    x = x @ axes.T
    letters = secondary_structure(protein.atom("CA"))
    scale = 0.42 * TILE / np.abs(x[:, :2]).max()
    places, depth = TILE / 2 + scale * x[:, :2], (x[:, 2] - x[:, 2].min()) / np.ptp(x[:, 2])
    tile = Image.new("RGB", (TILE, TILE))
    draw = ImageDraw.Draw(tile)
    for i in np.argsort(depth[:-1] + depth[1:]):
        shade = 0.35 + 0.65 * depth[i : i + 2].mean()
        colour = tuple(int(shade * value) for value in COLOURS[letters[i]])
        draw.line([tuple(places[i]), tuple(places[i + 1])], fill=colour, width=4 if letters[i] != "c" else 2)
    return tile


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    main(**vars(parser.parse_args()))
