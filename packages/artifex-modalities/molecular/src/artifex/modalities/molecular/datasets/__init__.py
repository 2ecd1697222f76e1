"""Data sets of molecules: a file, a small list, and what packages ship. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.molecular.datasets.molecule_file import (
        MoleculeFile as MoleculeFile,
        MoleculeFileConfig as MoleculeFileConfig,
        Skipped as Skipped,
    )
    from artifex.modalities.molecular.datasets.packaged import (
        CommonMolecules as CommonMolecules,
        CommonMoleculesConfig as CommonMoleculesConfig,
        MosesMolecules as MosesMolecules,
        MosesMoleculesConfig as MosesMoleculesConfig,
        QM9Molecules as QM9Molecules,
        QM9MoleculesConfig as QM9MoleculesConfig,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "CommonMolecules": "artifex.modalities.molecular.datasets.packaged",
        "CommonMoleculesConfig": "artifex.modalities.molecular.datasets.packaged",
        "MoleculeFile": "artifex.modalities.molecular.datasets.molecule_file",
        "MoleculeFileConfig": "artifex.modalities.molecular.datasets.molecule_file",
        "MosesMolecules": "artifex.modalities.molecular.datasets.packaged",
        "MosesMoleculesConfig": "artifex.modalities.molecular.datasets.packaged",
        "QM9Molecules": "artifex.modalities.molecular.datasets.packaged",
        "QM9MoleculesConfig": "artifex.modalities.molecular.datasets.packaged",
        "Skipped": "artifex.modalities.molecular.datasets.molecule_file",
    },
)
