"""Molecules as the arrays that a data set stores, padded, and back.

Shapes: ``M`` molecules, ``L`` tokens, ``N`` atoms.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.modalities.molecular.elements import ELEMENTS, molecule_from_positions
from artifex.modalities.molecular.smiles import Language, canonical_smiles, from_selfies, parse_smiles, split_tokens, to_selfies
from artifex.modalities.molecular.valid import checked, required

__all__ = [
    "decoded_text",
    "encoded_text",
    "molecule_of_row",
    "molecule_of_text",
    "packed_graphs",
    "packed_positions",
    "packed_tokens",
    "text_of",
]


def text_of(molecule: Any, language: Language) -> str:
    """Canonical SMILES, or the SELFIES of it, of a molecule with or without its hydrogens.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.
        InvalidInputError: it is not valid, or has no SELFIES.
    """
    text = canonical_smiles(required(molecule))
    return to_selfies(text) if language == "selfies" else text


def encoded_text(text: str, language: Language, vocabulary: Sequence[str], length: int) -> np.ndarray:
    """Numbers of the tokens and, behind them, of the end; without padding.

    Raises:
        InvalidInputError: a token is not in the vocabulary, or they are more than ``length`` with the end.
    """
    tokens = split_tokens(text, language)
    unknown = [token for token in tokens if token not in vocabulary]
    if unknown:
        raise InvalidInputError(f"{text} has the token {unknown[0]!r}, which the vocabulary lacks; add it to 'vocabulary'")
    if len(tokens) + 1 > length:
        raise InvalidInputError(f"{text} has {len(tokens)} tokens and an end, max_length is {length}; raise it")
    place = {token: number for number, token in enumerate(vocabulary)}
    return np.array([*(place[token] for token in tokens), 0], np.int32)


def packed_tokens(rows: Sequence[np.ndarray], length: int) -> dict[str, np.ndarray]:
    """``x`` int32 ``(M, L)`` and ``mask``, true up to the end token."""
    x, mask = np.zeros((len(rows), length), np.int32), np.zeros((len(rows), length), bool)
    for i, row in enumerate(rows):
        x[i, : len(row)], mask[i, : len(row)] = row, True
    return {"x": x, "mask": mask}


def decoded_text(row: np.ndarray, vocabulary: Sequence[str]) -> str | None:
    """The text before the end; all, where there is none. ``None`` where a number is of no token."""
    row = np.asarray(row)
    if np.any((row < 0) | (row >= len(vocabulary))):
        return None
    ends = np.flatnonzero(row == 0)
    return "".join(vocabulary[operator.index(i)] for i in row[: ends[0] if len(ends) else len(row)])


def packed_positions(molecules: Sequence[Any], most: int) -> dict[str, np.ndarray]:
    """``x`` float32 ``(M, N, 8)``, positions from the atoms' mean, then the element one hot; and ``mask``.

    Raises:
        InvalidTypeError: one is no molecule of RDKit.
        InvalidInputError: a molecule has no conformer, too many atoms, or another element.
    """
    x, mask = np.zeros((len(molecules), most, 3 + len(ELEMENTS)), np.float32), np.zeros((len(molecules), most), bool)
    for i, molecule in enumerate(molecules):
        n, symbols = checked(molecule).GetNumAtoms(), [atom.GetSymbol() for atom in molecule.GetAtoms()]
        if other := sorted(set(symbols) - set(ELEMENTS)):
            raise InvalidInputError(f"a molecule has {other[0]}; in space they are made of {', '.join(ELEMENTS)}")
        if n > most or not molecule.GetNumConformers():
            raise InvalidInputError(
                f"a molecule has {n} atoms, max_atoms is {most}" if n > most else "a molecule has no positions"
            )
        positions = molecule.GetConformer().GetPositions()
        x[i, :n, :3] = positions - positions.mean(axis=0)
        x[i, np.arange(n), [3 + ELEMENTS.index(symbol) for symbol in symbols]] = 1
        mask[i, :n] = True
    return {"x": x, "mask": mask}


def packed_graphs(rows: Sequence[np.ndarray], n_elements: int, most: int) -> dict[str, np.ndarray]:
    """``x`` float32 ``(M, N, A + 1 + N)``, element one hot, charge, orders of bonds to all atoms; and ``mask``.

    Args:
        rows: as :func:`~artifex.modalities.molecular.graphs.encoded_graph` gives them.
        n_elements: columns of elements, ``A``.
        most: atoms to which each is padded, ``N``.
    """
    x, mask = np.zeros((len(rows), most, n_elements + 1 + most), np.float32), np.zeros((len(rows), most), bool)
    for i, row in enumerate(rows):
        n = len(row)
        x[i, np.arange(n), row[:, 0]] = 1
        x[i, :n, n_elements : n_elements + 1 + n] = row[:, 1:]
        mask[i, :n] = True
    return {"x": x, "mask": mask}


def molecule_of_row(row: np.ndarray, mask: np.ndarray | None = None) -> Any | None:
    """The molecule of one row of positions and elements; ``None`` without atoms, or where a number is not finite."""
    row = np.asarray(row, np.float64)
    there = np.any(row[:, 3:] > 0, axis=1) if mask is None else np.asarray(mask, bool)
    if not there.any() or not np.isfinite(row[there]).all():
        return None
    return molecule_from_positions(row[there, :3], np.argmax(row[there, 3 : 3 + len(ELEMENTS)], axis=1))


def molecule_of_text(text: str | None, language: Language) -> Any | None:
    """The molecule of a SMILES or SELFIES; ``None`` where it is none."""
    if text is None:
        return None
    if language == "selfies":
        try:
            text = from_selfies(text)
        except InvalidInputError:
            return None
    return parse_smiles(text)
