"""A model of signals as people meet it: it takes recordings as they are stored, and gives signals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from artifex.core import protocols
from artifex.core.errors import InvalidTypeError
from artifex.modalities.audio.modality import AudioModality

__all__ = ["AudioModel", "AudioModelAdapter"]


class AudioModelAdapter:
    """Carries a model from stored signals to signals; follows :class:`artifex.core.protocols.ModelAdapter`.

    Args:
        modality: the form of the signals that the models are given.

    >>> from artifex.modalities.audio import AudioModalityConfig
    >>> adapter = AudioModelAdapter(AudioModality(AudioModalityConfig(length=4, representation="mu_law")))
    >>> adapter.preprocess(np.array([[0, 16384, -32768, 32767]], np.int16))["x"].tolist()
    [[128, 239, 0, 255]]
    """

    def __init__(self, modality: AudioModality) -> None:
        if not isinstance(modality, AudioModality):
            raise InvalidTypeError(f"AudioModelAdapter takes an AudioModality, got {type(modality).__name__}: {modality!r}")
        self.modality = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> AudioModel:
        """``model`` among signals; it is the same model, not a copy."""
        return AudioModel(model, self)

    def preprocess(self, data: Num[Array | np.ndarray, "B T"] | Mapping[str, Any]) -> dict[str, Array]:
        """Stored signals, or a stored batch with its other keys, as a model's batch.

        Raises:
            InvalidInputError: shape or dtype do not fit.
        """
        return self.modality.prepare(data if isinstance(data, Mapping) else {"x": data}, train=False)

    def postprocess(self, outputs: Num[Array, "B ..."]) -> Float[np.ndarray, "B T"]:
        """What a model gives in the place of ``x`` as signals on the host, clipped to [-1, 1].

        Raises:
            InvalidInputError: the shape is not that of an example of the modality.
        """
        return np.clip(np.asarray(self.modality.restore(outputs)), -1, 1)


class AudioModel:
    """A model among signals: what takes an ``x`` takes stored signals, and what gives one gives signals in [-1, 1].

    It has those of the methods :meth:`reconstruct`, :meth:`interpolate`, :meth:`encode`, :meth:`decode` and :meth:`log_prob`
    that the model has; what else they are given is handed on.

    >>> import jax.numpy as jnp
    >>> from artifex.modalities.audio import AudioModalityConfig
    >>> class Hum(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.full((n_samples, 4), 2.0)
    >>> AudioModelAdapter(AudioModality(AudioModalityConfig(length=4))).adapt_model(Hum()).generate().tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: AudioModelAdapter) -> None:
        if not isinstance(model, protocols.GenerativeModelProtocol):
            raise InvalidTypeError(
                f"adapt_model takes a model with __call__ and generate, got {type(model).__name__}: {model!r}"
            )
        self.model: Any = model
        self.adapter = adapter
        capabilities = {
            "decode": (protocols.Decodes, self._decode),
            "encode": (protocols.Encodes, self._encode),
            "interpolate": (protocols.Interpolates, self._interpolate),
            "log_prob": (protocols.HasLogProb, self._log_prob),
            "reconstruct": (protocols.Reconstructs, self._reconstruct),
        }
        for name, (protocol, method) in capabilities.items():
            if isinstance(model, protocol):
                setattr(self, name, method)

    def __call__(self, signals: Any, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, Array]:
        """The model's own outputs for stored signals."""
        return self.model(self._x(signals), rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> np.ndarray:
        """``n_samples`` new signals."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _x(self, signals: Any) -> Array:
        return self.adapter.preprocess({"x": signals})["x"]

    def _decode(self, z: Any, **given: Any) -> np.ndarray:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, signals: Any, **given: Any) -> Any:
        return self.model.encode(self._x(signals), **given)

    def _interpolate(self, signals0: Any, signals1: Any, n_steps: int, **given: Any) -> np.ndarray:
        between = self.model.interpolate(self._x(signals0), self._x(signals1), n_steps, **given)
        return np.stack([self.adapter.postprocess(steps) for steps in between])

    def _log_prob(self, signals: Any, **given: Any) -> Array:
        return self.model.log_prob(self._x(signals), **given)

    def _reconstruct(self, signals: Any, **given: Any) -> np.ndarray:
        return self.adapter.postprocess(self.model.reconstruct(self._x(signals), **given))
