"""The documented long path of :mod:`artifex.ar`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
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
        "load_huggingface": "artifex.ar.huggingface",
        "save_huggingface": "artifex.ar.huggingface",
    },
)
