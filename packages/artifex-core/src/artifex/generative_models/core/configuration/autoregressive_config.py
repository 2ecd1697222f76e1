"""Documented longer path of the configs of artifex-ar; imported on first use."""

from artifex.generative_models.core.configuration import _family

__getattr__, __dir__ = _family.attach(__name__)
