"""A model of series as people meet it: it takes series, and gives series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.modalities.timeseries.modality import TimeseriesModality
from artifex.modalities.timeseries.series import lengths_of, padded

__all__ = ["TimeseriesModel", "TimeseriesModelAdapter"]


class TimeseriesModel(AdaptedModel):
    """A model among series: what takes an ``x`` takes series, and what gives one gives a list of series ``(L_i, C)``.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> class Flat(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.zeros((n_samples, 3, 1))
    >>> modality = TimeseriesModality.fit(np.array([[1.0, 2.0, 3.0]]))
    >>> TimeseriesModelAdapter(modality).adapt_model(Flat()).generate(1)[0][:, 0].tolist()
    [2.0, 2.0, 2.0]
    """


class TimeseriesModelAdapter(ModalityAdapter[TimeseriesModality]):
    """Carries a model from series to series, ``None`` in the place of what is not finite.

    Args:
        modality: which has learnt the series.

    >>> series = [np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])]
    >>> adapter = TimeseriesModelAdapter(TimeseriesModality.fit(series))
    >>> batch = adapter.preprocess(series)
    >>> [one[:, 0].round(4).tolist() for one in adapter.postprocess(batch["x"], batch["mask"])]
    [[1.0, 2.0, 3.0], [4.0, 5.0]]
    """

    takes = TimeseriesModality
    adapted = TimeseriesModel
    incomplete = "these series are of unequal length; give some of equal length"

    def stored(self, data: Any) -> Mapping[str, Any]:
        """Series, ``(N, L, C)`` or a list of ``(L_i, C)``, as a stored batch, with a mask where lengths differ."""
        if isinstance(data, Mapping):
            return data
        x = padded(data)
        lengths = lengths_of(x)
        batch: dict[str, Any] = {"x": x.astype(np.float32)}
        if (lengths < x.shape[1]).any():
            batch["mask"] = np.arange(x.shape[1]) < lengths[:, None]
        return batch
