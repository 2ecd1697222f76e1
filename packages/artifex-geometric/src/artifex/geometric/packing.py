"""Coordinates, types and whole numbers of points, packed in the columns of one array and scaled to be of one size.

``x = [coordinates (3) | type, one hot (K) | whole numbers (I)]``; a diffusion sees each part over its scale (Hoogeboom et al.
2022, arXiv:2203.17003, appendix C: 1, 4 and 10), so that what is discrete settles later than where it is.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.value_ranges import Columns, ValueRange
from artifex.geometric.precision import GeometricModelConfig
from artifex.geometric.sizes import SizeCounts, check_size_counts

__all__ = ["PointSetConfig", "decoded", "packing_scales", "scaled", "values_of"]

Positive = Annotated[float, Field(gt=0)]


@config
class PointSetConfig(GeometricModelConfig):
    """What the sets are: how large, and what a point carries beside its coordinates."""

    max_points: Annotated[int, Field(ge=1)]
    """Most points of a set, N: rows of ``x``."""
    n_types: Annotated[int, Field(ge=0)] = 0
    """Types of points: so many columns after the coordinates are one hot. 0 for none."""
    n_integers: Annotated[int, Field(ge=0)] = 0
    """Columns of whole numbers after those, atomic numbers for instance."""
    size_counts: SizeCounts = ()
    """How often sets of 1, 2, ... points occur; sizes of samples are drawn from it. Empty: all have `max_points`."""
    scales: tuple[Positive, Positive, Positive] = (1.0, 4.0, 10.0)
    """What coordinates, types and whole numbers are divided by before noise of standard deviation 1 is added."""

    def __post_init__(self) -> None:
        check_size_counts(self.size_counts, self.max_points)

    @property
    def n_features(self) -> int:
        """Columns of ``x`` beside the coordinates."""
        return self.n_types + self.n_integers


def packing_scales(config: PointSetConfig) -> np.ndarray:
    """What each column is divided by, ``(3 + F,)``."""
    return np.repeat(np.asarray(config.scales), (3, config.n_types, config.n_integers))


def values_of(config: PointSetConfig) -> dict[str, ValueRange]:
    """What ``x`` may hold: one type a point, and whole numbers; nothing is said of sets of coordinates alone."""
    whole, end = 3 + config.n_types, 3 + config.n_features
    return {"x": Columns(one_hot=range(3, whole), whole=range(whole, end))} if config.n_features else {}


def scaled(config: PointSetConfig, x: Float[Array, "B N C"]) -> Float[Array, "B N C"]:
    """``x`` as a diffusion sees it."""
    return x / jnp.asarray(packing_scales(config), x.dtype)[None, None]


def decoded(config: PointSetConfig, z: Float[Array, "B N C"], mask: Bool[Array, "B N"]) -> Float[Array, "B N C"]:
    """Data from what a diffusion ends in: coordinates, the largest type one hot, the nearest whole numbers."""
    x = z * jnp.asarray(packing_scales(config), z.dtype)[None, None]
    parts, k = [x[..., :3]], config.n_types
    if k:
        parts.append(jax.nn.one_hot(jnp.argmax(x[..., 3 : 3 + k], axis=-1), k, dtype=x.dtype))
    parts.append(jnp.round(x[..., 3 + k :]))
    return jnp.where(mask[..., None], jnp.concatenate(parts, axis=-1), 0)
