"""The metrics of :mod:`artifex.flow.metrics` batch by batch, which is how they are registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.metrics import MeanOf
from artifex.flow.metrics import inversion_error as worst_round_trip

__all__ = ["InversionError", "inversion_error", "negative_log_likelihood"]


def _minus(log_prob: Float[Array, "B"]) -> Float[Array, "B"]:
    return -jnp.asarray(log_prob)


class InversionError:
    """The worst round trip of all batches: the greatest of their worst ones."""

    def state(self, batch: Mapping[str, Any]) -> np.ndarray:
        """Of one batch."""
        given = {"condition": batch["condition"]} if "condition" in batch else {}
        return np.asarray(_round_trip(batch["model"], batch["references"], given), np.float64)

    def merge(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.maximum(one, other)

    def finalize(self, state: np.ndarray) -> float:
        return float(state)


@nnx.jit
def _round_trip(model: Any, references: Array, given: dict[str, Array]) -> Array:
    return worst_round_trip(model, references, **given)


negative_log_likelihood = MeanOf(_minus)
inversion_error = InversionError()
