"""Known densities on the plane: draws, log densities and entropies. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.flow.densities.curves import SwissRoll as SwissRoll, TwoMoons as TwoMoons, TwoSpirals as TwoSpirals
    from artifex.flow.densities.dataset import (
        DENSITIES as DENSITIES,
        DensitySamples as DensitySamples,
        DensitySamplesConfig as DensitySamplesConfig,
    )
    from artifex.flow.densities.density import Density as Density
    from artifex.flow.densities.gaussians import EightGaussians as EightGaussians, GridOfGaussians as GridOfGaussians
    from artifex.flow.densities.radial import Pinwheel as Pinwheel, Rings as Rings
    from artifex.flow.densities.warped import Banana as Banana, Checkerboard as Checkerboard, Funnel as Funnel

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Banana": "artifex.flow.densities.warped",
        "Checkerboard": "artifex.flow.densities.warped",
        "DENSITIES": "artifex.flow.densities.dataset",
        "Density": "artifex.flow.densities.density",
        "DensitySamples": "artifex.flow.densities.dataset",
        "DensitySamplesConfig": "artifex.flow.densities.dataset",
        "EightGaussians": "artifex.flow.densities.gaussians",
        "Funnel": "artifex.flow.densities.warped",
        "GridOfGaussians": "artifex.flow.densities.gaussians",
        "Pinwheel": "artifex.flow.densities.radial",
        "Rings": "artifex.flow.densities.radial",
        "SwissRoll": "artifex.flow.densities.curves",
        "TwoMoons": "artifex.flow.densities.curves",
        "TwoSpirals": "artifex.flow.densities.curves",
    },
)
