"""Patterns of dotted names: how a config points at parts of a model.

``decoder.layers.*`` : a star stands for one name, or for a part of one (``conv*``); two stars stand for any number of names,
``**.bias``. Where parameters are meant, a pattern that names a module means every parameter below it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Annotated

from pydantic import BeforeValidator, Field

from artifex.core.errors import InvalidInputError

__all__ = ["Patterns", "covered", "covers", "matches", "renamed"]

Patterns = Annotated[
    tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given), Field(min_length=1)
]
"""Type of a config's field: one pattern or several."""


def matches(pattern: str, name: str) -> bool:
    """Whether ``pattern`` names exactly ``name``.

    >>> matches("layers.*", "layers.0"), matches("layers.*", "layers.0.kernel"), matches("**.bias", "layers.0.bias")
    (True, False, True)
    """
    return _regex(pattern).fullmatch(name) is not None


def covers(pattern: str, name: str) -> bool:
    """Whether ``pattern`` names ``name``, or a module that it lies below.

    >>> covers("encoder", "encoder.layers.0.bias"), covers("encoder", "encoder2.bias")
    (True, False)
    """
    return any(matches(pattern, part) for part in _upwards(name))


def covered(patterns: Iterable[str], names: Collection[str], *, what: str) -> list[str]:
    """Those of ``names`` that some pattern covers, in their order.

    Args:
        patterns: of dotted names.
        names: of a model's parameters.
        what: where the patterns come from, for the error.

    Raises:
        InvalidInputError: a pattern covers none of them; the message tells close names.
    """
    found: set[str] = set()
    for pattern in patterns:
        hits = [name for name in names if covers(pattern, name)]
        if not hits:
            raise InvalidInputError(f"{what}: {pattern!r} names nothing; {_known(pattern, names)}")
        found.update(hits)
    return [name for name in names if name in found]


def renamed(name: str, changes: Mapping[str, str]) -> tuple[str, str | None]:
    """``name`` as ``changes`` (old pattern to new) has it, and the pattern that did it: the first that covers the name.

    What the stars of the old pattern stand for goes where the new one has its stars, in their order; what lies below the old
    name lies below the new.

    >>> renamed("layers.3.kernel", {"layers.*": "blocks.*.linear"})
    ('blocks.3.linear.kernel', 'layers.*')

    Raises:
        InvalidInputError: the two patterns have not the same stars.
    """
    for old, new in changes.items():
        stars = [part for part in old.split(".") if "*" in part]
        if [part for part in new.split(".") if "*" in part] != stars or not set(stars) <= {"*", "**"}:
            raise InvalidInputError(
                f"{old!r} -> {new!r}: old and new name have the same stars in the same order, each a whole name: "
                "'layers.*' -> 'blocks.*'"
            )
        for part in _upwards(name):
            if found := _regex(old).fullmatch(part):
                values = iter(found.groups())
                parts = [next(values).rstrip(".") if "*" in piece else piece for piece in new.split(".")]
                return ".".join(filter(None, parts)) + name[len(part) :], old
    return name, None


def _upwards(name: str) -> Iterable[str]:
    """The name and those of the modules above it, outermost first."""
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    *above, last = pattern.split(".")
    pieces = [r"((?:[^.]+\.)*)" if part == "**" else _one(part) + r"\." for part in above]
    return re.compile("".join(pieces) + (r"([^.]+(?:\.[^.]+)*)" if last == "**" else _one(last)))


def _one(part: str) -> str:
    return r"([^.]+)" if part == "*" else re.escape(part).replace(r"\*", "[^.]*")


def _known(pattern: str, names: Collection[str]) -> str:
    """Names that may have been meant, or some of those there are."""
    places = list(dict.fromkeys(part for name in names for part in _upwards(name)))
    close = difflib.get_close_matches(pattern, places, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    shown = [place for place in places if "." not in place] or ["nothing"]
    return f"there is {', '.join(shown[:12])}{' ...' if len(shown) > 12 else ''}"
