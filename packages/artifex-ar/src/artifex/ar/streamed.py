"""Bits per element of :mod:`artifex.ar.metrics` as sums over examples, which is how it is registered.

Perplexity, 2 to their number of each token, is registered with the texts that it is a figure of (artifex-modalities-text).

Shapes: ``B = examples, S = statistics``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

__all__ = ["BitsPerElement", "bits_per_element"]


class _PerElement:
    """``-sum log p(x) / elements``, with as many elements as there are, padding left out."""

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B S"]:
        """Nats and elements."""
        x, mask = np.asarray(batch["references"]), batch.get("mask")
        log_prob = np.asarray(batch["log_prob"], np.float64)
        if mask is None:
            elements = np.full(len(x), math.prod(x.shape[1:]), np.float64)
        else:
            places = np.asarray(mask, np.float64).reshape(len(x), -1).sum(axis=1)
            elements = places * math.prod(x.shape[np.ndim(mask) :])
        return np.stack([-log_prob, elements], axis=1)


class BitsPerElement(_PerElement):
    """Bits of an element; of a byte, where tokens are bytes."""

    def finalize(self, total: Any) -> Any:
        return total[..., 0] / total[..., 1] / math.log(2)


bits_per_element = BitsPerElement()
