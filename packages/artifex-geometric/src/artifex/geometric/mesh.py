"""Triangle meshes as numbers: who is whose neighbour, worked out once from the faces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from artifex.core.errors import InvalidInputError

__all__ = ["MeshTopology", "icosphere", "mesh_topology"]


class MeshTopology(NamedTuple):
    """What a mesh is but for where its vertices lie."""

    faces: np.ndarray
    """``(T, 3)``, counterclockwise seen from outside."""
    edges: np.ndarray
    """``(E, 2)``, each once."""
    neighbours: np.ndarray
    """``(P, 2)``: pairs of triangles that share an edge."""
    degrees: np.ndarray
    """``(V,)``: neighbours of each vertex."""


@cache
def mesh_topology(faces: tuple[tuple[int, int, int], ...], n_vertices: int) -> MeshTopology:
    """Edges and neighbours of the triangles.

    Raises:
        InvalidInputError: a face names a vertex that does not exist, or one twice; or an edge has more than two triangles.

    >>> mesh_topology(((0, 1, 2), (0, 2, 3)), 4).neighbours.tolist()
    [[0, 1]]
    """
    table = np.asarray(faces, np.int64).reshape(-1, 3)
    bad = np.flatnonzero(
        (table.min(axis=1) < 0)
        | (table.max(axis=1) >= n_vertices)
        | (table[:, 0] == table[:, 1])
        | (table[:, 1] == table[:, 2])
        | (table[:, 2] == table[:, 0])
    )
    if len(bad):
        raise InvalidInputError(
            f"face {bad[0]} is {tuple(table[bad[0]].tolist())}; a face names three of the vertices 0 to {n_vertices - 1}"
        )
    sides = np.sort(np.concatenate([table[:, [0, 1]], table[:, [1, 2]], table[:, [2, 0]]]), axis=1)
    owners = np.tile(np.arange(len(table)), 3)
    edges, which, counts = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    if len(counts) and counts.max() > 2:
        raise InvalidInputError(f"edge {tuple(edges[counts.argmax()].tolist())} has {counts.max()} triangles; two at most")
    order = np.argsort(which.ravel(), kind="stable")
    shared = np.sort(owners[order][np.repeat(counts, counts) == 2].reshape(-1, 2), axis=1)
    return MeshTopology(table, edges, shared, np.bincount(edges.ravel(), minlength=n_vertices))


def icosphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``(10 4^k + 2, 3)`` on the unit sphere and faces ``(20 4^k, 3)``.

    An icosahedron, its triangles cut in four ``k`` times.

    >>> [a.shape for a in icosphere(1)]
    [(42, 3), (80, 3)]
    """
    golden = (1 + 5**0.5) / 2
    corners = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0)]
    vertices = np.array([np.roll(corner, shift) for shift in range(3) for corner in corners])
    vertices = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    faces = _hull_of_icosahedron(vertices)
    for _ in range(subdivisions):
        vertices, faces = _subdivided(vertices, faces)
    return vertices, faces


def _hull_of_icosahedron(vertices: np.ndarray) -> np.ndarray:
    """Triples of corners that are all neighbours, counterclockwise seen from outside."""
    near = np.linalg.norm(vertices[:, None] - vertices[None], axis=-1) < 1.2
    triples = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    outwards = [np.linalg.det(vertices[list(triple)]) > 0 for triple in triples]
    return np.array([t if out else (t[0], t[2], t[1]) for t, out in zip(triples, outwards, strict=True)])


def _subdivided(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sides = np.sort(np.stack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]], axis=1).reshape(-1, 2), axis=1)
    edges, which = np.unique(sides, axis=0, return_inverse=True)
    middles = vertices[edges].mean(axis=1)
    ab, bc, ca = (which.reshape(-1, 3) + len(vertices)).T
    a, b, c = faces.T
    parts: Sequence[np.ndarray] = [np.stack(t, axis=1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    return np.concatenate([vertices, middles]), np.concatenate(parts)
