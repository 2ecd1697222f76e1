"""A model of proteins as people meet it: it takes proteins, or their files, and gives proteins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.protein.arrays import packed
from artifex.modalities.protein.modality import ProteinModality
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.reading import read_proteins

__all__ = ["ProteinModel", "ProteinModelAdapter"]

OneProtein: TypeAlias = Protein | str | Path


class ProteinModel(AdaptedModel):
    """A model among proteins: what takes an ``x`` takes proteins or their files, and what gives one gives proteins.

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

        Raises:
            InvalidTypeError: there is something else among them.
            InvalidInputError: a protein is longer than the modality allows, or lacks atoms that it asks for.
            DataError: a file cannot be read.
        """
        if isinstance(data, Mapping):
            return {str(name): values for name, values in data.items()}
        proteins: list[Protein] = []
        many = data if isinstance(data, Iterable) and not isinstance(data, str) else [data]
        for row, given in enumerate(many):
            if not isinstance(given, Protein | str | Path):
                raise InvalidTypeError(
                    f"row {row} is a {type(given).__name__}, and neither a Protein nor a file; Protein.from_positions makes "
                    "one of coordinates"
                )
            proteins += [given] if isinstance(given, Protein) else read_proteins(given)
        config = self.modality.config
        if not proteins:
            raise InvalidInputError("there is no protein among these data")
        longest = max(len(protein) for protein in proteins)
        if longest > config.max_seq_length:
            raise InvalidInputError(
                f"a protein has {longest} residues, max_seq_length is {config.max_seq_length}; raise it, or leave it out"
            )
        return packed(proteins, config.atoms, config.max_seq_length)
