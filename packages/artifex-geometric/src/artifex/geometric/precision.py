"""In which types of numbers the models of this family compute."""

from __future__ import annotations

from typing import Literal

from artifex.core.config import Config, config
from artifex.core.nn import ParamDType

__all__ = ["GeometricModelConfig"]


@config
class GeometricModelConfig(Config):
    """What the configs of this family's models have in common."""

    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks' hidden layers compute in. None follows the parameters and the input. Coordinates, distances, frames
    and what a network gives stay float32: without those digits a set that is moved or turned would be another. In bfloat16
    vectors turn with the points to its rounding, some 1 %. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in."""
