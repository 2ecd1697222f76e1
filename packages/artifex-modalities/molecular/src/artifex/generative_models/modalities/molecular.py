"""The documented long path of :mod:`artifex.modalities.molecular`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.molecular import constraints as constraints, datasets as datasets, metrics as metrics
    from artifex.modalities.molecular.adapter import (
        MolecularModel as MolecularModel,
        MolecularModelAdapter as MolecularModelAdapter,
    )
    from artifex.modalities.molecular.config import MolecularModalityConfig as MolecularModalityConfig
    from artifex.modalities.molecular.conformers import (
        conformer as conformer,
        graph as graph,
        molecule_from_graph as molecule_from_graph,
    )
    from artifex.modalities.molecular.elements import (
        bond_orders as bond_orders,
        molecule_from_positions as molecule_from_positions,
    )
    from artifex.modalities.molecular.modality import MolecularModality as MolecularModality
    from artifex.modalities.molecular.properties import qed as qed, synthetic_accessibility as synthetic_accessibility
    from artifex.modalities.molecular.similarity import (
        internal_diversity as internal_diversity,
        nearest_similarity as nearest_similarity,
        novelty as novelty,
        scaffold_similarity as scaffold_similarity,
        uniqueness as uniqueness,
    )
    from artifex.modalities.molecular.smiles import (
        canonical_smiles as canonical_smiles,
        from_selfies as from_selfies,
        parse_smiles as parse_smiles,
        smiles_tokens as smiles_tokens,
        to_selfies as to_selfies,
        vocabulary_of as vocabulary_of,
    )
    from artifex.modalities.molecular.writing import draw_molecules as draw_molecules

_NAMES = (
    "MolecularModality",
    "MolecularModalityConfig",
    "MolecularModel",
    "MolecularModelAdapter",
    "bond_orders",
    "canonical_smiles",
    "conformer",
    "constraints",
    "datasets",
    "draw_molecules",
    "from_selfies",
    "graph",
    "internal_diversity",
    "metrics",
    "molecule_from_graph",
    "molecule_from_positions",
    "nearest_similarity",
    "novelty",
    "parse_smiles",
    "qed",
    "scaffold_similarity",
    "smiles_tokens",
    "synthetic_accessibility",
    "to_selfies",
    "uniqueness",
    "vocabulary_of",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.molecular"))
