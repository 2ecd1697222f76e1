"""Configs of the molecular modality: the form a molecule takes on its way to a model."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from artifex.core.config import Config, config
from artifex.modalities.molecular.elements import ELEMENTS
from artifex.modalities.molecular.smiles import COMMON_TOKENS, END

__all__ = ["MolecularModalityConfig", "Representation", "check_vocabulary"]

Representation: TypeAlias = Literal["smiles", "selfies", "conformer"]
Count = Annotated[int, Field(ge=1)]


@config
class MolecularModalityConfig(Config):
    """What a model is given as ``x``: tokens of a SMILES or SELFIES, or atoms in space.

    >>> MolecularModalityConfig(max_length=32).shape, MolecularModalityConfig(representation="conformer").shape
    ((32,), (29, 8))
    """

    representation: Representation = "smiles"
    """Tokens `(L,)` of a SMILES or a SELFIES, or `(N, 3 + 5)`: positions in Å, then H, C, N, O or F one hot."""
    max_length: Count = 64
    """Tokens of the longest text, its end among them."""
    max_atoms: Count = 29
    """Atoms of the largest molecule in space, hydrogens among them."""
    vocabulary: tuple[str, ...] = ()
    """The tokens, `<end>` first; the data set has to have the same. Empty: the common ones of SMILES; SELFIES need theirs."""
    randomize_positions: bool = False
    """Turn each molecule in space at random, in training."""

    def __post_init__(self) -> None:
        check_vocabulary(self.representation, self.vocabulary)
        if self.randomize_positions and self.representation != "conformer":
            raise ValueError("randomize_positions turns molecules in space; set representation to 'conformer', or leave it out")

    @property
    def tokens(self) -> tuple[str, ...]:
        """The vocabulary that serves."""
        return self.vocabulary or COMMON_TOKENS

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return (self.max_atoms, 3 + len(ELEMENTS)) if self.representation == "conformer" else (self.max_length,)


def check_vocabulary(representation: str, vocabulary: tuple[str, ...]) -> None:
    """Refuse a vocabulary that is none.

    Raises:
        ValueError: the end is not its first token, or one occurs twice; or SELFIES have none.
    """
    if representation == "selfies" and not vocabulary:
        raise ValueError(
            "SELFIES have no vocabulary that serves all; give that of your data: artifex.modalities.molecular.vocabulary_of"
        )
    if vocabulary and vocabulary[0] != END:
        raise ValueError(f"the first token of a vocabulary is {END!r}; got {vocabulary[0]!r}")
    if len(set(vocabulary)) != len(vocabulary):
        twice = next(token for token in vocabulary if vocabulary.count(token) > 1)
        raise ValueError(f"the vocabulary has {twice!r} twice; leave one out")
