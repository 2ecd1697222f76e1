"""Bijections: one a file, pure and composable. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.flow.bijections.actnorm import ActNorm as ActNorm
    from artifex.flow.bijections.affine import (
        AdditiveTransformer as AdditiveTransformer,
        AffineTransformer as AffineTransformer,
    )
    from artifex.flow.bijections.autoregressive import MaskedAutoregressive as MaskedAutoregressive
    from artifex.flow.bijections.bijection import Bijection as Bijection, Chain as Chain, Inverse as Inverse
    from artifex.flow.bijections.coupling import Coupling as Coupling
    from artifex.flow.bijections.image_coupling import (
        ChannelCoupling as ChannelCoupling,
        CheckerboardCoupling as CheckerboardCoupling,
    )
    from artifex.flow.bijections.linear import LULinear as LULinear
    from artifex.flow.bijections.ode import NeuralODE as NeuralODE, ODESolverConfig as ODESolverConfig
    from artifex.flow.bijections.permutation import Permutation as Permutation
    from artifex.flow.bijections.planar import Planar as Planar
    from artifex.flow.bijections.radial import Radial as Radial
    from artifex.flow.bijections.scalar import (
        Exp as Exp,
        Rescale as Rescale,
        Sigmoid as Sigmoid,
        Softplus as Softplus,
        Tanh as Tanh,
    )
    from artifex.flow.bijections.spline import SplineTransformer as SplineTransformer
    from artifex.flow.bijections.squeeze import Flatten as Flatten, Split as Split, Squeeze as Squeeze
    from artifex.flow.bijections.standardize import Standardize as Standardize
    from artifex.flow.bijections.transformer import Transformer as Transformer

_HOMES = {
    "actnorm": ("ActNorm",),
    "affine": ("AdditiveTransformer", "AffineTransformer"),
    "autoregressive": ("MaskedAutoregressive",),
    "bijection": ("Bijection", "Chain", "Inverse"),
    "coupling": ("Coupling",),
    "image_coupling": ("ChannelCoupling", "CheckerboardCoupling"),
    "linear": ("LULinear",),
    "ode": ("NeuralODE", "ODESolverConfig"),
    "permutation": ("Permutation",),
    "planar": ("Planar",),
    "radial": ("Radial",),
    "scalar": ("Exp", "Rescale", "Sigmoid", "Softplus", "Tanh"),
    "spline": ("SplineTransformer",),
    "squeeze": ("Flatten", "Split", "Squeeze"),
    "standardize": ("Standardize",),
    "transformer": ("Transformer",),
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}
)
