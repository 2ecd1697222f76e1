"""Data sets of points, voxels, molecules and backbones. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.geometric.datasets.backbones import Backbones as Backbones, BackbonesConfig as BackbonesConfig
    from artifex.geometric.datasets.qm9 import QM9 as QM9, QM9Config as QM9Config
    from artifex.geometric.datasets.solids import (
        SolidPoints as SolidPoints,
        SolidPointsConfig as SolidPointsConfig,
        SolidVoxels as SolidVoxels,
        SolidVoxelsConfig as SolidVoxelsConfig,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Backbones": "artifex.geometric.datasets.backbones",
        "BackbonesConfig": "artifex.geometric.datasets.backbones",
        "QM9": "artifex.geometric.datasets.qm9",
        "QM9Config": "artifex.geometric.datasets.qm9",
        "SolidPoints": "artifex.geometric.datasets.solids",
        "SolidPointsConfig": "artifex.geometric.datasets.solids",
        "SolidVoxels": "artifex.geometric.datasets.solids",
        "SolidVoxelsConfig": "artifex.geometric.datasets.solids",
    },
)
