"""Configs of the molecular modality: the form a molecule takes on its way to a model."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from artifex.core.config import Config, config
from artifex.modalities.molecular.elements import ELEMENTS
from artifex.modalities.molecular.graphs import SYMBOLS, ZINC
from artifex.modalities.molecular.smiles import COMMON_TOKENS, END

__all__ = ["MolecularModalityConfig", "Representation", "check_elements", "check_vocabulary"]

Representation: TypeAlias = Literal["smiles", "selfies", "graph", "conformer"]
Count = Annotated[int, Field(ge=1)]


@config
class MolecularModalityConfig(Config):
    """What a model is given as ``x``: tokens of a SMILES or SELFIES, atoms and their bonds, or atoms in space.

    >>> MolecularModalityConfig(max_length=32).shape, MolecularModalityConfig(representation="conformer").shape
    ((32,), (29, 8))
    >>> MolecularModalityConfig(representation="graph", max_atoms=9, elements=("C", "N", "O", "F")).shape
    (9, 14)
    """

    representation: Representation = "smiles"
    """Tokens `(L,)` of a SMILES or a SELFIES; heavy atoms of a graph, `(N, A + 1 + N)`: element one hot, charge, and order of
    the bond to each atom, kekulised; or atoms in space, `(N, 3 + 5)`: positions in Å, then H, C, N, O or F one hot."""
    max_length: Count = 64
    """Tokens of the longest text, its end among them."""
    max_atoms: Count = 29
    """Atoms of the largest molecule: in space, hydrogens among them; of a graph, without them."""
    elements: tuple[str, ...] = ()
    """Of graphs, in the order of their columns; the data set has to have the same. Empty: the nine of ZINC250k."""
    vocabulary: tuple[str, ...] = ()
    """The tokens, `<end>` first; the data set has to have the same. Empty: the common ones of SMILES; SELFIES need theirs."""
    randomize_positions: bool = False
    """Turn each molecule in space at random, in training."""
    randomize_order: bool = False
    """Put the atoms of each graph in random order, in training: it has none of its own."""

    def __post_init__(self) -> None:
        check_vocabulary(self.representation, self.vocabulary)
        check_elements(self.representation, self.elements)
        if self.randomize_order and self.representation != "graph":
            raise ValueError("randomize_order orders the atoms of graphs; set representation to 'graph', or leave it out")
        if self.randomize_positions and self.representation != "conformer":
            raise ValueError("randomize_positions turns molecules in space; set representation to 'conformer', or leave it out")

    @property
    def tokens(self) -> tuple[str, ...]:
        """The vocabulary that serves."""
        return self.vocabulary or COMMON_TOKENS

    @property
    def symbols(self) -> tuple[str, ...]:
        """The elements that serve."""
        return self.elements or ZINC

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        if self.representation == "graph":
            return (self.max_atoms, len(self.symbols) + 1 + self.max_atoms)
        return (self.max_atoms, 3 + len(ELEMENTS)) if self.representation == "conformer" else (self.max_length,)


def check_vocabulary(representation: str, vocabulary: tuple[str, ...]) -> None:
    """Refuse a vocabulary that is none.

    Raises:
        ValueError: it is not of texts; the end is not its first token, or one occurs twice; or SELFIES have none.
    """
    if vocabulary and representation not in ("smiles", "selfies"):
        raise ValueError(f"a vocabulary is of SMILES or SELFIES; leave it out of representation={representation!r}")
    if representation == "selfies" and not vocabulary:
        raise ValueError(
            "SELFIES have no vocabulary that serves all; give that of your data: artifex.modalities.molecular.vocabulary_of"
        )
    if vocabulary and vocabulary[0] != END:
        raise ValueError(f"the first token of a vocabulary is {END!r}; got {vocabulary[0]!r}")
    if len(set(vocabulary)) != len(vocabulary):
        twice = next(token for token in vocabulary if vocabulary.count(token) > 1)
        raise ValueError(f"the vocabulary has {twice!r} twice; leave one out")


def check_elements(representation: str, elements: tuple[str, ...]) -> None:
    """Refuse elements that are none.

    Raises:
        ValueError: they are not of graphs, one is no symbol, or occurs twice.
    """
    if elements and representation != "graph":
        raise ValueError(f"'elements' are those of graphs; leave them out of representation={representation!r}")
    for i, symbol in enumerate(elements):
        if symbol not in SYMBOLS:
            raise ValueError(f"{symbol!r} in 'elements' is the symbol of no element; write C for carbon, Cl for chlorine")
        if symbol in elements[:i]:
            raise ValueError(f"'elements' have {symbol!r} twice; leave one out")
