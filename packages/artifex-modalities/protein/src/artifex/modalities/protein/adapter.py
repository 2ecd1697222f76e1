"""A model of proteins as people meet it: it takes proteins, or their files, and gives proteins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.protein.arrays import packed
from artifex.modalities.protein.fasta import is_fasta, read_sequences
from artifex.modalities.protein.modality import ProteinModality
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.reading import read_proteins
from artifex.modalities.protein.tokens import Language, letters_of, letters_of_text, packed_tokens

__all__ = ["ProteinModel", "ProteinModelAdapter"]

OneProtein: TypeAlias = Protein | str | Path


class ProteinModel(AdaptedModel):
    """A model among proteins: what takes an ``x`` takes proteins or their files, and what gives one gives proteins.

    Where the modality has letters, it takes texts of them too, and gives such texts.

    ``None`` stands where the model drew none.
    """


class ProteinModelAdapter(ModalityAdapter[ProteinModality]):
    """Carries a model from proteins, or files of them, to proteins. Nothing is drawn at random.

    Args:
        modality: the form that the models are given.

    >>> import numpy as np
    >>> from artifex.modalities.protein import ProteinModalityConfig
    >>> adapter = ProteinModelAdapter(ProteinModality(ProteinModalityConfig(max_seq_length=4)))
    >>> x = 3.8 * np.arange(24.0).reshape(2, 4, 3)
    >>> batch = adapter.preprocess([Protein.from_positions(x)])
    >>> batch["x"].shape, batch["mask"].tolist(), adapter.postprocess(batch["x"])
    ((1, 4, 4, 3), [[True, True, False, False]], [Protein(2 residues, 8 atoms)])
    """

    takes = ProteinModality
    adapted = ProteinModel

    def stored(self, data: OneProtein | Iterable[OneProtein] | Mapping[str, Any]) -> Mapping[str, Any]:
        """Proteins and the chains of files as a stored batch.

        Where the modality has letters (``sequence``, ``secondary``), a ``str`` is a text of them and a ``Path`` a file, FASTA
        for sequences too; otherwise both are files.

        Raises:
            InvalidTypeError: there is something else among them.
            InvalidInputError: a protein is longer than the modality allows, or lacks atoms that it asks for; a text is none of
                letters.
            DataError: a file cannot be read.
        """
        if isinstance(data, Mapping):
            return {str(name): values for name, values in data.items()}
        config = self.modality.config
        many = data if isinstance(data, Iterable) and not isinstance(data, str) else [data]
        given = [_checked(one, row, bool(config.tokens)) for row, one in enumerate(many)]
        if config.representation in ("sequence", "secondary"):
            texts = [text for row, one in enumerate(given) for text in _letters(one, row, config.representation)]
            return packed_tokens(_some(texts), config.representation, config.max_seq_length)
        proteins = _some([p for one in given for p in ([one] if isinstance(one, Protein) else read_proteins(one))])
        longest = max(len(protein) for protein in proteins)
        if longest > config.max_seq_length:
            raise InvalidInputError(
                f"a protein has {longest} residues, max_seq_length is {config.max_seq_length}; raise it, or leave it out"
            )
        return packed(proteins, config.atoms, config.max_seq_length)


def _checked(given: Any, row: int, is_text: bool) -> OneProtein:
    if not isinstance(given, Protein | str | Path):
        text = ", no text of letters" if is_text else ""
        raise InvalidTypeError(
            f"row {row} is a {type(given).__name__}{text}, and neither a Protein nor a file; Protein.from_positions makes one "
            "of coordinates"
        )
    return given


def _letters(given: OneProtein, row: int, language: Language) -> list[str]:
    """One text of a protein or text, those of all chains of a file."""
    try:
        if isinstance(given, str):
            return [letters_of_text(given, language)]
        if isinstance(given, Protein):
            return [letters_of(given, language)]
        return [letters_of(p, language) for p in (read_sequences if is_fasta(given) else read_proteins)(given)]
    except InvalidInputError as error:
        raise InvalidInputError(f"row {row}: {error}") from error


def _some(found: list[Any]) -> list[Any]:
    if not found:
        raise InvalidInputError("there is no protein among these data")
    return found
