"""The documented long path of :mod:`artifex.modalities.image`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.image import (
        constraints as constraints,
        datasets as datasets,
        features as features,
        metrics as metrics,
        transforms as transforms,
    )
    from artifex.modalities.image.adapter import ImageModel as ImageModel, ImageModelAdapter as ImageModelAdapter
    from artifex.modalities.image.config import (
        ImageAugmentConfig as ImageAugmentConfig,
        ImageModalityConfig as ImageModalityConfig,
        ImageStandardizeConfig as ImageStandardizeConfig,
    )
    from artifex.modalities.image.grid import image_grid as image_grid, save_image as save_image
    from artifex.modalities.image.metrics import (
        LPIPS as LPIPS,
        Figure as Figure,
        FrechetInceptionDistance as FrechetInceptionDistance,
        InceptionScore as InceptionScore,
        KernelInceptionDistance as KernelInceptionDistance,
        psnr as psnr,
        ssim as ssim,
    )
    from artifex.modalities.image.modality import ImageModality as ImageModality

_NAMES = (
    "Figure",
    "FrechetInceptionDistance",
    "InceptionScore",
    "KernelInceptionDistance",
    "LPIPS",
    "ImageAugmentConfig",
    "ImageModality",
    "ImageModel",
    "ImageModelAdapter",
    "ImageModalityConfig",
    "ImageStandardizeConfig",
    "constraints",
    "datasets",
    "features",
    "image_grid",
    "metrics",
    "psnr",
    "save_image",
    "ssim",
    "transforms",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.image"))
