"""Generative adversarial networks. Names are imported on first use."""

from artifex.core import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, {})
