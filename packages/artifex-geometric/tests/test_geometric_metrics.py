"""Distances of clouds and measures of meshes against SciPy and what is known in closed form."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
from numpy.testing import assert_allclose

from artifex.core.errors import InvalidInputError
from artifex.geometric import losses, metrics
from artifex.geometric.mesh import icosphere, mesh_topology

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(2, 5, 3)).astype(np.float32), RANDOM.normal(size=(2, 7, 3)).astype(np.float32)


def test_chamfer_is_that_of_a_search_tree_masked_or_not():
    def by_tree(x: np.ndarray, y: np.ndarray) -> float:
        there, back = scipy.spatial.KDTree(y).query(x)[0], scipy.spatial.KDTree(x).query(y)[0]
        return float(np.mean(there**2) + np.mean(back**2))

    assert_allclose(losses.chamfer_distance(X, Y), [by_tree(x, y) for x, y in zip(X, Y, strict=True)], rtol=1e-5)
    mask = np.arange(7)[None] < np.array([[4], [7]])
    padded = np.where(mask[..., None], Y, np.nan)
    wanted = [by_tree(x, y[m]) for x, y, m in zip(X, Y, mask, strict=True)]
    assert_allclose(losses.chamfer_distance(X, padded, None, mask), wanted, rtol=1e-5)


def test_earth_mover_is_the_best_of_all_matchings():
    x, y = X[0], Y[0, :5]
    best = min(np.linalg.norm(x - y[list(order)], axis=1).mean() for order in itertools.permutations(range(5)))
    assert_allclose(metrics.earth_movers_distance(x, y), best, rtol=1e-6)
    with pytest.raises(InvalidInputError, match=r"equally many points; got \(5, 3\) and \(7, 3\)"):
        metrics.earth_movers_distance(x, Y[0])


def test_nearest_neighbours_tell_copies_strangers_and_twins():
    random = np.random.default_rng(1)
    reference = random.normal(size=(40, 4, 3))
    assert metrics.one_nearest_neighbor_accuracy(reference, reference + 1e-6) == 0
    assert metrics.one_nearest_neighbor_accuracy(reference + 100, reference) == 1
    twins = metrics.one_nearest_neighbor_accuracy(random.normal(size=(40, 4, 3)), reference)
    assert abs(twins - 0.5) < 3 * 0.5 / np.sqrt(80) + 0.05
    assert metrics.cloud_coverage(reference, reference) == 1
    assert metrics.cloud_coverage(reference[:1].repeat(40, 0), reference) == 1 / 40
    assert metrics.minimum_matching_distance(reference, reference, "earth_mover") == 0


TETRAHEDRON = ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))
CORNERS = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)


def test_measures_of_a_tetrahedron():
    mesh = mesh_topology(TETRAHEDRON, 4)
    assert len(mesh.edges) == len(mesh.neighbours) == 6
    assert_allclose(losses.mesh_volume(CORNERS, mesh), [1 / 6], rtol=1e-6)
    assert_allclose(losses.edge_loss(CORNERS, mesh), [(3 * 1 + 3 * 2) / 6], rtol=1e-6)
    assert_allclose(losses.uniform_laplacian(jnp.asarray(CORNERS), mesh)[0, 0], [1 / 3] * 3, rtol=1e-6)
    assert_allclose(losses.face_normals(CORNERS, mesh)[0, :3], [[0, 0, -1], [0, -1, 0], [-1, 0, 0]], atol=1e-6)
    # three right angles between coordinate planes, three with the slanted face, whose cosines are -1/sqrt(3)
    assert_allclose(losses.normal_consistency_loss(CORNERS, mesh), [(3 * 1 + 3 * (1 + 3**-0.5)) / 6], rtol=1e-5)


def test_cotangent_laplacian_is_the_gradient_of_the_area():
    """Pinkall & Polthier 1993: the area's gradient is minus the Laplacian; by finite differences in float64 of NumPy."""
    mesh = mesh_topology(TETRAHEDRON, 4)

    def area(vertices: np.ndarray) -> float:
        a, b, c = (vertices[mesh.faces[:, i]] for i in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    corners, step = CORNERS[0].astype(np.float64), 1e-6
    gradient = np.zeros((4, 3))
    for i, j in np.ndindex(4, 3):
        move = np.zeros((4, 3))
        move[i, j] = step
        gradient[i, j] = (area(corners + move) - area(corners - move)) / (2 * step)
    assert_allclose(losses.cotangent_laplacian(jnp.asarray(CORNERS), mesh)[0], -gradient, atol=1e-5)


def test_a_sphere_is_one():
    vertices, faces = icosphere(3)
    mesh = mesh_topology(tuple(map(tuple, faces.tolist())), len(vertices))
    assert_allclose(losses.mesh_volume(jnp.asarray(vertices[None], jnp.float32), mesh), [4 / 3 * np.pi], rtol=0.02)
    assert len(vertices) - len(mesh.edges) + len(faces) == 2  # Euler
    with pytest.raises(InvalidInputError, match=r"face 0 is \(0, 1, 9\); a face names three of the vertices 0 to 3"):
        mesh_topology(((0, 1, 9),), 4)
    with pytest.raises(InvalidInputError, match=r"edge \(0, 1\) has 3 triangles"):
        mesh_topology(((0, 1, 2), (0, 1, 3), (1, 0, 4)), 5)
