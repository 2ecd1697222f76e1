"""Documented longer path of :mod:`artifex.core.protocols`."""

from artifex.core.protocols import *  # noqa: F403 # pyright: ignore[reportWildcardImportFromLibrary]
from artifex.core.protocols import __all__ as __all__
