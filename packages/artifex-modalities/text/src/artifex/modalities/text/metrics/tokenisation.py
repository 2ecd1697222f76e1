"""Texts as words, for metrics that count them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import regex

__all__ = ["ngrams", "tokens_13a", "words"]

WORD = regex.compile(
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]\p{M}*"
    r"|[[\p{L}\p{M}\p{N}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}"
    r"\p{Script=Myanmar}]]+",
    flags=regex.VERSION1,
)

ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
SEPARATIONS = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),  # punctuation and symbols
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),  # full stops and commas, but for those of numbers
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def words(text: str) -> list[str]:
    """Runs of letters, marks and digits in small letters; where a script writes no spaces, each character.

    Of ASCII it makes what rouge-score makes; unlike that it knows other letters.

    >>> words("Don't panic: ça va, 天気!")
    ['don', 't', 'panic', 'ça', 'va', '天', '気']
    """
    return WORD.findall(text.lower())


def tokens_13a(text: str) -> list[str]:
    """The tokens of ``mteval-v13a``, the scorer of the machine translation evaluations, as sacrebleu has them.

    >>> tokens_13a("It costs 1,000.50 &amp; more.")
    ['It', 'costs', '1,000.50', '&', 'more', '.']
    """
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in ENTITIES:
        text = text.replace(entity, character)
    text = f" {text} "
    for pattern, separated in SEPARATIONS:
        text = pattern.sub(separated, text)
    return text.split()


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each sequence of ``n`` tokens occurs.

    >>> ngrams("a b a b".split(), 2)
    Counter({('a', 'b'): 2, ('b', 'a'): 1})
    """
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))
