"""The documented long path of :mod:`artifex.modalities.protein.datasets`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.protein.datasets.folds import ProteinFolds as ProteinFolds, ProteinFoldsConfig as ProteinFoldsConfig
    from artifex.modalities.protein.datasets.protein_dataset import (
        ProteinDataset as ProteinDataset,
        ProteinDatasetConfig as ProteinDatasetConfig,
        Skipped as Skipped,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ProteinDataset": "artifex.modalities.protein.datasets.protein_dataset",
        "ProteinDatasetConfig": "artifex.modalities.protein.datasets.protein_dataset",
        "ProteinFolds": "artifex.modalities.protein.datasets.folds",
        "ProteinFoldsConfig": "artifex.modalities.protein.datasets.folds",
        "Skipped": "artifex.modalities.protein.datasets.protein_dataset",
    },
)
