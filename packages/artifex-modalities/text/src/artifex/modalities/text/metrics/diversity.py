"""How different samples are from each other, and how many are text at all. A sample that is no text is ``None``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.text.metrics.bleu import ORDER, Bleu
from artifex.modalities.text.metrics.tokenisation import ngrams, words

__all__ = ["WELL_FORMED", "distinct_1", "distinct_2", "distinct_n", "self_bleu"]

SENTENCE = Bleu(effective_order=True)
"""BLEU of single texts, as sacrebleu has it."""


def distinct_n(samples: Sequence[str | None], n: int) -> float:
    """Different n-grams of words over all of them, over how many there are; NaN where there are none.

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models" (arXiv:1510.03055), section 4.4.
    It falls with the number of samples: compare equal numbers.

    >>> round(distinct_n(["a b a b", "a b"], 2), 4)
    0.5
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for text in samples:
        counts.update(ngrams(words(text or ""), n))
    return len(counts) / counts.total() if counts else float("nan")


def distinct_1(samples: Sequence[str | None]) -> float:
    """:func:`distinct_n` of single words."""
    return distinct_n(samples, 1)


def distinct_2(samples: Sequence[str | None]) -> float:
    """:func:`distinct_n` of pairs of words."""
    return distinct_n(samples, 2)


def self_bleu(samples: Sequence[str | None]) -> np.ndarray:
    """BLEU of each sample against all others, 0 to 100, whose mean is self-BLEU: the lower, the more different they are.

    Zhu et al. 2018, "Texygen: A Benchmarking Platform for Text Generation Models" (arXiv:1802.01886). Of single texts, with
    sacrebleu's ``eff:yes|tok:13a|smooth:exp``.

    Raises:
        InvalidInputError: there are fewer than two samples.

    >>> self_bleu(["a b c d", "a b c d", "x"]).round(2).tolist()
    [100.0, 100.0, 0.0]
    """
    if len(samples) < 2:
        raise InvalidInputError(f"self-BLEU compares samples with each other and needs two; got {len(samples)}")
    tokens = [SENTENCE.split(text or "") for text in samples]
    lengths = Counter(map(len, tokens))
    counts = [[ngrams(one, n) for one in tokens] for n in range(1, ORDER + 1)]
    most = [_two_most(of_order) for of_order in counts]
    rows = []
    for i, own in enumerate(tokens):
        others = (length for length, many in lengths.items() if many > (length == len(own)))
        closest = min((abs(length - len(own)), length) for length in others)[1]
        matches = [
            sum(min(count, best[gram][0] if best[gram][1] != i else best[gram][2]) for gram, count in of_order[i].items())
            for of_order, best in zip(counts, most, strict=True)
        ]
        rows.append([len(own), closest, *matches, *(of_order[i].total() for of_order in counts)])
    return SENTENCE.finalize(np.array(rows, float))


def _two_most(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """For each n-gram the greatest count that any text has, which text that is, and the greatest of the others."""
    best: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for i, own in enumerate(counts):
        for gram, count in own.items():
            first, owner, second = best.get(gram, (0, -1, 0))
            best[gram] = (count, i, first) if count > first else (first, owner, max(second, count))
    return best


class _WellFormed:
    """Share of samples that are text."""

    signature = "utf-8, whole characters"

    def statistics(self, batch: Mapping[str, Any]) -> np.ndarray:
        return np.array([[text is not None, 1.0] for text in batch["samples"]], float).reshape(-1, 2)

    def finalize(self, total: Any) -> np.ndarray:
        total = np.asarray(total, float)
        with np.errstate(invalid="ignore"):
            return total[..., 0] / total[..., 1]


WELL_FORMED = _WellFormed()
"""Share of samples that are well-formed text; a :class:`artifex.core.metrics.StreamedMetric`."""
