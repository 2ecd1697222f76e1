"""What all data sets of molecules have in common: the form of an example, and how examples are split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.splits import SPLITS, require_split
from artifex.modalities.molecular.arrays import encoded_text, packed_graphs, packed_positions, packed_tokens, text_of
from artifex.modalities.molecular.config import Representation, check_elements, check_vocabulary
from artifex.modalities.molecular.conformers import conformer
from artifex.modalities.molecular.graphs import ZINC, encoded_graph
from artifex.modalities.molecular.smiles import COMMON_TOKENS, canonical_smiles
from artifex.modalities.molecular.valid import without_hydrogens

__all__ = ["MoleculeDataset", "MoleculeDatasetConfig"]

Count = Annotated[int, Field(ge=1)]


@config
class MoleculeDatasetConfig(Config):
    """The form of an example; as the config of the modality has it."""

    representation: Representation = "smiles"
    """Tokens of a canonical SMILES or of its SELFIES, a graph, or atoms in space: of a file that has them, else ETKDG's."""
    max_length: Count = 64
    """Tokens of the longest text, its end among them."""
    max_atoms: Count = 29
    """Atoms of the largest molecule: in space, hydrogens among them; of a graph, without them."""
    elements: tuple[str, ...] = ()
    """Of graphs, in the order of their columns; empty: the nine of ZINC250k."""
    vocabulary: tuple[str, ...] = ()
    """The tokens, `<end>` first; empty: the common ones of SMILES."""
    held_out: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    """Share of the molecules in each of `test` and `validation`."""
    conformer_seed: Annotated[int, Field(ge=0)] = 1
    """Of the positions that ETKDG draws."""

    def __post_init__(self) -> None:
        check_vocabulary(self.representation, self.vocabulary)
        check_elements(self.representation, self.elements)


C = TypeVar("C", bound=MoleculeDatasetConfig)


class MoleculeDataset(Generic[C]):
    """Molecules in memory. Abstract: a data set adds :meth:`read`.

    ``x`` int32 ``(M, L)`` and ``mask``, true up to the end token; or ``x`` float32, ``(M, N, A + 1 + N)`` of graphs or
    ``(M, N, 8)`` in space, and ``mask``, true where there is an atom. A molecule's
    split follows from a checksum of its canonical SMILES: the same molecule is in one split only, in any order of any file.
    """

    config: C

    def read(self) -> Sequence[tuple[str, Any]]:
        """Molecules, each with what messages call it.

        Raises:
            DataError: they cannot be read.
        """
        raise NotImplementedError

    def refused(self, where: str, reason: str) -> None:
        """Told of a molecule that makes no example; the base refuses it.

        Raises:
            InvalidInputError: always, in the base.
        """
        raise InvalidInputError(f"{where}: {reason}")

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, and ``test`` and ``validation`` where there are molecules in them."""
        return tuple(split for split in SPLITS if len(self._examples[split]))

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._examples.values())

    def molecules(self, split: str) -> list[Any]:
        """One split as RDKit molecules. Raises :class:`InvalidInputError` for a split that does not exist."""
        require_split(split, self.splits, type(self).__name__)
        return [molecule for molecule, _ in self._examples[split]]

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """One split.

        Raises:
            InvalidInputError: there is no such split.
            DataError: the molecules cannot be read.
        """
        require_split(split, self.splits, type(self).__name__)
        rows = [row for _, row in self._examples[split]]
        if self.config.representation == "conformer":
            return packed_positions(rows, self.config.max_atoms)
        if self.config.representation == "graph":
            return packed_graphs(rows, len(self.config.elements or ZINC), self.config.max_atoms)
        return packed_tokens(rows, self.config.max_length)

    @cached_property
    def _examples(self) -> dict[str, list[tuple[Any, Any]]]:
        """Molecules with what an array holds of them, by split."""
        found: dict[str, list[tuple[Any, Any]]] = {split: [] for split in SPLITS}
        for where, molecule in self.read():
            try:
                row = self._row(molecule)
            except InvalidInputError as error:
                self.refused(where, str(error))
                continue
            found[self._split_of(molecule)].append((molecule, row))
        return found

    def _row(self, molecule: Any) -> Any:
        config = self.config
        if config.representation == "conformer":
            molecule = self._in_space(molecule)
            packed_positions([molecule], config.max_atoms)  # raises where it does not fit
            return molecule
        if config.representation == "graph":
            return encoded_graph(molecule, config.elements or ZINC, config.max_atoms)
        tokens = config.vocabulary or COMMON_TOKENS
        return encoded_text(text_of(molecule, config.representation), config.representation, tokens, config.max_length)

    def _in_space(self, molecule: Any) -> Any:
        if molecule.GetNumConformers() and molecule.GetConformer().Is3D():
            return molecule
        made = conformer(molecule, seed=self.config.conformer_seed)
        if made.molecule is None:
            raise InvalidInputError(made.reason)
        return made.molecule

    def _split_of(self, molecule: Any) -> str:
        text = canonical_smiles(without_hydrogens(molecule), stereo=False)
        digest = hashlib.sha256(text.encode()).digest()
        place, held = int.from_bytes(digest[:8], "big") / 2**64, self.config.held_out
        return "test" if place < held else "validation" if place < 2 * held else "train"
