r"""ROUGE: how many words, pairs of words, or words in the same order a text and its reference share.

.. math:: F = 2 P R / (P + R)

with precision ``P`` of the sample's and recall ``R`` of the reference's. Lin 2004, "ROUGE: A Package for Automatic Evaluation
of Summaries" (aclanthology.org/W04-1013), equations 1 to 7 with beta 1; a line of a text is a sentence. Figures are those of
rouge-score without stemming, which knows ASCII alone; here, words are of any script.

Shapes: ``B = examples``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.text.metrics.tokenisation import ngrams, words

__all__ = ["ROUGE1", "ROUGE2", "ROUGE_L", "ROUGE_LSUM", "Rouge", "longest_common"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge:
    """Mean F measure over examples, 0 to 1; a :class:`artifex.core.metrics.StreamedMetric`.

    A sample that is ``None``, no text, counts as an empty one; a pair whose reference is none is left out.

    Example:
        >>> round(Rouge(form="l")(["the cat sat"], ["the black cat sat down"]), 4)
        0.75
    """

    form: Literal["1", "2", "l", "lsum"]
    """``1`` and ``2``: words, pairs; ``l``: longest common subsequence; ``lsum``: of each line of the reference with any of the
    sample's."""

    @property
    def signature(self) -> str:
        """All that figures depend on."""
        return f"rouge:{self.form}|words:unicode|stemmer:no|measure:f1"

    def statistics(self, batch: Mapping[str, Any]) -> np.ndarray:
        """``(B, 2)``: the F measure, and 1."""
        samples, references = batch["samples"], batch["references"]
        if len(samples) != len(references):
            raise InvalidInputError(f"{len(samples)} samples come with {len(references)} references; each needs its own")
        pairs = zip(samples, references, strict=True)
        return np.array([(0.0, 0.0) if r is None else (self.of_pair(s or "", r), 1.0) for s, r in pairs], float).reshape(-1, 2)

    def finalize(self, total: Any) -> np.ndarray:
        """The mean, ``(...)``, of sums ``(..., 2)``; NaN of none."""
        total = np.asarray(total, float)
        with np.errstate(invalid="ignore"):
            return total[..., 0] / total[..., 1]

    def __call__(self, samples: Sequence[str | None], references: Sequence[str | None]) -> float:
        """The mean over all pairs."""
        return float(self.finalize(self.statistics({"samples": samples, "references": references}).sum(axis=0)))

    def of_pair(self, sample: str, reference: str) -> float:
        """F measure of one sample."""
        if self.form == "lsum":
            return _by_lines([words(line) for line in sample.split("\n")], [words(line) for line in reference.split("\n")])
        mine, theirs = words(sample), words(reference)
        if self.form == "l":
            return _f_measure(len(longest_common(theirs, mine)), len(mine), len(theirs))
        n = int(self.form)
        own, others = ngrams(mine, n), ngrams(theirs, n)
        return _f_measure((own & others).total(), own.total(), others.total())


def longest_common(one: Sequence[str], other: Sequence[str]) -> list[int]:
    """Places in ``one`` of a longest common subsequence with ``other``; of several, the one that lies last in ``other``.

    >>> longest_common(["a", "b", "c"], ["b", "x", "c", "a"])
    [1, 2]
    """
    lengths = [[0] * (len(other) + 1)]
    for word in one:
        above, row = lengths[-1], [0]
        for j, theirs in enumerate(other):
            row.append(above[j] + 1 if word == theirs else max(above[j + 1], row[j]))
        lengths.append(row)
    i, j, places = len(one), len(other), []
    while i and j:
        if one[i - 1] == other[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif lengths[i][j - 1] > lengths[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places[::-1]


def _by_lines(sample: Sequence[Sequence[str]], reference: Sequence[Sequence[str]]) -> float:
    """Of each line of the reference, the words that are in a longest common subsequence with any line of the sample."""
    mine = Counter(word for line in sample for word in line)
    theirs = Counter(word for line in reference for word in line)
    spare, wanted, hits = mine.copy(), theirs.copy(), 0
    for line in reference:
        for place in sorted(set().union(*(longest_common(line, other) for other in sample))):
            word = line[place]
            if spare[word] > 0 and wanted[word] > 0:  # none counts twice
                hits, spare[word], wanted[word] = hits + 1, spare[word] - 1, wanted[word] - 1
    return _f_measure(hits, mine.total(), theirs.total())


def _f_measure(hits: int, mine: int, theirs: int) -> float:
    precision, recall = hits / max(mine, 1), hits / max(theirs, 1)
    return 2 * precision * recall / (precision + recall) if hits else 0.0


ROUGE1 = Rouge(form="1")
"""Shared words."""
ROUGE2 = Rouge(form="2")
"""Shared pairs of words."""
ROUGE_L = Rouge(form="l")
"""The longest common subsequence."""
ROUGE_LSUM = Rouge(form="lsum")
"""The same, line by line."""
