"""The documented long path of :mod:`artifex.modalities.protein`: the same objects."""

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

_NAMES = (
    "BondAngleExtension",
    "BondAngleExtensionConfig",
    "BondLengthExtension",
    "BondLengthExtensionConfig",
    "Protein",
    "ProteinModality",
    "ProteinModalityConfig",
    "ProteinModel",
    "ProteinModelAdapter",
    "Violation",
    "backbone_dihedrals",
    "backbone_from_dihedrals",
    "backbone_from_frames",
    "constraints",
    "datasets",
    "gdt_ts",
    "lddt",
    "metrics",
    "read_proteins",
    "read_sequences",
    "residue_frames",
    "rmsd",
    "secondary_structure",
    "sequence_types",
    "tm_score",
    "violations",
    "write_proteins",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.protein"))
