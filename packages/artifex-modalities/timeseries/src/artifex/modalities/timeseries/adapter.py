"""A model of series as people meet it: it takes series, and gives series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from artifex.core import protocols
from artifex.core.errors import InvalidTypeError
from artifex.modalities.timeseries.modality import TimeseriesModality
from artifex.modalities.timeseries.series import lengths_of, padded

__all__ = ["TimeseriesModel", "TimeseriesModelAdapter"]


class TimeseriesModelAdapter:
    """Carries a model from series to series; follows :class:`artifex.core.protocols.ModelAdapter`.

    Args:
        modality: which has learnt the series.

    >>> series = [np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])]
    >>> adapter = TimeseriesModelAdapter(TimeseriesModality.fit(series))
    >>> batch = adapter.preprocess(series)
    >>> [one[:, 0].round(4).tolist() for one in adapter.postprocess(batch["x"], batch["mask"])]
    [[1.0, 2.0, 3.0], [4.0, 5.0]]
    """

    def __init__(self, modality: TimeseriesModality) -> None:
        if not isinstance(modality, TimeseriesModality):
            raise InvalidTypeError(
                f"TimeseriesModelAdapter takes a TimeseriesModality, got {type(modality).__name__}: {modality!r}"
            )
        self.modality = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> TimeseriesModel:
        """``model`` among series; it is the same model, not a copy."""
        return TimeseriesModel(model, self)

    def preprocess(self, data: Any) -> dict[str, Array]:
        """Series, ``(N, L, C)`` or a list of ``(L_i, C)``, or a stored batch with its other keys, as a model's batch.

        Raises:
            InvalidInputError: the series do not fit the modality.
        """
        if isinstance(data, Mapping):
            return self.modality.prepare(data, train=False)
        x = padded(data)
        lengths = lengths_of(x)
        batch: dict[str, Any] = {"x": x.astype(np.float32)}
        if (lengths < x.shape[1]).any():
            batch["mask"] = np.arange(x.shape[1]) < lengths[:, None]
        return self.modality.prepare(batch, train=False)

    def postprocess(self, outputs: Any, mask: Any = None) -> list[np.ndarray | None]:
        """Series in model space as a list of arrays ``(L_i, C)`` in the data's own units; None for what is not finite."""
        return self.modality.to_host(np.asarray(outputs), None if mask is None else np.asarray(mask))


class TimeseriesModel:
    """A model among series: what takes an ``x`` takes series, and what gives one gives a list of series.

    It has those of the methods :meth:`reconstruct`, :meth:`encode`, :meth:`decode` and :meth:`log_prob` that the model has;
    what else they are given is handed on.

    >>> class Flat(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.zeros((n_samples, 3, 1))
    >>> modality = TimeseriesModality.fit(np.array([[1.0, 2.0, 3.0]]))
    >>> TimeseriesModelAdapter(modality).adapt_model(Flat()).generate(1)[0][:, 0].tolist()
    [2.0, 2.0, 2.0]
    """

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: TimeseriesModelAdapter) -> None:
        if not isinstance(model, protocols.GenerativeModelProtocol):
            raise InvalidTypeError(
                f"adapt_model takes a model with __call__ and generate, got {type(model).__name__}: {model!r}"
            )
        self.model: Any = model
        self.adapter = adapter
        capabilities = {
            "decode": (protocols.Decodes, self._decode),
            "encode": (protocols.Encodes, self._encode),
            "log_prob": (protocols.HasLogProb, self._log_prob),
            "reconstruct": (protocols.Reconstructs, self._reconstruct),
        }
        for name, (protocol, method) in capabilities.items():
            if isinstance(model, protocol):
                setattr(self, name, method)

    def __call__(self, series: Any, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, Array]:
        """The model's own outputs for series."""
        return self.model(self._x(series), rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> list[np.ndarray | None]:
        """``n_samples`` new series."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _x(self, series: Any) -> Array:
        return jnp.asarray(self.adapter.preprocess(series)["x"])

    def _decode(self, z: Any, **given: Any) -> list[np.ndarray | None]:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, series: Any, **given: Any) -> Any:
        return self.model.encode(self._x(series), **given)

    def _log_prob(self, series: Any, **given: Any) -> Array:
        return self.model.log_prob(self._x(series), **given)

    def _reconstruct(self, series: Any, **given: Any) -> list[np.ndarray | None]:
        return self.adapter.postprocess(self.model.reconstruct(self._x(series), **given))
