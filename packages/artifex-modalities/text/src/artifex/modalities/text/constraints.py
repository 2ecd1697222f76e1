"""What is wrong with a text, and where: bytes that are no UTF-8, and repetition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artifex.core.errors import InvalidInputError
from artifex.modalities.text.metrics.tokenisation import words

__all__ = ["TextViolation", "malformed_utf8", "repetitions"]


@dataclass(frozen=True, slots=True)
class TextViolation:
    """A place where a text breaks a rule."""

    start: int
    """The first byte or word of it, from 0."""
    stop: int
    """Behind its last one."""
    message: str
    """What is wrong."""


def malformed_utf8(data: bytes) -> list[TextViolation]:
    r"""The bytes that are no UTF-8 (Unicode Standard, section 3.9, table 3-7), each longest stretch that a decoder gives up at.

    >>> malformed_utf8(b"a\xc3(")
    [TextViolation(start=1, stop=2, message='byte 1 is 0xc3: invalid continuation byte')]
    """
    found, start = [], 0
    while True:
        try:
            data[start:].decode("utf-8")
        except UnicodeDecodeError as error:
            first, last = start + error.start, start + error.end
            found.append(TextViolation(first, last, f"byte {first} is {data[first]:#04x}: {error.reason}"))
            start = last
        else:
            return found


def repetitions(text: str, *, longest: int = 8, times: int = 3) -> list[TextViolation]:
    """Where up to ``longest`` words stand ``times`` times or more, one after the other; places are those of words.

    Each word is told of once, in the shortest cycle that reaches it.

    Raises:
        InvalidInputError: ``longest`` is below 1 or ``times`` below 2.

    >>> repetitions("It is very very very good, very good.")
    [TextViolation(start=2, stop=5, message="'very' stands 3 times in a row")]
    """
    if longest < 1 or times < 2:
        raise InvalidInputError(f"longest has to be at least 1 and times at least 2; got {longest} and {times}")
    found: list[TextViolation] = []
    tokens = words(text)
    for period in range(1, longest + 1):
        for start, stop in _runs(tokens, period):
            count = (stop - start) // period
            if count >= times and not any(start < old.stop and old.start < stop for old in found):
                cycle = " ".join(tokens[start : start + period])
                found.append(TextViolation(start, start + count * period, f"{cycle!r} stands {count} times in a row"))
    return sorted(found, key=lambda violation: violation.start)


def _runs(tokens: list[str], period: int) -> Iterator[tuple[int, int]]:
    """Stretches in which each token is that of ``period`` places before; from the first of them to behind the last."""
    start = 0
    for i in range(period, len(tokens) + 1):
        if i == len(tokens) or tokens[i] != tokens[i - period]:
            if i - start > period:
                yield start, i
            start = i - period + 1
