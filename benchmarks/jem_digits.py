"""What it costs a classifier to be a density too: accuracy of JEM on the digits beside the same network as a classifier.

    python benchmarks/jem_digits.py [--seeds 3] [--quick]

Needs `artifex-ebm`, `artifex-training`, `artifex-modalities-image`. About a minute a run of JEM on a core.

The runs are those of the preset `jem-digits` (Grathwohl et al. 2020, arXiv:1912.03263), with the generative part and without
(`model.generative_weight=0`), all else alike. Accuracy is on the 300 test images, which neither training nor the choice of
settings has seen.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np


def main() -> None:
    """Train both with every seed and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one epoch: shows that it runs, not how well")
    arguments = parser.parse_args()
    print("| | test accuracy, each seed | mean |\n|---|---|---|", flush=True)
    for name, settings in {"JEM": [], "the same network as a classifier": ["model.generative_weight=0"]}.items():
        settings = [*settings, "training.epochs=1"] if arguments.quick else settings
        found = [accuracy([*settings, f"seed={seed}"]) for seed in range(arguments.seeds)]
        print(f"| {name} | {', '.join(f'{value:.1%}' for value in found)} | {np.mean(found):.1%} |", flush=True)


def accuracy(settings: list[str]) -> float:
    """Share of the test images that a run's model finds the class of."""
    from artifex.modalities.image.datasets import Digits, DigitsConfig
    from artifex.training.run_config import read_run_config
    from artifex.training.runs import build_run, load_run

    with tempfile.TemporaryDirectory() as folder:
        build_run(read_run_config("jem-digits", settings)).start(Path(folder) / "run")
        _, model, modality = load_run(Path(folder) / "run")
    test = Digits(DigitsConfig()).arrays("test")
    logits = model.logits(modality.prepare({"x": test["x"]}, train=False)["x"])
    return float(np.mean(np.argmax(np.asarray(logits), axis=-1) == test["label"]))


if __name__ == "__main__":
    main()
