"""Data sets of points, meshes, voxels, molecules and backbones. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.geometric.datasets.qm9 import QM9 as QM9, QM9Config as QM9Config

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "QM9": "artifex.geometric.datasets.qm9",
        "QM9Config": "artifex.geometric.datasets.qm9",
    },
)
