"""A model of signals as people meet it: it takes recordings as they are stored, and gives signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.core.errors import InvalidInputError, InvalidTypeError
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
    """Carries a model from stored signals, ``(B, T)`` or a list of ``(T_i,)``, to signals.

    Args:
        modality: the form of the signals that the models are given.

    >>> from artifex.modalities.audio import AudioModalityConfig
    >>> adapter = AudioModelAdapter(AudioModality(AudioModalityConfig(length=4, representation="mu_law")))
    >>> adapter.preprocess(np.array([[0, 16384, -32768, 32767]], np.int16))["x"].tolist()
    [[128, 239, 0, 255]]
    """

    takes = AudioModality
    adapted = AudioModel
    incomplete = "these signals are shorter than the modality's length; give some of full length"

    def stored(self, data: Any) -> Mapping[str, Any]:
        """Signals as a stored batch, with a mask where their lengths differ.

        Raises:
            InvalidTypeError: these are no signals.
            InvalidInputError: there is none, or one has several channels or dtypes differ.
        """
        if isinstance(data, Mapping) or hasattr(data, "ndim"):
            return super().stored(data)
        if isinstance(data, str) or not isinstance(data, Sequence):
            raise InvalidTypeError(f"signals are an array (batch, samples), or a list of arrays (samples,); got {data!r}")
        rows = [np.asarray(row) for row in data]
        if not rows or any(row.ndim != 1 or row.dtype.kind not in "if" for row in rows):
            shapes = ", ".join(f"{row.dtype} {row.shape}" for row in rows[:4])
            raise InvalidInputError(f"a list of signals has at least one, all numbers (samples,); got {shapes or 'none'}")
        lengths = np.array([len(row) for row in rows])
        x = np.zeros((len(rows), lengths.max()), np.result_type(*rows))
        for padded, row in zip(x, rows, strict=True):
            padded[: len(row)] = row
        mask = np.arange(x.shape[1]) < lengths[:, None]
        return {"x": x} if mask.all() else {"x": x, "mask": mask}

    def postprocess(self, outputs: Any) -> Float[np.ndarray, "B T"]:  # type: ignore[override]  # signals have one length
        """What a model gives in the place of ``x`` as signals on the host, clipped to [-1, 1].

        Raises:
            InvalidInputError: the shape is not that of an example of the modality.
        """
        return np.clip(np.asarray(self.modality.restore(outputs)), -1, 1)
