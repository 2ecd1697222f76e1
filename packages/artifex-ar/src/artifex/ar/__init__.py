"""Autoregressive models. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.ar import decoding as decoding, likelihoods as likelihoods, losses as losses, metrics as metrics
    from artifex.ar.huggingface import load_huggingface as load_huggingface, save_huggingface as save_huggingface
    from artifex.ar.pixel_cnn import PixelCNN as PixelCNN, PixelCNNConfig as PixelCNNConfig
    from artifex.ar.pixel_cnn_pp import PixelCNNPP as PixelCNNPP, PixelCNNPPConfig as PixelCNNPPConfig
    from artifex.ar.transformer import TransformerAR as TransformerAR, TransformerARConfig as TransformerARConfig
    from artifex.ar.wavenet import WaveNet as WaveNet, WaveNetConfig as WaveNetConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "PixelCNN": "artifex.ar.pixel_cnn",
        "PixelCNNConfig": "artifex.ar.pixel_cnn",
        "PixelCNNPP": "artifex.ar.pixel_cnn_pp",
        "PixelCNNPPConfig": "artifex.ar.pixel_cnn_pp",
        "TransformerAR": "artifex.ar.transformer",
        "TransformerARConfig": "artifex.ar.transformer",
        "WaveNet": "artifex.ar.wavenet",
        "WaveNetConfig": "artifex.ar.wavenet",
        "decoding": "artifex.ar.decoding",
        "likelihoods": "artifex.ar.likelihoods",
        "load_huggingface": "artifex.ar.huggingface",
        "losses": "artifex.ar.losses",
        "metrics": "artifex.ar.metrics",
        "save_huggingface": "artifex.ar.huggingface",
    },
)
