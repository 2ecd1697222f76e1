"""Documented longer path of the protocols of models in :mod:`artifex.core.protocols`."""

from artifex.core.protocols import AdversarialModelProtocol, GenerativeModelProtocol, TrainableGenerativeModelProtocol

__all__ = ["AdversarialModelProtocol", "GenerativeModelProtocol", "TrainableGenerativeModelProtocol"]
