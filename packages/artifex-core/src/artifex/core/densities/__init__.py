"""Known densities on the plane: draws, log densities and entropies. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.densities.curves import SwissRoll as SwissRoll, TwoMoons as TwoMoons, TwoSpirals as TwoSpirals
    from artifex.core.densities.dataset import (
        DENSITIES as DENSITIES,
        DensitySamples as DensitySamples,
        DensitySamplesConfig as DensitySamplesConfig,
    )
    from artifex.core.densities.density import Density as Density
    from artifex.core.densities.gaussians import EightGaussians as EightGaussians, GridOfGaussians as GridOfGaussians
    from artifex.core.densities.radial import Pinwheel as Pinwheel, Rings as Rings
    from artifex.core.densities.warped import Banana as Banana, Checkerboard as Checkerboard, Funnel as Funnel

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Banana": "artifex.core.densities.warped",
        "Checkerboard": "artifex.core.densities.warped",
        "DENSITIES": "artifex.core.densities.dataset",
        "Density": "artifex.core.densities.density",
        "DensitySamples": "artifex.core.densities.dataset",
        "DensitySamplesConfig": "artifex.core.densities.dataset",
        "EightGaussians": "artifex.core.densities.gaussians",
        "Funnel": "artifex.core.densities.warped",
        "GridOfGaussians": "artifex.core.densities.gaussians",
        "Pinwheel": "artifex.core.densities.radial",
        "Rings": "artifex.core.densities.radial",
        "SwissRoll": "artifex.core.densities.curves",
        "TwoMoons": "artifex.core.densities.curves",
        "TwoSpirals": "artifex.core.densities.curves",
    },
)
