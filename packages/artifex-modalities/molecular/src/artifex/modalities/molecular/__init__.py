"""Molecules: their files, how they reach a model, and how valid, likely and diverse samples are. Names come on first use."""

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

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "MolecularModality": "artifex.modalities.molecular.modality",
        "MolecularModalityConfig": "artifex.modalities.molecular.config",
        "MolecularModel": "artifex.modalities.molecular.adapter",
        "MolecularModelAdapter": "artifex.modalities.molecular.adapter",
        "bond_orders": "artifex.modalities.molecular.elements",
        "canonical_smiles": "artifex.modalities.molecular.smiles",
        "conformer": "artifex.modalities.molecular.conformers",
        "constraints": "artifex.modalities.molecular.constraints",
        "datasets": "artifex.modalities.molecular.datasets",
        "draw_molecules": "artifex.modalities.molecular.writing",
        "from_selfies": "artifex.modalities.molecular.smiles",
        "graph": "artifex.modalities.molecular.conformers",
        "internal_diversity": "artifex.modalities.molecular.similarity",
        "metrics": "artifex.modalities.molecular.metrics",
        "molecule_from_graph": "artifex.modalities.molecular.conformers",
        "molecule_from_positions": "artifex.modalities.molecular.elements",
        "nearest_similarity": "artifex.modalities.molecular.similarity",
        "novelty": "artifex.modalities.molecular.similarity",
        "parse_smiles": "artifex.modalities.molecular.smiles",
        "qed": "artifex.modalities.molecular.properties",
        "scaffold_similarity": "artifex.modalities.molecular.similarity",
        "smiles_tokens": "artifex.modalities.molecular.smiles",
        "synthetic_accessibility": "artifex.modalities.molecular.properties",
        "to_selfies": "artifex.modalities.molecular.smiles",
        "uniqueness": "artifex.modalities.molecular.similarity",
        "vocabulary_of": "artifex.modalities.molecular.smiles",
    },
)
