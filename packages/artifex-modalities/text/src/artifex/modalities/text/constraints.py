"""What is wrong with a text, and where: bytes that are no UTF-8, repetition, spelling and grammar."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import regex

from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.text.metrics.tokenisation import words

__all__ = ["TextViolation", "grammar_errors", "malformed_utf8", "misspellings", "repetitions"]

SPELT = regex.compile(r"(?<![\p{N}_])[\p{L}\p{M}]+(?:['\u2019][\p{L}\p{M}]+)*(?![\p{N}_])")
"""Runs of letters with apostrophes within."""

BESIDE_GRAMMAR = frozenset(
    ["Enhancement", "Formatting", "Readability", "Redundancy", "Regionalism", "Spelling", "Style", "Typo"]
)
"""What Harper tells of besides grammar: spelling (:func:`misspellings` has more languages), white space and taste."""

ONE_AT_A_TIME = Lock()
"""A checker of Harper refuses a call while another thread is in one."""


@dataclass(frozen=True, slots=True)
class TextViolation:
    """A place where a text breaks a rule."""

    start: int
    """The first byte, word or character of it, from 0."""
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


def misspellings(text: str, *, language: str = "en", known: Collection[str] = ()) -> list[TextViolation]:
    """Words that the dictionary of ``pyspellchecker`` lacks (extra ``spelling``); places are those of characters.

    Spelling alone: "we has gone" passes (:func:`grammar_errors`), and so does a wrong word that is one. Names and new words are
    told of; single letters, and what has digits in it, are not looked at.

    Args:
        text: a text.
        language: ``en``, ``es``, ``fr``, ``pt``, ``de``, ``it``, ``ru`` ...: the dictionaries that come with the library.
        known: other words that are right.

    Raises:
        DataError: the library is not installed.
        InvalidInputError: it has no dictionary of this language.

    >>> misspellings("A sentense about Artifex.", known=["Artifex"])
    [TextViolation(start=2, stop=10, message="'sentense' is no word of the dictionary 'en'")]
    """
    found = [(match.start(), match.group()) for match in SPELT.finditer(text)]
    plain = [word.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").removesuffix("'s") for _, word in found]
    wrong = _dictionary(language).unknown({word for word in plain if len(word) > 1}) - {word.lower() for word in known}
    return [
        TextViolation(start, start + len(word), f"{word!r} is no word of the dictionary {language!r}")
        for (start, word), own in zip(found, plain, strict=True)
        if own in wrong
    ]


def grammar_errors(text: str, *, dialect: str = "american") -> list[TextViolation]:
    """What the rules of Harper find wrong in English (extra ``grammar``); places are those of characters.

    Agreement, articles, confused words, capitals, punctuation and repeated words; no spelling, white space or style. Harper is
    Automattic's checker in Rust (https://writewithharper.com), installed with its rules and its dictionary; it works offline.
    The rules, written by hand, find plain mistakes and let others pass ("this are bad").

    Args:
        text: a text, taken as plain, not as Markdown.
        dialect: ``american``, ``australian``, ``british``, ``canadian`` or ``indian``.

    Raises:
        DataError: the library is not installed.
        InvalidInputError: it knows no such dialect.

    >>> grammar_errors("We has seen an test.")[0]
    TextViolation(start=3, stop=6, message="'has': The form of the verb must agree in grammatical number with the pronoun.")
    """
    with ONE_AT_A_TIME:
        found = _checker(dialect).lint(text, language="plaintext")
    return [
        TextViolation(one.span.start, one.span.end, f"{one.problem_text!r}: {one.message}")
        for one in found
        if one.lint_kind not in BESIDE_GRAMMAR
    ]


@cache
def _checker(dialect: str) -> Any:
    try:
        library: Any = importlib.import_module("harper")  # an extra, like the dictionary
    except ImportError as error:
        raise DataError("grammar needs the library 'harper-py': pip install 'artifex-modalities-text[grammar]'") from error
    dialects = {one.name.lower(): one for one in library.Dialect}
    if dialect not in dialects:
        raise InvalidInputError(f"there is no dialect {dialect!r}; there are {', '.join(sorted(dialects))}")
    checker = library.Linter(dialects[dialect])
    # Spelling is not asked for, and its search for a suggestion takes gigabytes for one word of 100 000 letters.
    checker.set_lint_config(library.get_default_lint_config() | {"SpellCheck": False})
    return checker


@cache
def _dictionary(language: str) -> Any:
    try:
        # The library is an extra: a plain import statement would ask type checkers for it.
        library: Any = importlib.import_module("spellchecker")
    except ImportError as error:
        raise DataError(
            "spelling needs the library 'pyspellchecker': pip install 'artifex-modalities-text[spelling]'"
        ) from error
    try:
        return library.SpellChecker(language=language, distance=1)
    except ValueError as error:
        languages = ", ".join(sorted(library.SpellChecker.languages()))
        raise InvalidInputError(f"there is no dictionary of {language!r}; there are {languages}") from error


def _runs(tokens: list[str], period: int) -> Iterator[tuple[int, int]]:
    """Stretches in which each token is that of ``period`` places before; from the first of them to behind the last."""
    start = 0
    for i in range(period, len(tokens) + 1):
        if i == len(tokens) or tokens[i] != tokens[i - period]:
            if i - start > period:
                yield start, i
            start = i - period + 1
