"""Random texts that tests share."""

from __future__ import annotations

import numpy as np

RANGES = (
    (0, 0x7F),
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x300, 0x36F),
    (0x400, 0x4FF),
    (0x900, 0x97F),
    (0x3040, 0x30FF),
    (0x4E00, 0x9FFF),
)
HIGH = ((0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE000, 0xF8FF), (0x200B, 0x206F), (0, 0xD7FF), (0xE000, 0x10FFFF))
WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    ".",
    ",",
    "!",
    "It's",
    "3.5",
    "1,000",
    "state-of-the-art",
    "(well)",
    '"quoted"',
    "&",
    "<",
    ">",
    "ça",
    "naïve",
    "Straße",
    "U.S.",
    "e.g.",
    "x/y",
]


def random_strings(n: int, seed: int) -> list[str]:
    """Of all planes of Unicode, half surrogates left out; the empty one among them."""
    rng = np.random.default_rng(seed)
    made = [""]
    for _ in range(n - 1):
        ranges = [(*RANGES, *HIGH)[i] for i in rng.integers(len(RANGES) + len(HIGH), size=2)]
        low, high = np.array([ranges[i] for i in rng.integers(2, size=rng.integers(1, 24))]).T
        made.append("".join(map(chr, rng.integers(low, high, endpoint=True))))
    return made


def random_sentences(n: int, seed: int, words: list[str] = WORDS, longest: int = 12) -> list[str]:
    """Some are empty, some have lines."""
    rng = np.random.default_rng(seed)
    separators = [" ", " ", " ", " ", " ", "\n", "  "]
    made = []
    for _ in range(n):
        chosen = rng.integers(len(words), size=rng.integers(0, longest))
        made.append("".join(words[i] + separators[rng.integers(len(separators))] for i in chosen))
    return made
