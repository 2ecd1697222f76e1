"""Documented longer path of :mod:`artifex.modalities.image.metrics`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.image.metrics import (
        LPIPS as LPIPS,
        Figure as Figure,
        FrechetDistance as FrechetDistance,
        FrechetInceptionDistance as FrechetInceptionDistance,
        InceptionScore as InceptionScore,
        KernelInceptionDistance as KernelInceptionDistance,
        class_score as class_score,
        coverage as coverage,
        density as density,
        kernel_distance as kernel_distance,
        precision as precision,
        psnr as psnr,
        recall as recall,
        ssim as ssim,
    )

_NAMES = (
    "Figure",
    "FrechetDistance",
    "FrechetInceptionDistance",
    "InceptionScore",
    "KernelInceptionDistance",
    "LPIPS",
    "class_score",
    "coverage",
    "density",
    "kernel_distance",
    "precision",
    "psnr",
    "recall",
    "ssim",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.image.metrics"))
