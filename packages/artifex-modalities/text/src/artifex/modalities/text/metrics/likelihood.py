r"""How well a model predicts texts: perplexity of its tokens, and the bits that coding a byte costs.

.. math:: \exp\Big(-\frac{\sum_i \log p(x_i)}{\sum_i T_i}\Big), \qquad -\frac{\sum_i \log_2 p(x_i)}{\sum_i \text{bytes}_i}

Sums over all texts are divided once, so that neither batches nor padding change the figure. Perplexities of different
tokenisers are not comparable; bits per byte are.

Shapes: ``B = examples, L = tokens``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError

__all__ = ["BITS_PER_BYTE", "PERPLEXITY", "BitsPerByte", "Perplexity"]


class Perplexity:
    """Among how many equally likely tokens a model is as unsure; a :class:`artifex.core.metrics.StreamedMetric`.

    >>> metric = Perplexity()
    >>> mask = np.array([[True, True, False]])
    >>> batch = {"log_prob": np.array([-2 * math.log(5)]), "references": np.zeros((1, 3), int), "mask": mask}
    >>> round(float(metric.finalize(metric.statistics(batch).sum(0))), 4)
    5.0
    """

    signature = "perplexity of tokens, ends included"

    def statistics(self, batch: Mapping[str, Any]) -> np.ndarray:
        """``(B, 2)``: nats, and tokens that ``mask`` leaves in."""
        log_prob, mask = np.asarray(batch["log_prob"], float), np.asarray(batch["mask"], bool)
        if mask.ndim != 2 or log_prob.shape != mask.shape[:1]:
            raise InvalidInputError(
                f"mask has shape {mask.shape}, log_prob {log_prob.shape}; (batch, length) and (batch,) are needed"
            )
        return np.stack([-log_prob, mask.sum(axis=1)], axis=-1)

    def finalize(self, total: Any) -> np.ndarray:
        """Perplexity, ``(...)``, of sums ``(..., 2)``; NaN of none."""
        total = np.asarray(total, float)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.exp(total[..., 0] / total[..., 1])


class BitsPerByte:
    """What texts in any vocabulary can be compared by; a :class:`artifex.core.metrics.StreamedMetric`.

    The cost of a text's end counts, its bytes are those of UTF-8; what is no text (``None``) is left out.

    >>> metric = BitsPerByte()
    >>> batch = {"log_prob": np.array([-8 * math.log(2)]), "references": ["ça!"]}
    >>> float(metric.finalize(metric.statistics(batch).sum(0)).round(6))
    2.0
    """

    signature = "bits per byte of UTF-8, ends included"

    def statistics(self, batch: Mapping[str, Any]) -> np.ndarray:
        """``(B, 2)``: bits, and bytes."""
        log_prob, texts = np.asarray(batch["log_prob"], float), batch["references"]
        if log_prob.shape != (len(texts),):
            raise InvalidInputError(
                f"log_prob has shape {log_prob.shape}, and there are {len(texts)} texts; one each is needed"
            )
        bytes_ = np.array([0 if text is None else len(text.encode()) for text in texts], float)
        bits = np.where([text is None for text in texts], 0.0, -log_prob / math.log(2))
        return np.stack([bits, bytes_], axis=-1)

    def finalize(self, total: Any) -> np.ndarray:
        """Bits per byte, ``(...)``, of sums ``(..., 2)``; NaN of none."""
        total = np.asarray(total, float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return total[..., 0] / total[..., 1]


PERPLEXITY = Perplexity()
"""As it is registered."""
BITS_PER_BYTE = BitsPerByte()
"""As it is registered."""
