"""Rotations, rigid frames, alignment, angles and masked means of points in space, as pure functions.

Computed in the type that is given, float32 or float64. Shapes: ``...`` any leading axes, ``N = points``.
"""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.geometry.alignment import kabsch as kabsch
    from artifex.core.geometry.angles import bond_angle as bond_angle, dihedral as dihedral
    from artifex.core.geometry.frames import Frame as Frame, frame_from_points as frame_from_points
    from artifex.core.geometry.masking import masked_mean as masked_mean
    from artifex.core.geometry.rotations import (
        so3_exp as so3_exp,
        so3_log as so3_log,
        so3_product as so3_product,
        uniform_rotations as uniform_rotations,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Frame": "artifex.core.geometry.frames",
        "bond_angle": "artifex.core.geometry.angles",
        "dihedral": "artifex.core.geometry.angles",
        "frame_from_points": "artifex.core.geometry.frames",
        "kabsch": "artifex.core.geometry.alignment",
        "masked_mean": "artifex.core.geometry.masking",
        "so3_exp": "artifex.core.geometry.rotations",
        "so3_log": "artifex.core.geometry.rotations",
        "so3_product": "artifex.core.geometry.rotations",
        "uniform_rotations": "artifex.core.geometry.rotations",
    },
)
