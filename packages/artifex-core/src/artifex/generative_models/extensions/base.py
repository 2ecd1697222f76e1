"""Documented longer path of :mod:`artifex.core.extensions`."""

from artifex.core.extensions import ExtensionConfig, ModelExtension

__all__ = ["ExtensionConfig", "ModelExtension"]
