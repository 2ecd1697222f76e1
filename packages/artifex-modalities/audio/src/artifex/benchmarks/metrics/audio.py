"""Documented longer path of :mod:`artifex.modalities.audio.metrics`: the same objects."""

from artifex.core import _lazy
from artifex.modalities.audio import metrics

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(metrics.__all__, "artifex.modalities.audio.metrics"))
