"""A model of proteins as people meet it: it takes proteins, or their files, and gives proteins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array

from artifex.core import protocols
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.protein.arrays import packed
from artifex.modalities.protein.modality import ProteinModality
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.reading import read_proteins

__all__ = ["ProteinModel", "ProteinModelAdapter"]


class ProteinModelAdapter:
    """Carries a model from proteins to proteins; follows :class:`artifex.core.protocols.ModelAdapter`.

    Args:
        modality: the form that the models are given.

    >>> from artifex.modalities.protein import ProteinModalityConfig
    >>> adapter = ProteinModelAdapter(ProteinModality(ProteinModalityConfig(max_seq_length=4)))
    >>> x = 3.8 * np.arange(24.0).reshape(2, 4, 3)
    >>> batch = adapter.preprocess([Protein.from_positions(x)])
    >>> batch["x"].shape, batch["mask"].tolist(), adapter.postprocess(batch["x"])
    ((1, 4, 4, 3), [[True, True, False, False]], [Protein(2 residues, 8 atoms)])
    """

    def __init__(self, modality: ProteinModality) -> None:
        if not isinstance(modality, ProteinModality):
            raise InvalidTypeError(f"ProteinModelAdapter takes a ProteinModality, got {type(modality).__name__}")
        self.modality = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> ProteinModel:
        """``model`` among proteins; it is the same model, not a copy."""
        return ProteinModel(model, self)

    def preprocess(self, data: Sequence[Protein | str | Path] | Mapping[str, Any]) -> dict[str, Array]:
        """Proteins, files of them, or a stored batch, as a model's batch. Nothing is drawn at random.

        Raises:
            InvalidInputError: a protein is longer than the modality allows, or lacks atoms that it asks for.
            DataError: a file cannot be read.
        """
        if isinstance(data, Mapping):
            return self.modality.prepare(data, train=False)
        if isinstance(data, str | Path | Protein):
            data = [data]
        proteins: list[Protein] = []
        for given in data:
            proteins += [given] if isinstance(given, Protein) else read_proteins(given)
        config = self.modality.config
        if not proteins:
            raise InvalidInputError("there is no protein among these data")
        longest = max(len(protein) for protein in proteins)
        if longest > config.max_seq_length:
            raise InvalidInputError(
                f"a protein has {longest} residues, max_seq_length is {config.max_seq_length}; raise it, or leave it out"
            )
        return self.modality.prepare(packed(proteins, config.atoms, config.max_seq_length), train=False)

    def postprocess(self, outputs: Array, mask: Array | None = None) -> list[Protein | None]:
        """What a model gives in the place of ``x`` as proteins; ``None`` where it is none."""
        return self.modality.to_host(np.asarray(outputs), None if mask is None else np.asarray(mask))


class ProteinModel:
    """A model among proteins: what takes an ``x`` takes proteins or their files, and what gives one gives proteins.

    It has those of the methods ``reconstruct``, ``encode``, ``decode`` and ``log_prob`` that the model has.
    """

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: ProteinModelAdapter) -> None:
        if not isinstance(model, protocols.GenerativeModelProtocol):
            raise InvalidTypeError(f"adapt_model takes a model with __call__ and generate, got {type(model).__name__}")
        self.model: Any = model
        self.adapter = adapter
        capabilities = {
            "decode": (protocols.Decodes, self._decode),
            "encode": (protocols.Encodes, self._encode),
            "log_prob": (protocols.HasLogProb, self._log_prob),
            "reconstruct": (protocols.Reconstructs, self._reconstruct),
        }
        for name, (protocol, method) in capabilities.items():
            if isinstance(model, protocol):
                setattr(self, name, method)

    def __call__(self, proteins: Any, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, Array]:
        """The model's own outputs for these proteins."""
        batch = self.adapter.preprocess(proteins)
        return self.model(batch["x"], mask=batch["mask"], rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> list[Protein | None]:
        """``n_samples`` new proteins."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _decode(self, z: Any, **given: Any) -> list[Protein | None]:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, proteins: Any, **given: Any) -> Any:
        batch = self.adapter.preprocess(proteins)
        return self.model.encode(batch["x"], mask=batch["mask"], **given)

    def _log_prob(self, proteins: Any, **given: Any) -> Array:
        batch = self.adapter.preprocess(proteins)
        return self.model.log_prob(batch["x"], mask=batch["mask"], **given)

    def _reconstruct(self, proteins: Any, **given: Any) -> list[Protein | None]:
        batch = self.adapter.preprocess(proteins)
        return self.adapter.postprocess(self.model.reconstruct(batch["x"], mask=batch["mask"], **given), batch["mask"])
