"""SMILES and SELFIES: from text to molecules, to tokens, and back.

D. Weininger 1988, "SMILES, a chemical language and information system", doi:10.1021/ci00057a005; atom-wise tokens as in
Schwaller et al. 2018, arXiv:1711.04810: an atom in brackets is one token, as are the letters of Br and Cl and a ring number
``%10``.
M. Krenn et al. 2020, "Self-referencing embedded strings (SELFIES)", arXiv:1905.13741, needs the extra ``selfies``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.molecular.valid import checked

__all__ = [
    "COMMON_TOKENS",
    "END",
    "Language",
    "canonical_smiles",
    "from_selfies",
    "parse_smiles",
    "selfies_tokens",
    "smiles_tokens",
    "split_tokens",
    "to_selfies",
    "vocabulary_of",
]

Language = Literal["smiles", "selfies"]
END = "<end>"
"""The token behind the last; padding is filled with it too."""
COMMON_TOKENS = (
    END,
    *("C", "c", "N", "n", "O", "o", "S", "s", "P", "p", "B", "b", "F", "Cl", "Br", "I"),
    *("(", ")", ".", "-", "=", "#", ":", "/", "\\"),
    *(str(digit) for digit in range(1, 10)),
    *("%10", "%11", "%12", "0"),
    *("[H]", "[nH]", "[nH+]", "[n+]", "[n-]", "[N+]", "[N-]", "[NH+]", "[NH-]", "[NH2+]", "[NH3+]", "[NH4+]", "[O-]", "[O+]"),
    *("[OH+]", "[OH-]", "[S-]", "[S+]", "[s+]", "[SH]", "[C-]", "[CH-]", "[CH2-]", "[cH-]", "[C+]", "[C@]", "[C@@]", "[C@H]"),
    *("[C@@H]", "[S@]", "[S@@]", "[P@]", "[P@@]", "[P+]", "[PH]", "[B-]", "[Si]", "[Se]", "[se]", "[SeH]", "[As]"),
    *("[Na+]", "[K+]", "[Li+]", "[Ca+2]", "[Mg+2]", "[Cl-]", "[Br-]", "[I-]", "[F-]", "[2H]", "[N@]", "[N@@]"),
)
"""A vocabulary for common organic molecules; the index of a token is its number."""
_TOKEN = re.compile(r"\[[^\[\]]*\]|Br|Cl|%\d{2}|[A-Za-z0-9]|[().=#$:/\\~*@+?>-]")
_SELFIES_TOKEN = re.compile(r"\[[^\[\]]*\]|\.")


def parse_smiles(text: str | None) -> Any | None:
    """The molecule, sanitised; ``None`` where the text is no SMILES of one.

    Nothing, blanks within or about it, and anything behind the SMILES (which RDKit would take for a name) make no molecule.

    >>> parse_smiles("CCO").GetNumAtoms(), parse_smiles(""), parse_smiles("CCO junk"), parse_smiles("C(C)(C)(C)(C)C")
    (3, None, None, None)
    """
    from rdkit import Chem, rdBase

    if not text or not text.isascii() or re.search(r"\s|\|", text):
        return None
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text)
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def canonical_smiles(molecule: Any, *, stereo: bool = True) -> str:
    """RDKit's canonical SMILES: equal for equal molecules. Without ``stereo``, of molecules equal but for it.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.

    >>> canonical_smiles(parse_smiles("OCC")), canonical_smiles(parse_smiles("C[C@H](N)O"), stereo=False)
    ('CCO', 'CC(N)O')
    """
    from rdkit import Chem

    return Chem.MolToSmiles(checked(molecule), isomericSmiles=stereo)


def smiles_tokens(text: str) -> list[str]:
    """Atom-wise tokens of a SMILES; joined, they are it again.

    Raises:
        InvalidInputError: there is a character that no SMILES has.

    >>> smiles_tokens("C[C@H](Cl)c1cc[nH]c1%10")
    ['C', '[C@H]', '(', 'Cl', ')', 'c', '1', 'c', 'c', '[nH]', 'c', '1', '%10']
    """
    return _cut(text, _TOKEN, "SMILES")


def selfies_tokens(text: str) -> list[str]:
    """Symbols of a SELFIES; joined, they are it again.

    Raises:
        InvalidInputError: there is something outside of brackets.

    >>> selfies_tokens("[C][=O]")
    ['[C]', '[=O]']
    """
    return _cut(text, _SELFIES_TOKEN, "SELFIES")


def split_tokens(text: str, language: Language) -> list[str]:
    """Tokens of either."""
    return smiles_tokens(text) if language == "smiles" else selfies_tokens(text)


def _cut(text: str, pattern: re.Pattern[str], what: str) -> list[str]:
    tokens, place = [], 0
    for found in pattern.finditer(text):
        if found.start() != place:
            break
        tokens.append(found.group())
        place = found.end()
    if place != len(text):
        raise InvalidInputError(f"{text!r} holds {text[place]!r} at place {place}, which begins no token of a {what}")
    return tokens


def vocabulary_of(texts: Iterable[str], language: Language = "smiles") -> tuple[str, ...]:
    """The tokens of these texts, sorted, behind :data:`END`: a vocabulary for a config.

    >>> vocabulary_of(["CCO", "C=O"])
    ('<end>', '=', 'C', 'O')
    """
    return (END, *sorted({token for text in texts for token in split_tokens(text, language)}))


def to_selfies(text: str) -> str:
    """SELFIES of a SMILES.

    Raises:
        DataError: the package ``selfies`` is not installed.
        InvalidInputError: this SMILES has none.
    """
    selfies = _selfies()
    try:
        return selfies.encoder(text)
    except selfies.EncoderError as error:
        raise InvalidInputError(f"{text!r} has no SELFIES: {' '.join(str(error).split())}") from error


def from_selfies(text: str) -> str:
    """SMILES of a SELFIES; of any string of symbols there is one, an empty one perhaps.

    Raises:
        DataError: the package ``selfies`` is not installed.
        InvalidInputError: this is no string of symbols.
    """
    selfies = _selfies()
    try:
        return selfies.decoder(text)
    except selfies.DecoderError as error:
        raise InvalidInputError(f"{text!r} is no SELFIES: {' '.join(str(error).split())}") from error


def _selfies() -> Any:
    try:
        import selfies  # pyright: ignore[reportMissingImports]  (an extra)
    except ImportError as error:
        raise DataError("SELFIES need the package selfies: pip install 'artifex-modalities-molecular[selfies]'") from error
    return selfies
