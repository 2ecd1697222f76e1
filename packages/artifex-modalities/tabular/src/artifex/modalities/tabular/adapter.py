"""A model of rows as people meet it: it takes tables, and gives tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import nnx
from jaxtyping import Array

from artifex.core import protocols
from artifex.core.errors import InvalidTypeError
from artifex.modalities.tabular.modality import TabularModality

__all__ = ["TabularModel", "TabularModelAdapter"]


class TabularModelAdapter:
    """Carries a model from tables to tables; follows :class:`artifex.core.protocols.ModelAdapter`.

    Args:
        modality: which has learnt the table.

    >>> table = pd.DataFrame({"age": [20, 30, 40], "town": ["Bern", "Chur", "Bern"]})
    >>> adapter = TabularModelAdapter(TabularModality.fit(table))
    >>> adapter.postprocess(adapter.preprocess(table)["x"]).equals(table)
    True
    """

    def __init__(self, modality: TabularModality) -> None:
        if not isinstance(modality, TabularModality):
            raise InvalidTypeError(f"TabularModelAdapter takes a TabularModality, got {type(modality).__name__}: {modality!r}")
        self.modality = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> TabularModel:
        """``model`` among tables; it is the same model, not a copy."""
        return TabularModel(model, self)

    def preprocess(self, data: pd.DataFrame | np.ndarray | Mapping[str, Any]) -> dict[str, Array]:
        """A table, stored rows ``(N, C)``, or a stored batch with its other keys, as a model's batch.

        Raises:
            DataError: the table lacks a column, or holds what no training row has.
            InvalidInputError: stored rows have another width; or noise is drawn and the modality has no streams of its own.
        """
        batch = {"x": self.modality.encode(data)} if isinstance(data, pd.DataFrame) else data
        return self.modality.prepare(batch if isinstance(batch, Mapping) else {"x": batch}, train=False)

    def postprocess(self, outputs: Any) -> pd.DataFrame:
        """Rows in model space, ``(N, D)``, as a table with the columns and dtypes that were learnt."""
        return self.modality.to_frame(outputs)


class TabularModel:
    """A model among tables: what takes an ``x`` takes a table, and what gives one gives a table.

    It has those of the methods :meth:`reconstruct`, :meth:`encode`, :meth:`decode` and :meth:`log_prob` that the model has;
    what else they are given is handed on.

    >>> class Same(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.zeros((n_samples, 1))
    >>> modality = TabularModality.fit(pd.DataFrame({"age": [20, 30, 40]}))
    >>> TabularModelAdapter(modality).adapt_model(Same()).generate(2)["age"].tolist()
    [30, 30]
    """

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: TabularModelAdapter) -> None:
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

    def __call__(self, table: Any, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, Array]:
        """The model's own outputs for a table."""
        return self.model(self._x(table), rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> pd.DataFrame:
        """A table of ``n_samples`` new rows."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _x(self, table: Any) -> Array:
        return jnp.asarray(self.adapter.preprocess(table)["x"])

    def _decode(self, z: Any, **given: Any) -> pd.DataFrame:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, table: Any, **given: Any) -> Any:
        return self.model.encode(self._x(table), **given)

    def _log_prob(self, table: Any, **given: Any) -> Array:
        return self.model.log_prob(self._x(table), **given)

    def _reconstruct(self, table: Any, **given: Any) -> pd.DataFrame:
        return self.adapter.postprocess(self.model.reconstruct(self._x(table), **given))
