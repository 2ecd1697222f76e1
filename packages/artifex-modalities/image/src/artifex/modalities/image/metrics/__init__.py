"""How alike images are, one by one or as sets: pure functions, figures that stream, and those of the literature by name."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.image.metrics.frechet import FrechetDistance as FrechetDistance
    from artifex.modalities.image.metrics.inception_score import class_score as class_score
    from artifex.modalities.image.metrics.kernel import kernel_distance as kernel_distance
    from artifex.modalities.image.metrics.named import (
        LPIPS as LPIPS,
        Figure as Figure,
        FrechetInceptionDistance as FrechetInceptionDistance,
        InceptionScore as InceptionScore,
        KernelInceptionDistance as KernelInceptionDistance,
    )
    from artifex.modalities.image.metrics.neighbours import (
        coverage as coverage,
        density as density,
        precision as precision,
        recall as recall,
    )
    from artifex.modalities.image.metrics.pairs import psnr as psnr, ssim as ssim

_HOMES = {
    "frechet": ("FrechetDistance",),
    "inception_score": ("class_score",),
    "kernel": ("kernel_distance",),
    "named": ("Figure", "FrechetInceptionDistance", "InceptionScore", "KernelInceptionDistance", "LPIPS"),
    "neighbours": ("coverage", "density", "precision", "recall"),
    "pairs": ("psnr", "ssim"),
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {name: f"artifex.modalities.image.metrics.{module}" for module, names in _HOMES.items() for name in names},
)
