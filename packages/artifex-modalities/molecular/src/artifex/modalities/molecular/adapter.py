"""A model of molecules as people meet it: it takes SMILES or molecules, and gives molecules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array

from artifex.core.adapters import AdaptedModel, ModalityAdapter, has_argument
from artifex.core.errors import InvalidInputError
from artifex.modalities.molecular.arrays import encoded_text, packed_graphs, packed_positions, packed_tokens, text_of
from artifex.modalities.molecular.graphs import encoded_graph
from artifex.modalities.molecular.modality import MolecularModality
from artifex.modalities.molecular.smiles import parse_smiles

__all__ = ["MolecularModel", "MolecularModelAdapter"]


class MolecularModel(AdaptedModel):
    """A model among molecules: what takes an ``x`` takes SMILES or molecules, and what gives one gives RDKit molecules.

    ``None`` stands where the model drew none. Of graphs, a model that takes no mask sees padded places as what they are: no
    element, no bond.
    """

    def _given(self, batch: Mapping[str, Any], method: Callable[..., Any]) -> tuple[Array, dict[str, Array]]:
        if self.adapter.modality.config.representation == "graph" and not has_argument(method, "mask"):
            return batch["x"], {}
        return super()._given(batch, method)


class MolecularModelAdapter(ModalityAdapter[MolecularModality]):
    """Carries a model from molecules to molecules.

    Args:
        modality: the form that the models are given.

    >>> from artifex.modalities.molecular import MolecularModalityConfig, canonical_smiles
    >>> adapter = MolecularModelAdapter(MolecularModality(MolecularModalityConfig(max_length=8)))
    >>> batch = adapter.preprocess(["OCC", "C"])
    >>> batch["x"].shape, [canonical_smiles(m) for m in adapter.postprocess(batch["x"])]
    ((2, 8), ['CCO', 'C'])
    """

    takes = MolecularModality
    adapted = MolecularModel

    def stored(self, data: str | Sequence[Any] | Mapping[str, Any]) -> Mapping[str, Any]:
        """SMILES or RDKit molecules as a stored batch.

        Raises:
            InvalidInputError: a SMILES is of no molecule, or one does not fit: length, vocabulary, elements, no positions,
                what a graph does not hold.
        """
        if isinstance(data, Mapping):
            return data
        config = self.modality.config
        molecules = [_molecule(given, row) for row, given in enumerate([data] if isinstance(data, str) else data)]
        if config.representation == "conformer":
            return packed_positions(molecules, config.max_atoms)
        if config.representation == "graph":
            rows = [self._graph(molecule, row) for row, molecule in enumerate(molecules)]
            return packed_graphs(rows, len(config.symbols), config.max_atoms)
        language = config.representation
        texts = (text_of(molecule, language) for molecule in molecules)
        return packed_tokens([encoded_text(t, language, config.tokens, config.max_length) for t in texts], config.max_length)

    def _graph(self, molecule: Any, row: int) -> np.ndarray:
        try:
            return encoded_graph(molecule, self.modality.config.symbols, self.modality.config.max_atoms)
        except InvalidInputError as error:
            raise InvalidInputError(f"row {row}: {error}") from error


def _molecule(given: Any, row: int) -> Any:
    from rdkit import Chem

    if isinstance(given, Chem.Mol):
        return given
    molecule = parse_smiles(str(given)) if isinstance(given, str) else None
    if molecule is None:
        wanted = (
            "no SMILES of a molecule" if isinstance(given, str) else "neither a SMILES nor a molecule of RDKit; leave it out"
        )
        raise InvalidInputError(f"row {row}: {given!r} is {wanted}")
    return molecule
