"""A model of molecules as people meet it: it takes SMILES or molecules, and gives molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array

from artifex.core import protocols
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.molecular.arrays import encoded_text, packed_positions, packed_tokens, text_of
from artifex.modalities.molecular.modality import MolecularModality
from artifex.modalities.molecular.smiles import parse_smiles

__all__ = ["MolecularModel", "MolecularModelAdapter"]


class MolecularModelAdapter:
    """Carries a model from molecules to molecules; follows :class:`artifex.core.protocols.ModelAdapter`.

    Args:
        modality: the form that the models are given.

    >>> from artifex.modalities.molecular import MolecularModalityConfig, canonical_smiles
    >>> adapter = MolecularModelAdapter(MolecularModality(MolecularModalityConfig(max_length=8)))
    >>> batch = adapter.preprocess(["OCC", "C"])
    >>> batch["x"].shape, [canonical_smiles(m) for m in adapter.postprocess(batch["x"])]
    ((2, 8), ['CCO', 'C'])
    """

    def __init__(self, modality: MolecularModality) -> None:
        if not isinstance(modality, MolecularModality):
            raise InvalidTypeError(f"MolecularModelAdapter takes a MolecularModality, got {type(modality).__name__}")
        self.modality = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> MolecularModel:
        """``model`` among molecules; it is the same model, not a copy."""
        return MolecularModel(model, self)

    def preprocess(self, data: Sequence[Any] | Mapping[str, Any]) -> dict[str, Array]:
        """SMILES, RDKit molecules, or a stored batch, as a model's batch.

        Raises:
            InvalidInputError: a SMILES is of no molecule, or one does not fit: length, vocabulary, elements, no positions.
        """
        if isinstance(data, Mapping):
            return self.modality.prepare(data, train=False)
        config = self.modality.config
        molecules = [self._molecule(given, row) for row, given in enumerate([data] if isinstance(data, str) else data)]
        if config.representation == "conformer":
            return self.modality.prepare(packed_positions(molecules, config.max_atoms), train=False)
        language = config.representation
        texts = (text_of(molecule, language) for molecule in molecules)
        rows = [encoded_text(text, language, config.tokens, config.max_length) for text in texts]
        return self.modality.prepare(packed_tokens(rows, config.max_length), train=False)

    def postprocess(self, outputs: Array, mask: Array | None = None) -> list[Any | None]:
        """What a model gives in the place of ``x`` as RDKit molecules; ``None`` where it is none."""
        return self.modality.to_host(np.asarray(outputs), None if mask is None else np.asarray(mask))

    def _molecule(self, given: Any, row: int) -> Any:
        if not isinstance(given, str):
            return given
        molecule = parse_smiles(given)
        if molecule is None:
            raise InvalidInputError(f"row {row}: {given!r} is no SMILES of a molecule")
        return molecule


class MolecularModel:
    """A model among molecules: what takes an ``x`` takes SMILES or molecules, and what gives one gives molecules.

    It has those of the methods ``reconstruct``, ``encode``, ``decode`` and ``log_prob`` that the model has.
    """

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: MolecularModelAdapter) -> None:
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

    def __call__(self, molecules: Any, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, Array]:
        """The model's own outputs for these molecules."""
        batch = self.adapter.preprocess(molecules)
        return self.model(batch["x"], mask=batch["mask"], rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> list[Any | None]:
        """``n_samples`` new molecules; ``None`` where the model drew none."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _decode(self, z: Any, **given: Any) -> list[Any | None]:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, molecules: Any, **given: Any) -> Any:
        batch = self.adapter.preprocess(molecules)
        return self.model.encode(batch["x"], mask=batch["mask"], **given)

    def _log_prob(self, molecules: Any, **given: Any) -> Array:
        batch = self.adapter.preprocess(molecules)
        return self.model.log_prob(batch["x"], mask=batch["mask"], **given)

    def _reconstruct(self, molecules: Any, **given: Any) -> list[Any | None]:
        batch = self.adapter.preprocess(molecules)
        return self.adapter.postprocess(self.model.reconstruct(batch["x"], mask=batch["mask"], **given), batch["mask"])
