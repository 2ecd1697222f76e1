"""A model of signals as people meet it: it takes recordings as they are stored, and gives signals."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.modalities.audio.modality import AudioModality

__all__ = ["AudioModel", "AudioModelAdapter"]


class AudioModel(AdaptedModel):
    """A model among signals: what takes an ``x`` takes stored signals, and what gives one gives signals in [-1, 1].

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from artifex.modalities.audio import AudioModalityConfig
    >>> class Hum(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.full((n_samples, 4), 2.0)
    >>> AudioModelAdapter(AudioModality(AudioModalityConfig(length=4))).adapt_model(Hum()).generate().tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """


class AudioModelAdapter(ModalityAdapter[AudioModality]):
    """Carries a model from stored signals, ``(B, T)``, to signals.

    Args:
        modality: the form of the signals that the models are given.

    >>> from artifex.modalities.audio import AudioModalityConfig
    >>> adapter = AudioModelAdapter(AudioModality(AudioModalityConfig(length=4, representation="mu_law")))
    >>> adapter.preprocess(np.array([[0, 16384, -32768, 32767]], np.int16))["x"].tolist()
    [[128, 239, 0, 255]]
    """

    takes = AudioModality
    adapted = AudioModel

    def postprocess(self, outputs: Any) -> Float[np.ndarray, "B T"]:  # type: ignore[override]  # signals have one length
        """What a model gives in the place of ``x`` as signals on the host, clipped to [-1, 1].

        Raises:
            InvalidInputError: the shape is not that of an example of the modality.
        """
        return np.clip(np.asarray(self.modality.restore(outputs)), -1, 1)
