"""Byte-pair encoding: a text's words, as bytes, in which the pairs that were met most often are joined, again and again.

Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with Subword Units" (arXiv:1508.07909), algorithm 1;
on bytes, with words split as Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2) do.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import regex

from artifex.modalities.text.tokenizers.base import as_utf8

__all__ = ["BYTE_OF", "PRINTED", "Pair", "join", "learn_merges", "pieces", "printed"]

Pair = tuple[bytes, bytes]

WORD = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
"""GPT-2's words: letters, digits or other marks with the space before them, English contractions, and other white space."""

_SHOWN = [*range(33, 127), *range(161, 173), *range(174, 256)]
_HIDDEN = [byte for byte in range(256) if byte not in _SHOWN]
PRINTED = {byte: chr(byte) for byte in _SHOWN} | {byte: chr(256 + i) for i, byte in enumerate(_HIDDEN)}
"""How GPT-2's files write each byte: as a character that can be seen, a space as Ġ."""
BYTE_OF = {character: byte for byte, character in PRINTED.items()}


def printed(piece: bytes) -> str:
    """A piece as GPT-2's files write it.

    >>> printed(b" the")
    'Ġthe'
    """
    return "".join(PRINTED[byte] for byte in piece)


def pieces(text: str) -> list[bytes]:
    """The words of a text, within which pairs are joined; together they are its bytes.

    >>> pieces("I'm here,  there")
    [b'I', b"'m", b' here', b',', b' ', b' there']
    """
    as_utf8(text)  # names the character that has no bytes
    return [word.encode("utf-8") for word in WORD.findall(text)]


def join(parts: list[bytes], pair: Pair) -> list[bytes]:
    """``parts`` with each ``pair`` in it joined, from the left.

    >>> join([b"a", b"a", b"a", b"b"], (b"a", b"a"))
    [b'aa', b'a', b'b']
    """
    joined, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            joined.append(parts[i] + parts[i + 1])
            i += 2
        else:
            joined.append(parts[i])
            i += 1
    return joined


def learn_merges(texts: Iterable[str], n_pieces: int) -> list[Pair]:
    """The pairs to join, first the one that is most frequent in ``texts``; of equally frequent ones the first by its bytes.

    Args:
        texts: what to learn from.
        n_pieces: how many new pieces to make. Two pairs may make one piece, ``ab`` with ``c`` and ``a`` with ``bc``; and as
            pairs that occur once are not joined, there may be fewer pieces.

    >>> learn_merges(["low lower lowest"], 3)
    [(b'l', b'o'), (b'lo', b'w'), (b' ', b'low')]
    """
    words = Counter(piece for text in texts for piece in pieces(text))
    parts = {word: [bytes([byte]) for byte in word] for word in words}
    counts, homes = _pairs(parts, words)
    queue = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(queue)
    merges: dict[Pair, None] = {}
    made: set[bytes] = set()
    while queue and len(made) < n_pieces:
        count, pair = heapq.heappop(queue)
        if -count != counts[pair] or -count < 2:  # counted anew since, or not worth it
            continue
        merges[pair] = None  # it may have been joined before, and have come up again from other pairs
        made.add(pair[0] + pair[1])
        changed: Counter[Pair] = Counter()
        for word in homes.pop(pair):
            for old in zip(parts[word], parts[word][1:], strict=False):
                changed[old] -= words[word]
            parts[word] = join(parts[word], pair)
            for new in zip(parts[word], parts[word][1:], strict=False):
                changed[new] += words[word]
                homes[new].add(word)
        for other, change in changed.items():
            if change:
                counts[other] += change
                heapq.heappush(queue, (-counts[other], other))
    return list(merges)


def _pairs(parts: Mapping[bytes, list[bytes]], words: Mapping[bytes, int]) -> tuple[Counter[Pair], dict[Pair, set[bytes]]]:
    """How often each pair occurs, and in which words."""
    counts: Counter[Pair] = Counter()
    homes: dict[Pair, set[bytes]] = defaultdict(set)
    for word, own in parts.items():
        for pair in itertools.pairwise(own):
            counts[pair] += words[word]
            homes[pair].add(word)
    return counts, homes
