"""Sequences and secondary structure as tokens: letters, numbered from 1, and behind the last of them an end, which is 0.

A row is full where a chain has as many residues as a row has places: it has no end then, as its model's samples have none.
So every chain of up to ``L`` residues is one row of ``L`` tokens, and no other row begins as it does.

Shapes: ``M`` chains, ``L`` tokens.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from artifex.core.errors import InvalidInputError
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.residues import LETTERS
from artifex.modalities.protein.secondary import secondary_structure

__all__ = ["END", "TOKENS", "Language", "decoded_letters", "letters_of", "letters_of_text", "packed_tokens"]

Language: TypeAlias = Literal["sequence", "secondary"]
END: Final = "<end>"
TOKENS: Final[dict[Language, tuple[str, ...]]] = {"sequence": (END, *LETTERS), "secondary": (END, *"abc")}
"""Of a sequence one for each amino acid, in the order of ``residue_type``, and X; helix, strand and neither."""


def letters_of(protein: Protein, language: Language) -> str:
    """One letter for each residue of a chain. Residues that are missing in a gap are left out.

    Raises:
        InvalidInputError: it has several chains; or a residue without CA, which tells no secondary structure.
    """
    if len(chains := np.unique(protein.chain)) > 1:
        raise InvalidInputError(
            f"a protein has {len(chains)} chains, and {language} is of one; give each by itself: "
            "protein.select(protein.chain == 0)"
        )
    if language == "sequence":
        return protein.sequence
    if not (there := protein.has("CA")).all():
        raise InvalidInputError(
            f"residue {np.argmin(there)} has no CA, from which secondary structure is told; leave it out: "
            'protein.select(protein.has("CA"))'
        )
    return secondary_structure(protein.atom("CA"), protein.linked)


def letters_of_text(text: str, language: Language) -> str:
    """A text of letters as the tokens have it: amino acids in capitals, X for those that are none of the twenty.

    Raises:
        InvalidInputError: there is something else than letters in it, or other letters than a, b and c.

    >>> letters_of_text("mkvU", "sequence")
    'MKVX'
    """
    if language == "secondary":
        allowed = text and set(text) <= set(TOKENS[language])
        wanted = "letters a (helix), b (strand) and c (neither)"
    else:
        allowed = text.isascii() and text.isalpha()
        wanted = "one-letter codes of amino acids"
    if not allowed:
        shown = text if len(text) <= 40 else text[:40] + " ..."
        raise InvalidInputError(f"{shown!r} is no text of {wanted}; if it is a file's name, give pathlib.Path of it")
    return text if language == "secondary" else "".join(c if c in LETTERS else "X" for c in text.upper())


def packed_tokens(texts: Sequence[str], language: Language, length: int) -> dict[str, np.ndarray]:
    """``x`` int32 ``(M, L)``, 0 behind the letters; and ``mask``, true up to the end.

    Raises:
        InvalidInputError: a text is longer than ``length``.

    >>> {key: value.tolist() for key, value in packed_tokens(["abc", "c"], "secondary", 3).items()}
    {'x': [[1, 2, 3], [3, 0, 0]], 'mask': [[True, True, True], [True, True, False]]}
    """
    place = {token: number for number, token in enumerate(TOKENS[language])}
    x, mask = np.zeros((len(texts), length), np.int32), np.zeros((len(texts), length), bool)
    for row, text in enumerate(texts):
        if len(text) > length:
            raise InvalidInputError(
                f"a protein has {len(text)} residues, max_seq_length is {length}; raise it, or leave it out"
            )
        x[row, : len(text)], mask[row, : len(text) + 1] = [place[letter] for letter in text], True
    return {"x": x, "mask": mask}


def decoded_letters(row: Int[np.ndarray, "L"], language: Language) -> str | None:
    """The letters before the end; all, where there is none. ``None`` where a number is of no token, or there is no letter."""
    tokens, ends = TOKENS[language], np.flatnonzero(row == 0)
    kept = row[: ends[0] if len(ends) else len(row)]
    if not len(kept) or np.any((kept < 0) | (kept >= len(tokens))):
        return None
    return "".join(tokens[operator.index(number)] for number in kept)
