r"""BLEU: how many of the words, pairs, triples and quadruples of a text its references have too.

.. math:: \mathrm{BLEU} = 100 \min(1, e^{1 - r / c}) \exp\Big(\frac14 \sum_{n=1}^4 \log p_n\Big)

Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation" (doi:10.3115/1073083.1073135): counts of
the whole corpus are added before they are divided, ``c`` and ``r`` are lengths of samples and of the references closest in
length. Its details are those of Post 2018, "A Call for Clarity in Reporting BLEU Scores" (arXiv:1804.08771), whose tool is
sacrebleu.

Shapes: ``B = examples, S = 2 + 2 N statistics (both lengths, n-grams that match, n-grams), N = longest n-gram``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.text.metrics.tokenisation import ngrams, tokens_13a

__all__ = ["BLEU", "Bleu", "ngram_counts"]

ORDER = 4
SPLIT: dict[str, Callable[[str], list[str]]] = {
    "13a": tokens_13a,
    "none": lambda text: text.rstrip().split(),
    "char": lambda text: " ".join(text.rstrip()).split(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleu:
    """BLEU of a corpus, 0 to 100; a :class:`artifex.core.metrics.StreamedMetric`.

    A sample that is ``None``, no text, counts as an empty one; a pair whose reference is none is left out.

    Example:
        >>> metric = Bleu()
        >>> metric.signature
        'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp'
        >>> round(metric(["the cat sat on the mat"], ["the cat sat on a mat"]), 2)
        53.73
    """

    tokens: Literal["13a", "none", "char"] = "13a"
    """``13a``: mteval's words; ``none``: what white space separates; ``char``: each character, for scripts without spaces."""
    lowercase: bool = False
    """Compare in small letters."""
    smooth: Literal["exp", "none"] = "exp"
    """``exp``: the first n-grams without a match count as half a match, the next as a quarter ...; ``none``: as nothing."""
    effective_order: bool = False
    """Leave out n-grams longer than any sample: for single sentences."""

    @property
    def signature(self) -> str:
        """All that figures depend on, as sacrebleu writes it, for one reference each."""
        case, effective = ("lc" if self.lowercase else "mixed"), ("yes" if self.effective_order else "no")
        return f"nrefs:1|case:{case}|eff:{effective}|tok:{self.tokens}|smooth:{self.smooth}"

    def split(self, text: str) -> list[str]:
        """A text as the tokens that are counted."""
        return SPLIT[self.tokens](text.lower() if self.lowercase else text)

    def statistics(self, batch: Mapping[str, Any]) -> np.ndarray:
        """``(B, S)`` of ``samples`` and ``references``, each a text, or several, for a sample."""
        samples, references = batch["samples"], batch["references"]
        if len(samples) != len(references):
            raise InvalidInputError(f"{len(samples)} samples come with {len(references)} references; each needs its own")
        return np.array([self._of_pair(*pair) for pair in zip(samples, references, strict=True)], float).reshape(
            -1, 2 + 2 * ORDER
        )

    def finalize(self, total: Any) -> np.ndarray:
        """BLEU, ``(...)``, of sums ``(..., S)``."""
        total = np.asarray(total, float)
        lengths, matches, counts = total[..., :2], total[..., 2 : 2 + ORDER], total[..., 2 + ORDER :]
        there = counts > 0
        missed = there & (matches == 0)
        halvings = np.cumsum(missed, axis=-1) if self.smooth == "exp" else np.full(missed.shape, np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(missed, 2.0**-halvings, matches) / counts
            logs = np.where(there, np.log(precision), 0.0 if self.effective_order else -np.inf)
            orders = there.sum(axis=-1) if self.effective_order else ORDER
            mean = logs.sum(axis=-1) / orders
            brevity = np.where(lengths[..., 0] > 0, np.minimum(0.0, 1 - lengths[..., 1] / lengths[..., 0]), -np.inf)
            score = 100 * np.exp(brevity + mean)
        return np.where((matches > 0).any(axis=-1), score, 0.0)

    def __call__(self, samples: Sequence[str | None], references: Sequence[Any]) -> float:
        """BLEU of all samples together."""
        return float(self.finalize(self.statistics({"samples": samples, "references": references}).sum(axis=0)))

    def _of_pair(self, sample: str | None, reference: str | Sequence[str] | None) -> list[float]:
        if reference is None:
            return [0.0] * (2 + 2 * ORDER)
        references = [reference] if isinstance(reference, str) else reference
        return ngram_counts(self.split(sample or ""), [self.split(one) for one in references])


def ngram_counts(sample: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Lengths, matching n-grams and n-grams of one sample, given its references, all as tokens.

    >>> ngram_counts(["a", "b"], [["a", "b", "c"]])
    [2, 3, 2, 1, 0, 0, 2, 1, 0, 0]
    """
    if not references:
        raise InvalidInputError("a sample has no reference; give it at least one")
    closest = min((abs(len(one) - len(sample)), len(one)) for one in references)[1]
    matches, counts = [], []
    for n in range(1, ORDER + 1):
        own: Counter[tuple[str, ...]] = ngrams(sample, n)
        most: Counter[tuple[str, ...]] = Counter()
        for one in references:
            most |= ngrams(one, n)
        matches.append((own & most).total())
        counts.append(own.total())
    return [len(sample), closest, *matches, *counts]


BLEU = Bleu()
"""BLEU as it is reported: ``nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp``."""
