"""How far a generator of Fashion-MNIST is from the data: a Fréchet distance, and the classes that a classifier finds.

    artifex train dcgan-fashion-mnist --output runs/dcgan
    artifex train wgan-fashion-mnist --output runs/wgan
    python benchmarks/gan_fashion_mnist.py runs/dcgan runs/wgan [--n 5000]

Needs `artifex-gan`, `artifex-training`, `artifex-modalities-image`, `scikit-learn`, and Debian's `dataset-fashion-mnist`.
About two minutes on two cores.

Everything is measured on 60 principal components of training images in [0, 1]. The distance is Fréchet's between Gaussians that
have the means and covariances of samples and of test images. The classes are those that a support vector machine, trained on
12 000 training images, finds among samples: their shares, and how far these are from equal (Kullback-Leibler divergence, nats;
log 10 where all samples are of one class). Spread is that of `artifex.gan.metrics.relative_spread`, beside the test images.
In the first row training images that the machine has not seen stand in for samples.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
N_TRAIN = 12_000


def main() -> None:
    """Print a row for the data and one for each run."""
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC

    from artifex.modalities.image.datasets.idx import Idx, IdxConfig

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--n", type=int, default=5000, help="samples of each")
    parser.add_argument("--folder", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    arguments = parser.parse_args()
    dataset = Idx(IdxConfig(folder=arguments.folder))
    train, test = dataset.arrays("train"), dataset.arrays("test")
    learnt = flat(train["x"][:N_TRAIN] / 255)
    components = PCA(60, random_state=0).fit(learnt)
    judge = SVC(C=10.0, gamma="scale").fit(components.transform(learnt), train["label"][:N_TRAIN])
    references = components.transform(flat(test["x"] / 255))
    print(f"classifier: {100 * judge.score(references[:5000], test['label'][:5000]):.1f} % of test images\n")
    print(f"| run | Fréchet distance | spread | classes, KL | {' | '.join(NAMES)} |\n{'|---' * 14}|", flush=True)
    unseen = flat(train["x"][N_TRAIN : N_TRAIN + arguments.n] / 255)
    for run in (None, *arguments.runs):
        made = components.transform(unseen if run is None else drawn(run, arguments.n))
        print(row("data" if run is None else run.name, made, references, judge.predict(made)), flush=True)


def row(name: str, made: np.ndarray, references: np.ndarray, classes: np.ndarray) -> str:
    """One line of the table."""
    from artifex.gan.metrics import relative_spread

    shares = np.bincount(classes, minlength=10) / len(classes)
    divergence = sum(p * np.log(10 * p) for p in shares if p)
    shown = " | ".join(f"{100 * share:.1f} %" for share in shares)
    distance, spread = frechet(made, references), float(relative_spread(made, references))
    return f"| {name} | {distance:.2f} | {spread:.2f} | {divergence:.3f} | {shown} |"


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    r""":math:`|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^{1/2})` (Dowson & Landau 1982, doi:10.1016/0047-259X(82)90077-X)."""
    covariances = [np.cov(x.astype(np.float64), rowvar=False) for x in (a, b)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)
    gap = a.mean(0, dtype=np.float64) - b.mean(0, dtype=np.float64)
    return float(gap @ gap + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.sqrt(cross).sum())


def drawn(run: Path, n: int) -> np.ndarray:
    """Samples in [0, 1], flat."""
    from flax import nnx

    from artifex.training.runs import load_run

    _, model, modality = load_run(run)
    rngs = nnx.Rngs(0)
    parts = [np.asarray(modality.restore(model.generate(500, rngs=rngs))) for _ in range(-(-n // 500))]
    return flat(np.concatenate(parts)[:n])


def flat(images: np.ndarray) -> np.ndarray:
    """A vector for each image."""
    return np.asarray(images, np.float32).reshape(len(images), -1)


if __name__ == "__main__":
    main()
