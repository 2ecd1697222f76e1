"""Synthetic solids of random proportions: points on their surfaces, or the voxels that they fill.

Boxes, ellipsoids, cylinders, cones and tori about the vertical axis, each half extent between 0.4 and 1: what ``label``
numbers.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.splits import SPLITS, require_split
from artifex.geometric.datasets.buckets import bucket_of

__all__ = ["SOLIDS", "SolidPoints", "SolidPointsConfig", "SolidVoxels", "SolidVoxelsConfig"]

SOLIDS = ("box", "ellipsoid", "cylinder", "cone", "torus")
CANDIDATES = 4
"""Points drawn at a time for each that is wanted; about half of them are kept."""
Count = Annotated[int, Field(ge=1)]


def _solids_in(wanted: tuple[str, ...]) -> None:
    unknown = [name for name in wanted if name not in SOLIDS]
    if unknown or not wanted:
        raise ValueError(f"solids are among {', '.join(SOLIDS)}; got {', '.join(unknown) or 'none'}")


@config
class SolidPointsConfig(Config):
    """Clouds of points on solids."""

    solids: tuple[str, ...] = SOLIDS
    """Which."""
    n_points: Count = 256
    """Points of a cloud; the most where they differ."""
    least_points: Count | None = None
    """Draw the number of points of each cloud between this and `n_points`; None gives all as many."""
    n_train: Count = 2000
    """Clouds to train on."""
    n_held_out: Count = 400
    """Clouds of each of the other splits."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        _solids_in(self.solids)
        if self.least_points is not None and self.least_points > self.n_points:
            raise ValueError(f"least_points is {self.least_points}, more than n_points, {self.n_points}; make it smaller")


class SolidPoints:
    """``x`` float32 ``(M, N, 3)``, between -1 and 1; ``label`` ``(M,)``; with sizes that differ ``mask`` and ``bucket`` too.

    Example:
        >>> SolidPoints(SolidPointsConfig(n_points=8, n_train=3)).arrays("train")["x"].shape
        (3, 8, 3)
    """

    def __init__(self, config: SolidPointsConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the solids."""
        return self.config.solids

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The clouds of one split.

        Raises:
            InvalidInputError: there is no such split.
        """
        config = self.config
        random, count = _stream(config.seed, split), config.n_train if split == "train" else config.n_held_out
        labels, extents = _drawn(random, count, config.solids)
        x = np.stack(
            [
                surface_points(random, config.solids[label], extent, config.n_points)
                for label, extent in zip(labels, extents, strict=True)
            ]
        ).astype(np.float32)
        arrays = {"x": x, "label": labels}
        if config.least_points is None:
            return arrays
        sizes = random.integers(config.least_points, config.n_points + 1, count)
        mask = np.arange(config.n_points)[None] < sizes[:, None]
        edges = np.unique(np.linspace(config.least_points, config.n_points, 5).round().astype(int)[1:])
        return {**arrays, "x": np.where(mask[..., None], x, 0), "mask": mask, "bucket": bucket_of(sizes, edges.tolist())}


@config
class SolidVoxelsConfig(Config):
    """Voxels of solids."""

    solids: tuple[str, ...] = SOLIDS
    """Which."""
    size: Annotated[int, Field(ge=4)] = 16
    """Voxels along each axis."""
    n_train: Count = 2000
    """Solids to train on."""
    n_held_out: Count = 400
    """Solids of each of the other splits."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        _solids_in(self.solids)


class SolidVoxels:
    """``x`` float32 ``(M, size, size, size, 1)``, 1 where the voxel's centre lies inside; ``label`` ``(M,)``.

    Example:
        >>> SolidVoxels(SolidVoxelsConfig(size=4, n_train=3)).arrays("train")["x"].shape
        (3, 4, 4, 4, 1)
    """

    def __init__(self, config: SolidVoxelsConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the solids."""
        return self.config.solids

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The voxels of one split.

        Raises:
            InvalidInputError: there is no such split.
        """
        config = self.config
        random, count = _stream(config.seed, split), config.n_train if split == "train" else config.n_held_out
        labels, extents = _drawn(random, count, config.solids)
        axis = (np.arange(config.size) + 0.5) / config.size * 2 - 1
        centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
        inside = [is_inside(config.solids[label], extent, centres) for label, extent in zip(labels, extents, strict=True)]
        return {"x": np.stack(inside)[..., None].astype(np.float32), "label": labels}


def surface_points(random: np.random.Generator, solid: str, extent: np.ndarray, n: int) -> np.ndarray:
    """``n`` points that lie evenly on a solid's surface: drawn by its parameters, kept in proportion to the area there."""
    draw, most = _SURFACES[solid]
    found = np.zeros((0, 3))
    while len(found) < n:
        points, area = draw(random, extent, CANDIDATES * n)
        kept = random.uniform(size=len(points)) * most / extent.min() < area
        found = np.concatenate([found, points[kept]])
    return found[:n]


def is_inside(solid: str, extent: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether points ``(..., 3)`` lie in a solid."""
    a, b, c = extent
    x, y, z = points[..., 0] / a, points[..., 1] / b, points[..., 2] / c
    ring = np.hypot(x, y)
    if solid == "box":
        return np.maximum(np.maximum(abs(x), abs(y)), abs(z)) <= 1
    if solid == "ellipsoid":
        return ring**2 + z**2 <= 1
    if solid == "cylinder":
        return (ring <= 1) & (abs(z) <= 1)
    if solid == "cone":
        return (abs(z) <= 1) & (ring <= (1 - z) / 2)
    return ((ring - TORUS[0]) / TORUS[1]) ** 2 + z**2 <= 1


TORUS = (0.7, 0.3)
"""Radius of a torus's circle and of its tube, over its extent; the tube is as high as the extent says."""


def _stream(seed: int, split: str) -> np.random.Generator:
    require_split(split, SPLITS, "solids")
    return np.random.default_rng([seed, SPLITS.index(split)])


def _drawn(random: np.random.Generator, count: int, solids: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    labels = (np.arange(count) % len(solids)).astype(np.int32)
    return labels, random.uniform(0.4, 1.0, (count, 3))


def _stretched(u: np.ndarray, normals: np.ndarray, density: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of a unit solid stretched by ``extent``, and how much more area lies about each: ``det(A) |A^-T n|``."""
    return u * extent, density * np.linalg.norm(normals / extent, axis=1)


def _ellipsoid(random: np.random.Generator, extent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    u = random.normal(size=(n, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    return _stretched(u, u, np.ones(n), extent)


def _box(random: np.random.Generator, extent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    u, axis, side = random.uniform(-1, 1, (n, 3)), random.integers(0, 3, n), random.choice([-1.0, 1.0], n)
    normals = np.zeros((n, 3))
    u[np.arange(n), axis] = normals[np.arange(n), axis] = side
    return _stretched(u, normals, np.ones(n), extent)


def _cylinder(random: np.random.Generator, extent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    angle, height, part = random.uniform(0, 2 * np.pi, n), random.uniform(-1, 1, n), random.integers(0, 3, n)
    radius = np.where(part == 0, 1, np.sqrt(random.uniform(size=n)))
    z = np.where(part == 0, height, np.where(part == 1, 1.0, -1.0))
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    u = np.concatenate([radius[:, None] * around, z[:, None]], axis=1)
    normals = np.where((part == 0)[:, None], np.concatenate([around, np.zeros((n, 1))], axis=1), [[0.0, 0.0, 1.0]])
    return _stretched(u, normals, np.where(part == 0, 4 * np.pi, np.pi), extent)  # areas of the side and of each lid


def _cone(random: np.random.Generator, extent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    angle, part = random.uniform(0, 2 * np.pi, n), random.integers(0, 2, n)
    radius = np.sqrt(random.uniform(size=n))
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    z = np.where(part == 0, 1 - 2 * radius, -1.0)
    u = np.concatenate([radius[:, None] * around, z[:, None]], axis=1)
    slope = np.concatenate([around, np.full((n, 1), 0.5)], axis=1) / np.hypot(1, 0.5)
    normals = np.where((part == 0)[:, None], slope, [[0.0, 0.0, -1.0]])
    return _stretched(u, normals, np.where(part == 0, np.pi * SLOPE, np.pi), extent)


def _torus(random: np.random.Generator, extent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    around, tube = random.uniform(0, 2 * np.pi, (2, n))
    ring, thick = TORUS
    radius = ring + thick * np.cos(tube)
    u = np.stack([radius * np.cos(around), radius * np.sin(around), np.sin(tube)], axis=1)
    # the tube is an ellipse: its normal, and the length of its arc times that of its circle
    normals = np.stack([np.cos(tube) * np.cos(around), np.cos(tube) * np.sin(around), thick * np.sin(tube)], axis=1)
    arc = np.hypot(thick * np.sin(tube), np.cos(tube))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return _stretched(u, normals, radius * arc, extent)


SLOPE = float(np.hypot(1, 2))
_SURFACES = {
    "box": (_box, 1.0),
    "ellipsoid": (_ellipsoid, 1.0),
    "cylinder": (_cylinder, 4 * np.pi),
    "cone": (_cone, np.pi * SLOPE),
    "torus": (_torus, sum(TORUS)),
}
"""How points are drawn, and the most area about one of a solid of unit extents."""
