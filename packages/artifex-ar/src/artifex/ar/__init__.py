"""Autoregressive models. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.ar.pixel_cnn import PixelCNN as PixelCNN, PixelCNNConfig as PixelCNNConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "PixelCNN": "artifex.ar.pixel_cnn",
        "PixelCNNConfig": "artifex.ar.pixel_cnn",
    },
)
