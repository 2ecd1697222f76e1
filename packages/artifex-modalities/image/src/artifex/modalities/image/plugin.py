"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

from artifex.core.plugins import DatasetEntry, MetricEntry, ModalityEntry, hookimpl

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
def artifex_metrics() -> list[MetricEntry]:
    """Metrics that compare images with references."""
    needs = ("samples", "references")
    return [
        MetricEntry(
            name="psnr",
            metric=f"{_HERE}.metrics:psnr",
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
            metric=f"{_HERE}.metrics:ssim",
            needs=needs,
            higher_is_better=True,
            modality="image",
            space="restored",
            compares="pairs",
            min_extent=11,
            tolerance=0.005,
            summary="Structural similarity.",
            paper="Wang et al. 2004, doi:10.1109/TIP.2003.819861",
        ),
    ]
