"""The metrics of :mod:`artifex.ebm.diagnostics` as sums over examples, which is how they are registered."""

from __future__ import annotations

import inspect
from typing import Any

from jaxtyping import Array, Float

from artifex.core.metrics import MeanOf

__all__ = ["energy_gap"]


def _gap(model: Any, samples: Array, references: Array, condition: Array | None = None) -> Float[Array, "B"]:
    """``E(sample) - E(reference)``, one of each; a sample is drawn under the condition of the reference beside it."""
    takes = condition is not None and "condition" in inspect.signature(model.energy).parameters
    given = {"condition": condition} if takes else {}
    return model.energy(samples, **given) - model.energy(references, **given)


energy_gap = MeanOf(_gap)
