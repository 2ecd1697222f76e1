"""Autoregressive models. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.ar import decoding as decoding, losses as losses
    from artifex.ar.huggingface import load_huggingface as load_huggingface, save_huggingface as save_huggingface
    from artifex.ar.pixel_cnn import PixelCNN as PixelCNN, PixelCNNConfig as PixelCNNConfig
    from artifex.ar.transformer import TransformerAR as TransformerAR, TransformerARConfig as TransformerARConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "PixelCNN": "artifex.ar.pixel_cnn",
        "PixelCNNConfig": "artifex.ar.pixel_cnn",
        "TransformerAR": "artifex.ar.transformer",
        "TransformerARConfig": "artifex.ar.transformer",
        "decoding": "artifex.ar.decoding",
        "load_huggingface": "artifex.ar.huggingface",
        "losses": "artifex.ar.losses",
        "save_huggingface": "artifex.ar.huggingface",
    },
)
