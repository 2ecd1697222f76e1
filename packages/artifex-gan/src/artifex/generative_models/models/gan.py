"""The documented long path of :mod:`artifex.gan`: the same objects."""

from artifex.core import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, {})
