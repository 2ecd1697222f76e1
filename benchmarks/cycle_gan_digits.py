"""Does a translated digit stay the digit it was? A trained CycleGAN, judged by scikit-learn's classifiers.

    artifex train cycle-gan-digits --output runs/cycle-gan-digits
    python benchmarks/cycle_gan_digits.py runs/cycle-gan-digits

Needs `artifex-gan`, `artifex-training`, `artifex-modalities-image` and scikit-learn. Seconds.

For each kind of images, digits and digits inverted on coloured ground, a support vector machine learns the classes from the
training images themselves. Test images are translated, and the class that the machine of the other kind finds is compared with
the class of the image they come from. Beside it stands what the machine makes of test images of its own kind.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from sklearn.svm import SVC

KINDS = {"x": "label", "condition": "condition_label"}


def main() -> None:
    """Print a table for the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of a CycleGAN on coloured_digits")
    print(table(parser.parse_args().run))


def table(run: Path) -> str:
    """Class agreement of both directions, as a table."""
    from artifex.modalities.image.datasets import ColouredDigits, ColouredDigitsConfig
    from artifex.training.runs import load_run

    _, model, modality = load_run(run)
    data = ColouredDigits(ColouredDigitsConfig())

    def prepared(split: str) -> dict[str, np.ndarray]:
        batch = modality.prepare(data.arrays(split), rngs=nnx.Rngs(0), train=False)
        return {name: np.asarray(value) for name, value in batch.items()}

    train, test = prepared("train"), prepared("test")
    rows = ["| translation | same class after it | classifier on real test images |", "|---|---|---|"]
    for to, source in (("x", "condition"), ("condition", "x")):
        judge = SVC(C=10).fit(_flat(train[to]), train[KINDS[to]])
        found = judge.predict(_flat(np.asarray(model.translate(test[source], to=to))))
        agreement, real = np.mean(found == test[KINDS[source]]), judge.score(_flat(test[to]), test[KINDS[to]])
        rows.append(f"| {source} to {to} | {agreement:.1%} | {real:.1%} |")
    return "\n".join(rows)


def _flat(images: Any) -> np.ndarray:
    return np.asarray(images).reshape(len(images), -1)


if __name__ == "__main__":
    main()
