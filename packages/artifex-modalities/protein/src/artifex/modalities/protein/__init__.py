"""Proteins: their files, how they reach a model, and how sound and how alike structures are. Names come on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.protein import constraints as constraints, datasets as datasets, metrics as metrics
    from artifex.modalities.protein.adapter import ProteinModel as ProteinModel, ProteinModelAdapter as ProteinModelAdapter
    from artifex.modalities.protein.config import ProteinModalityConfig as ProteinModalityConfig
    from artifex.modalities.protein.constraints import Violation as Violation, violations as violations
    from artifex.modalities.protein.extensions import (
        BondAngleExtension as BondAngleExtension,
        BondAngleExtensionConfig as BondAngleExtensionConfig,
        BondLengthExtension as BondLengthExtension,
        BondLengthExtensionConfig as BondLengthExtensionConfig,
    )
    from artifex.modalities.protein.fasta import read_sequences as read_sequences
    from artifex.modalities.protein.internal import (
        backbone_dihedrals as backbone_dihedrals,
        backbone_from_dihedrals as backbone_from_dihedrals,
        backbone_from_frames as backbone_from_frames,
        residue_frames as residue_frames,
    )
    from artifex.modalities.protein.modality import ProteinModality as ProteinModality
    from artifex.modalities.protein.protein import Protein as Protein, sequence_types as sequence_types
    from artifex.modalities.protein.reading import read_proteins as read_proteins
    from artifex.modalities.protein.secondary import secondary_structure as secondary_structure
    from artifex.modalities.protein.similarity import gdt_ts as gdt_ts, lddt as lddt, rmsd as rmsd, tm_score as tm_score
    from artifex.modalities.protein.writing import write_proteins as write_proteins

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "BondAngleExtension": "artifex.modalities.protein.extensions",
        "BondAngleExtensionConfig": "artifex.modalities.protein.extensions",
        "BondLengthExtension": "artifex.modalities.protein.extensions",
        "BondLengthExtensionConfig": "artifex.modalities.protein.extensions",
        "Protein": "artifex.modalities.protein.protein",
        "ProteinModality": "artifex.modalities.protein.modality",
        "ProteinModalityConfig": "artifex.modalities.protein.config",
        "ProteinModel": "artifex.modalities.protein.adapter",
        "ProteinModelAdapter": "artifex.modalities.protein.adapter",
        "Violation": "artifex.modalities.protein.constraints",
        "backbone_dihedrals": "artifex.modalities.protein.internal",
        "backbone_from_dihedrals": "artifex.modalities.protein.internal",
        "backbone_from_frames": "artifex.modalities.protein.internal",
        "constraints": "artifex.modalities.protein.constraints",
        "datasets": "artifex.modalities.protein.datasets",
        "gdt_ts": "artifex.modalities.protein.similarity",
        "lddt": "artifex.modalities.protein.similarity",
        "metrics": "artifex.modalities.protein.metrics",
        "read_proteins": "artifex.modalities.protein.reading",
        "read_sequences": "artifex.modalities.protein.fasta",
        "residue_frames": "artifex.modalities.protein.internal",
        "rmsd": "artifex.modalities.protein.similarity",
        "secondary_structure": "artifex.modalities.protein.secondary",
        "sequence_types": "artifex.modalities.protein.protein",
        "tm_score": "artifex.modalities.protein.similarity",
        "violations": "artifex.modalities.protein.constraints",
        "write_proteins": "artifex.modalities.protein.writing",
    },
)
