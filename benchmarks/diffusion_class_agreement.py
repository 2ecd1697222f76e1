"""How many guided samples a scikit-learn classifier finds to be of the class that was asked for, on Fashion-MNIST.

    artifex train guided-fashion-mnist --output runs/guided
    python benchmarks/diffusion_class_agreement.py runs/guided [--n 1000] [--guidance 1 2 4]

Needs `artifex-diffusion`, `artifex-training`, `artifex-modalities-image`, `scikit-learn`, and Debian's `dataset-fashion-mnist`.
About two minutes on two cores.

The classifier never sees a sample: a support vector machine on 60 principal components of 12 000 training images, which finds
about 87 in 100 test images to be of their own class. Samples of the ten classes in equal numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")


def main() -> None:
    """Train the classifier, draw samples, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--n", type=int, default=1000, help="samples, a multiple of ten")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--folder", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    arguments = parser.parse_args()
    classify, accuracy = classifier(arguments.folder)
    print(f"classifier: {100 * accuracy:.1f} % of test images", flush=True)
    print(f"| guidance | agreement, % | {' | '.join(NAMES)} |\n|---|---|{'---|' * 10}", flush=True)
    for scale in arguments.guidance:
        agree = agreement(arguments.run, classify, arguments.n, scale)
        each = " | ".join(f"{100 * value:.0f}" for value in agree)
        print(f"| {scale:g} | {100 * np.mean(agree):.1f} | {each} |", flush=True)


def classifier(folder: Path):
    """From images in [0, 1] to classes, and its accuracy on the test images."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    from artifex.modalities.image.datasets.idx import Idx, IdxConfig

    dataset = Idx(IdxConfig(folder=folder))
    train, test = dataset.arrays("train"), dataset.arrays("test")
    made = make_pipeline(PCA(60, random_state=0), SVC(C=10.0, gamma="scale"))
    made.fit(flat(train["x"][:12_000] / 255), train["label"][:12_000])
    return made.predict, float(np.mean(made.predict(flat(test["x"][:5000] / 255)) == test["label"][:5000]))


def agreement(run: Path, classify, n: int, scale: float) -> np.ndarray:
    """Share of the samples of each class that are of it."""
    from flax import nnx

    from artifex.training.runs import load_run

    _, model, modality = load_run(run)
    condition = np.arange(n) % 10
    batches = np.split(condition, max(1, n // 250))
    rngs = nnx.Rngs(0)
    samples = [np.asarray(model.generate(len(c), condition=c, guidance_scale=scale, rngs=rngs)) for c in batches]
    right = classify(flat(modality.restore(np.concatenate(samples)))) == condition
    return np.array([right[condition == i].mean() for i in range(10)])


def flat(images: np.ndarray) -> np.ndarray:
    """A vector for each image."""
    return np.asarray(images, np.float32).reshape(len(images), -1)


if __name__ == "__main__":
    main()
