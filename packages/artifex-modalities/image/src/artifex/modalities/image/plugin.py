"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

from typing import Any

from artifex.core.plugins import ComponentEntry, DatasetEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.image"


def _dataset(name: str, module: str, cls: str, summary: str) -> DatasetEntry:
    home = f"{_HERE}.datasets.{module}"
    return DatasetEntry(name=name, dataset=f"{home}:{cls}", config=f"{home}:{cls}Config", modality="image", summary=summary)


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """The modality ``image``."""
    return [
        ModalityEntry(
            name="image",
            modality=f"{_HERE}.modality:ImageModality",
            config=f"{_HERE}.config:ImageModalityConfig",
            summary="Images (height, width, channels): resizing, augmentation, binarisation, scaling; samples as PNG grids.",
        )
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of images."""
    return [
        _dataset("digits", "digits", "Digits", "1797 handwritten digits of 8 x 8 pixels, shipped with scikit-learn."),
        _dataset(
            "coloured_digits",
            "coloured_digits",
            "ColouredDigits",
            "Digits, and digits inverted on coloured ground, for translation without pairs.",
        ),
        _dataset("idx", "idx", "Idx", "A folder of MNIST-format files, gzipped or not: MNIST, Fashion-MNIST, EMNIST."),
        _dataset("image_folder", "image_folder", "ImageFolder", "Image files in folders, one folder a split and a class."),
        _dataset("npz", "npz", "Npz", "Images in a NumPy .npz file."),
        _dataset("huggingface", "huggingface", "HuggingFace", "Images from the Hugging Face hub or a saved data set (extra)."),
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """Extractors of features of images."""
    kinds = {
        "image_random_convolutions": (
            "RandomConvolutions",
            "96 features of random filters; no weights are needed.",
        ),
        "inception": ("InceptionFeatures", "The 2048 features of FID's Inception V3; its weights are read from a file."),
        "inception_probabilities": ("InceptionProbabilities", "Class probabilities of FID's Inception V3."),
        "perceptual": ("PerceptualFeatures", "Layers of AlexNet or VGG-16, weighted as LPIPS or ST-LPIPS weighs them."),
    }
    home = f"{_HERE}.features.extractors"
    return [
        ComponentEntry(
            slot="feature_extractor", name=name, component=f"{home}:{cls}", config=f"{home}:{cls}Config", summary=summary
        )
        for name, (cls, summary) in kinds.items()
    ]


PAPERS = {
    "frechet:FRECHET_DISTANCE": "Heusel et al. 2017, arXiv:1706.08500",
    "kernel:kernel_distance": "Bińkowski et al. 2018, arXiv:1801.01401",
    "neighbours:precision": "Kynkäänniemi et al. 2019, arXiv:1904.06991",
    "neighbours:recall": "Kynkäänniemi et al. 2019, arXiv:1904.06991",
    "neighbours:density": "Naeem et al. 2020, arXiv:2002.09797",
    "neighbours:coverage": "Naeem et al. 2020, arXiv:2002.09797",
    "inception_score:INCEPTION_SCORE": "Salimans et al. 2016, arXiv:1606.03498",
    "perceptual:PERCEPTUAL_DISTANCE": "R. Zhang et al. 2018, arXiv:1801.03924",
}
"""Of each metric of features, by its target below ``metrics``."""
MOST_COMPARED = 5000
"""Examples of which each is compared with each."""


def _of_features(name: str, target: str, features: str, summary: str, **fields: Any) -> MetricEntry:
    """A metric of features of restored images: of two sets, where nothing else is said; the lower the better."""
    common = {"needs": ("samples", "references"), "higher_is_better": False, "compares": "sets", "min_examples": 2}
    return MetricEntry(
        name=name,
        metric=f"{_HERE}.metrics.{target}",
        modality="image",
        space="restored",
        features=features,
        summary=summary,
        paper=PAPERS[target],
        **{**common, **fields},
    )


def _over(features: str, prefix: str, what: str, n_features: int, known: tuple[str, str]) -> list[MetricEntry]:
    """Distances, precision and recall over one extractor's features; ``known`` says when they have a name of the literature."""
    full = {"min_examples": n_features + 1, "lowest": 0}
    near = {"higher_is_better": True, "tolerance": 0.01, "min_examples": 50, "max_examples": MOST_COMPARED, "lowest": 0}
    share = {**near, "highest": 1}
    named = (
        ("frechet_distance", "frechet:FRECHET_DISTANCE", f"Fréchet distance over {what}{known[0]}.", full),
        (
            "kernel_distance",
            "kernel:kernel_distance",
            f"Kernel distance (MMD², cubic) over {what}{known[1]}.",
            {"max_examples": MOST_COMPARED},
        ),
        ("precision", "neighbours:precision", f"Share of samples that lie among references, over {what}.", share),
        ("recall", "neighbours:recall", f"Share of references that lie among samples, over {what}.", share),
        ("density", "neighbours:density", f"How many neighbourhoods of references hold a sample, over {what}.", near),
        ("coverage", "neighbours:coverage", f"Share of references with a sample in their neighbourhood, over {what}.", share),
    )
    return [_of_features(f"{prefix}_{name}", target, features, summary, **fields) for name, target, summary, fields in named]


def _feature_metrics() -> list[MetricEntry]:
    """What is measured over features that need no weights, and over trained ones."""
    return [
        *_over("image_random_convolutions", "image", "random filters", 96, ("", "")),
        *_over("inception", "inception", "Inception V3", 2048, ("; FID with the standard weights", "; KID with them")),
        _of_features(
            "inception_class_score",
            "inception_score:INCEPTION_SCORE",
            "inception_probabilities",
            "Inception Score, where the weights are the standard ones.",
            higher_is_better=True,
            needs=("samples",),
            compares="samples",
            min_examples=100,
            lowest=1,
        ),
        _of_features(
            "perceptual_distance",
            "perceptual:PERCEPTUAL_DISTANCE",
            "perceptual",
            "LPIPS with the standard weights; ST-LPIPS with its own.",
            compares="pairs",
            min_examples=1,
            tolerance=0.005,
            lowest=0,
        ),
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Metrics that compare images with references."""
    needs = ("samples", "references")
    return [
        *_feature_metrics(),
        MetricEntry(
            name="psnr",
            metric=f"{_HERE}.metrics.pairs:psnr",
            needs=needs,
            higher_is_better=True,
            modality="image",
            space="restored",
            compares="pairs",
            unit="dB",
            tolerance=0.1,
            summary="Peak signal-to-noise ratio, decibels.",
        ),
        MetricEntry(
            name="ssim",
            metric=f"{_HERE}.metrics.pairs:ssim",
            needs=needs,
            higher_is_better=True,
            modality="image",
            space="restored",
            compares="pairs",
            min_extent=11,
            tolerance=0.005,
            lowest=-1,
            highest=1,
            summary="Structural similarity.",
            paper="Wang et al. 2004, doi:10.1109/TIP.2003.819861",
        ),
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """The suite ``coloured-digits``."""
    return [
        SuiteEntry(
            name="coloured-digits",
            file=f"{_HERE}:suites/coloured_digits.yaml",
            summary="Handwritten digits on coloured ground, 8 x 8.",
        )
    ]
