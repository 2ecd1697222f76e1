"""A picture of some of the common molecules, as samples of a run are drawn.

    python docs/pictures/molecules.py [--seed 0] [--output docs/pictures]

Nothing is trained; it takes seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from artifex.modalities.molecular import draw_molecules
from artifex.modalities.molecular.datasets import CommonMolecules, CommonMoleculesConfig

N = 24


def main(seed: int, output: Path) -> None:
    """Draw."""
    molecules = CommonMolecules(CommonMoleculesConfig()).molecules("train")
    chosen = np.random.default_rng(seed).choice(len(molecules), N, replace=False)
    draw_molecules([molecules[i] for i in chosen], output / "molecules")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    main(**vars(parser.parse_args()))
