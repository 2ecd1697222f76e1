"""Documented longer path of what :mod:`artifex.core.plugins` registers models with."""

from artifex.core.plugins import register_model, registry

__all__ = ["register_model", "registry"]
