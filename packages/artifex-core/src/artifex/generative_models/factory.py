"""Documented longer path of :mod:`artifex.core.factory`."""

from artifex.core.factory import create_model, model_class

__all__ = ["create_model", "model_class"]
