"""Sequences from FASTA files, gzipped or not."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from artifex.core.errors import DataError
from artifex.modalities.protein.protein import Protein, sequence_types
from artifex.modalities.protein.reading import content
from artifex.modalities.protein.residues import ATOMS

__all__ = ["FASTA", "is_fasta", "read_sequences"]

FASTA = tuple(kind + zipped for kind in (".fasta", ".fa", ".faa") for zipped in ("", ".gz"))
"""How names of such files end."""


def is_fasta(path: str | Path) -> bool:
    """By its name.

    >>> is_fasta("human.FASTA.gz"), is_fasta("1crn.pdb")
    (True, False)
    """
    return str(path).lower().endswith(FASTA)


def read_sequences(path: str | Path) -> list[Protein]:
    """Every sequence of a FASTA file, as a protein without atoms; what follows ``>`` is the name of its chain.

    Small letters are capitals, letters other than the twenty X, and a star at the end is left out, as are records without any
    letter and lines that begin with ``;``.

    Raises:
        DataError: there is no such file, it cannot be read or has no sequence, or a line holds something else than letters. It
            names the file and the line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    records: list[tuple[str, list[str]]] = []
    for number, line in enumerate(_lines(path), 1):
        line = line.strip()
        if line.startswith(">"):
            records.append((line[1:].strip(), []))
        elif line and not line.startswith(";"):
            letters = "".join(line.split())
            if wanted := _wanted(letters, records[-1][1] if records else None):
                raise DataError(f"{path} cannot be read: line {number} is {line[:40]!r}; a FASTA file has {wanted}")
            records[-1][1].append(letters)
    sequences = [(name, "".join(parts).removesuffix("*").upper()) for name, parts in records]
    found = [_protein(name, sequence, path) for name, sequence in sequences if sequence]
    if not found:
        raise DataError(f"{path} holds no sequence; a FASTA file has lines that begin with >, and letters below each")
    return found


def _wanted(letters: str, before: list[str] | None) -> str:
    """What should stand here instead; nothing where the line is in order. A star ends a sequence."""
    if before is None:
        return "a line that begins with > before the first sequence"
    if before and before[-1].endswith("*"):
        return "nothing behind the star that ends a sequence; leave out either"
    letters = letters.removesuffix("*")
    if letters.isascii() and (letters.isalpha() or not letters):
        return ""
    gaps = "; take the gaps of an alignment, - and ., out of it" if set(letters) & set("-.") else ""
    return f"letters of amino acids alone{gaps}"


def _lines(path: Path) -> list[str]:
    try:
        return content(path).decode(errors="replace").split("\n")  # names may be in any encoding
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _protein(name: str, sequence: str, path: Path) -> Protein:
    n = len(sequence)
    return Protein(
        np.zeros((n, len(ATOMS), 3)),
        np.zeros((n, len(ATOMS)), bool),
        sequence_types(sequence),
        np.arange(n),
        np.zeros(n, np.int64),
        chain_names=(name,),
        source=path,
    )
