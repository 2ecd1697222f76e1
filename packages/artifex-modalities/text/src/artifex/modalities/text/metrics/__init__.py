"""Metrics of texts."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.text.metrics.bleu import BLEU as BLEU, Bleu as Bleu
    from artifex.modalities.text.metrics.diversity import (
        WELL_FORMED as WELL_FORMED,
        distinct_1 as distinct_1,
        distinct_2 as distinct_2,
        distinct_n as distinct_n,
        self_bleu as self_bleu,
    )
    from artifex.modalities.text.metrics.likelihood import (
        BITS_PER_BYTE as BITS_PER_BYTE,
        PERPLEXITY as PERPLEXITY,
        BitsPerByte as BitsPerByte,
        Perplexity as Perplexity,
    )
    from artifex.modalities.text.metrics.rouge import (
        ROUGE1 as ROUGE1,
        ROUGE2 as ROUGE2,
        ROUGE_L as ROUGE_L,
        ROUGE_LSUM as ROUGE_LSUM,
        Rouge as Rouge,
    )
    from artifex.modalities.text.metrics.tokenisation import tokens_13a as tokens_13a, words as words

_HERE = "artifex.modalities.text.metrics"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        **dict.fromkeys(("BLEU", "Bleu"), f"{_HERE}.bleu"),
        **dict.fromkeys(("WELL_FORMED", "distinct_1", "distinct_2", "distinct_n", "self_bleu"), f"{_HERE}.diversity"),
        **dict.fromkeys(("BITS_PER_BYTE", "PERPLEXITY", "BitsPerByte", "Perplexity"), f"{_HERE}.likelihood"),
        **dict.fromkeys(("ROUGE1", "ROUGE2", "ROUGE_L", "ROUGE_LSUM", "Rouge"), f"{_HERE}.rouge"),
        **dict.fromkeys(("tokens_13a", "words"), f"{_HERE}.tokenisation"),
    },
)
