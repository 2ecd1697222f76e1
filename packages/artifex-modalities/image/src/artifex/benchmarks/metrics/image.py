"""Documented longer path of :mod:`artifex.modalities.image.metrics`."""

from artifex.modalities.image.metrics import psnr, ssim

__all__ = ["psnr", "ssim"]
