"""A model of several kinds of data as people meet it: it takes stored parts, some of them or all, and gives objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from artifex.core import protocols
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.multimodal.modality import MultiModalModality

__all__ = ["MultiModalModel", "MultiModalModelAdapter"]


class MultiModalModelAdapter:
    """Carries a model from stored parts to objects and back; follows :class:`artifex.core.protocols.ModelAdapter`.

    Args:
        modality: the kinds of data that the models are given.
    """

    def __init__(self, modality: MultiModalModality) -> None:
        if not isinstance(modality, MultiModalModality):
            raise InvalidTypeError(f"MultiModalModelAdapter takes a MultiModalModality, got {type(modality).__name__}")
        self.modality = modality

    def adapt_model(self, model: Any) -> MultiModalModel:
        """``model`` among parts; it is the same model, not a copy."""
        return MultiModalModel(model, self)

    def preprocess(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Stored parts, under their names or their keys, as a model's batch. What is left out is missing in every example.

        Raises:
            InvalidInputError: none is given, or one is not what its modality takes.
        """
        keys = {part.part: part.key for part in self.modality.config.parts}
        renamed = {keys.get(name, name): value for name, value in data.items()}
        return self.modality.prepare(renamed, train=False)

    def postprocess(self, outputs: Float[Array, "B D"], mask: Any = None) -> list[dict[str, Any]]:
        """Examples as dicts of their parts: words, pictures, waveforms."""
        return self.modality.to_host(np.asarray(outputs), mask)


class MultiModalModel:
    """A model among parts; of the methods :meth:`encode`, :meth:`decode` and :meth:`reconstruct` it has those of the model.

    A model whose methods take a ``mask`` may be given some parts alone: ``model.reconstruct({"image": images})`` gives all.
    """

    def __init__(self, model: Any, adapter: MultiModalModelAdapter) -> None:
        if not isinstance(model, protocols.GenerativeModelProtocol):
            raise InvalidTypeError(f"adapt_model takes a model with __call__ and generate, got {type(model).__name__}")
        self.model: Any = model
        self.adapter = adapter
        capabilities = {
            "decode": (protocols.Decodes, self._decode),
            "encode": (protocols.Encodes, self._encode),
            "reconstruct": (protocols.Reconstructs, self._reconstruct),
        }
        for name, (protocol, method) in capabilities.items():
            if isinstance(model, protocol):
                setattr(self, name, method)

    def __call__(self, data: Mapping[str, Any], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """The model's own outputs for stored parts."""
        x, given = self._given(data, self.model.__call__)
        return self.model(x, rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> list[dict[str, Any]]:
        """``n_samples`` new examples."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _given(self, data: Mapping[str, Any], method: Any) -> tuple[Array, dict[str, Any]]:
        """``x``, and the mask where the method takes one."""
        batch = self.adapter.preprocess(data)
        if "mask" in inspect.signature(method).parameters:
            return batch["x"], {"mask": batch["mask"]}
        if not bool(jnp.all(batch["mask"])):
            raise InvalidInputError(f"{type(self.model).__name__} takes no mask, and some parts are missing; give them all")
        return batch["x"], {}

    def _decode(self, z: Any) -> list[dict[str, Any]]:
        return self.adapter.postprocess(self.model.decode(z))

    def _encode(self, data: Mapping[str, Any]) -> Any:
        x, given = self._given(data, self.model.encode)
        return self.model.encode(x, **given)

    def _reconstruct(self, data: Mapping[str, Any]) -> list[dict[str, Any]]:
        x, given = self._given(data, self.model.reconstruct)
        return self.adapter.postprocess(self.model.reconstruct(x, **given))
