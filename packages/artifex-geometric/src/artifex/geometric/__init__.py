"""Geometric generative models. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.geometric.egnn import EGNN as EGNN, EGNNConfig as EGNNConfig
    from artifex.geometric.equivariant_diffusion import (
        EquivariantDiffusion as EquivariantDiffusion,
        EquivariantDiffusionConfig as EquivariantDiffusionConfig,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "EGNN": "artifex.geometric.egnn",
        "EGNNConfig": "artifex.geometric.egnn",
        "EquivariantDiffusion": "artifex.geometric.equivariant_diffusion",
        "EquivariantDiffusionConfig": "artifex.geometric.equivariant_diffusion",
    },
)
