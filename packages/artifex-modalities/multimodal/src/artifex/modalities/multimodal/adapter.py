"""A model of several kinds of data as people meet it: it takes stored parts, some of them or all, and gives objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.modalities.multimodal.modality import MultiModalModality

__all__ = ["MultiModalModel", "MultiModalModelAdapter"]


class MultiModalModel(AdaptedModel):
    """A model among parts: words, pictures, waveforms.

    A model whose methods take a ``mask`` may be given some parts alone: ``model.reconstruct({"image": images})`` gives all.
    """

    def _reconstruct(self, data: Mapping[str, Any], **given: Any) -> list[dict[str, Any]]:
        x, mask = self._given(self.adapter.preprocess(data), self.model.reconstruct)
        return self.adapter.postprocess(self.model.reconstruct(x, **mask, **given))  # missing parts are shown, too


class MultiModalModelAdapter(ModalityAdapter[MultiModalModality]):
    """Carries a model from stored parts, under their names or their keys, to examples as dicts of their parts.

    A part that is left out is missing in every example.

    Args:
        modality: the kinds of data that the models are given.
    """

    takes = MultiModalModality
    adapted = MultiModalModel
    incomplete = "some parts are missing; give them all"

    def stored(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Parts under their keys."""
        keys = {part.part: part.key for part in self.modality.config.parts}
        return {keys.get(name, name): value for name, value in data.items()}
