"""Bijections: one a file, pure and composable. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.flow.bijections.affine import (
        AdditiveTransformer as AdditiveTransformer,
        AffineTransformer as AffineTransformer,
    )
    from artifex.flow.bijections.autoregressive import MaskedAutoregressive as MaskedAutoregressive
    from artifex.flow.bijections.bijection import Bijection as Bijection, Chain as Chain, Inverse as Inverse
    from artifex.flow.bijections.coupling import Coupling as Coupling
    from artifex.flow.bijections.permutation import Permutation as Permutation
    from artifex.flow.bijections.spline import SplineTransformer as SplineTransformer
    from artifex.flow.bijections.transformer import Transformer as Transformer

_HOMES = {
    "affine": ("AdditiveTransformer", "AffineTransformer"),
    "autoregressive": ("MaskedAutoregressive",),
    "bijection": ("Bijection", "Chain", "Inverse"),
    "coupling": ("Coupling",),
    "permutation": ("Permutation",),
    "spline": ("SplineTransformer",),
    "transformer": ("Transformer",),
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}
)
