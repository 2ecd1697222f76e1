r"""How often letters and pairs of letters occur in two sets of sequences.

The composition of a set is the frequency ``f_w`` of each word ``w`` of ``k`` successive letters, all chains together: of amino
acids for ``k = 1``, of dipeptides for ``k = 2``. Two sets differ by the total variation of their compositions:

    d = 1/2 sum_w |f_w - g_w|,      0 for the same frequencies, 1 where no word occurs in both.

Few words make it large: of ``n`` words of a law against ``n`` others, the mean of ``d`` is about ``sum_w sqrt(f_w / (pi n))``.

Shapes: ``W`` words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.protein.residues import LETTERS

__all__ = ["CompositionDifference", "word_counts"]

ALPHABET = LETTERS + "abc"
"""Of sequences and of secondary structure."""
_NUMBER = np.full(128, -1)
_NUMBER[np.frombuffer(ALPHABET.encode(), np.uint8)] = np.arange(len(ALPHABET))


def word_counts(texts: Iterable[str], k: int) -> Float[np.ndarray, "W"]:
    """How often each word of ``k`` letters occurs in these texts, those that overlap among them.

    Raises:
        InvalidInputError: a text has another letter than those of amino acids or of secondary structure.

    >>> word_counts(["AAR", "R"], 1)[:3].tolist(), float(word_counts(["AAR", "R"], 2).sum())
    ([2.0, 2.0, 0.0], 2.0)
    """
    n = len(ALPHABET)
    counts = np.zeros(n**k)
    for text in texts:
        numbers = _NUMBER[[min(ord(letter), 127) for letter in text]] if text else np.zeros(0, int)
        if (numbers < 0).any():
            raise InvalidInputError(f"{text[int(np.argmin(numbers))]!r} in {text[:40]!r} is none of the letters {ALPHABET}")
        words = sum(numbers[i : max(0, len(text) - k + 1) + i] * n**i for i in range(k))
        counts += np.bincount(words, minlength=n**k)
    return counts


@dataclass(frozen=True)
class CompositionDifference:
    """``1/2 sum_w |f_w - g_w|`` of samples and references; follows ``MergedMetric``. A sample that is none counts nothing.

    >>> metric = CompositionDifference(1)
    >>> float(metric.finalize(metric.state({"samples": ["AAAR", None], "references": ["AR"]})))
    0.25
    """

    k: int
    """Letters of a word."""

    def state(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "2 W"]:
        """Counts of words in the samples, and in the references.

        Raises:
            InvalidInputError: a reference is no sequence, or a letter is none.
        """
        references = list(batch.get("references", ()))
        if None in references:
            raise InvalidInputError(f"reference {references.index(None)} of the batch is no sequence; leave it out")
        samples = (text for text in batch.get("samples", ()) if text is not None)
        return np.stack([word_counts(samples, self.k), word_counts(references, self.k)])

    def merge(self, one: Float[np.ndarray, "2 W"], other: Float[np.ndarray, "2 W"]) -> Float[np.ndarray, "2 W"]:
        """Of both parts together."""
        return one + other

    def finalize(self, state: Float[np.ndarray, "2 W"]) -> float:
        """1 where no sample has a word; NaN where no reference has."""
        of_samples, of_references = state.sum(axis=1)
        if not of_references:
            return float("nan")
        if not of_samples:
            return 1.0
        return min(float(np.abs(state[0] / of_samples - state[1] / of_references).sum() / 2), 1.0)  # but for rounding
