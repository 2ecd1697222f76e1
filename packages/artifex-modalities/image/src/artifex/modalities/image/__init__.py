"""Images: how they reach a model, data sets of them, and how alike two of them are. Names are imported on first use."""

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

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Figure": "artifex.modalities.image.metrics",
        "FrechetInceptionDistance": "artifex.modalities.image.metrics",
        "InceptionScore": "artifex.modalities.image.metrics",
        "KernelInceptionDistance": "artifex.modalities.image.metrics",
        "LPIPS": "artifex.modalities.image.metrics",
        "ImageAugmentConfig": "artifex.modalities.image.config",
        "ImageModality": "artifex.modalities.image.modality",
        "ImageModalityConfig": "artifex.modalities.image.config",
        "ImageModel": "artifex.modalities.image.adapter",
        "ImageModelAdapter": "artifex.modalities.image.adapter",
        "ImageStandardizeConfig": "artifex.modalities.image.config",
        "constraints": "artifex.modalities.image.constraints",
        "features": "artifex.modalities.image.features",
        "datasets": "artifex.modalities.image.datasets",
        "image_grid": "artifex.modalities.image.grid",
        "metrics": "artifex.modalities.image.metrics",
        "psnr": "artifex.modalities.image.metrics",
        "save_image": "artifex.modalities.image.grid",
        "ssim": "artifex.modalities.image.metrics",
        "transforms": "artifex.modalities.image.transforms",
    },
)
