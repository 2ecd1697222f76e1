"""Documented longer path of the protocols of modalities in :mod:`artifex.core.protocols`."""

from artifex.core.protocols import ModalityProtocol as Modality, ModelAdapter

__all__ = ["Modality", "ModelAdapter"]
