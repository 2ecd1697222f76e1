"""A model of rows as people meet it: it takes tables, and gives tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.modalities.tabular.modality import TabularModality

__all__ = ["TabularModel", "TabularModelAdapter"]


class TabularModel(AdaptedModel):
    """A model among tables: what takes an ``x`` takes a table, and what gives one gives a table.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> class Same(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.zeros((n_samples, 1))
    >>> modality = TabularModality.fit(pd.DataFrame({"age": [20, 30, 40]}))
    >>> TabularModelAdapter(modality).adapt_model(Same()).generate(2)["age"].tolist()
    [30, 30]
    """


class TabularModelAdapter(ModalityAdapter[TabularModality]):
    """Carries a model from tables to tables.

    Args:
        modality: which has learnt the table.

    >>> table = pd.DataFrame({"age": [20, 30, 40], "town": ["Bern", "Chur", "Bern"]})
    >>> adapter = TabularModelAdapter(TabularModality.fit(table))
    >>> adapter.postprocess(adapter.preprocess(table)["x"]).equals(table)
    True
    """

    takes = TabularModality
    adapted = TabularModel

    def stored(self, data: Any) -> Mapping[str, Any]:
        """A table, or stored rows ``(N, C)``, as a stored batch.

        Raises:
            DataError: the table lacks a column, or holds what no training row has.
        """
        return super().stored(self.modality.encode(data) if isinstance(data, pd.DataFrame) else data)

    def postprocess(self, outputs: Any) -> pd.DataFrame:  # type: ignore[override]  # rows are whole
        """Rows in model space, ``(N, D)``, as a table with the columns and dtypes that were learnt."""
        return self.modality.to_frame(outputs)
