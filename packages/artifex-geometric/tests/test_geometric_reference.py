"""Distances and measures of meshes against point-cloud-utils, trimesh and libigl, live."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.geometric import losses, metrics
from artifex.geometric.mesh import icosphere, mesh_topology

pytestmark = pytest.mark.reference

RANDOM = np.random.default_rng(0)
VERTICES, FACES = icosphere(1)
VERTICES = VERTICES * [1.0, 0.7, 0.5] + 0.05 * RANDOM.normal(size=VERTICES.shape)
MESH = mesh_topology(tuple(map(tuple, FACES.tolist())), len(VERTICES))


def test_clouds_against_point_cloud_utils():
    pcu = pytest.importorskip("point_cloud_utils")
    x, y = RANDOM.normal(size=(50, 3)), RANDOM.normal(size=(50, 3))
    found = losses.chamfer_distance(jnp.asarray(x[None], jnp.float32), jnp.asarray(y[None], jnp.float32))[0]
    there, _ = pcu.k_nearest_neighbors(x, y, k=1)
    back, _ = pcu.k_nearest_neighbors(y, x, k=1)
    assert_allclose(found, np.mean(np.square(there)) + np.mean(np.square(back)), rtol=1e-5)
    cost, _ = pcu.earth_movers_distance(x, y, eps=1e-4, max_iters=2000)  # Sinkhorn's, which stops 4 % short of the optimum here
    assert_allclose(metrics.earth_movers_distance(x, y), cost, rtol=0.05)


def test_meshes_against_trimesh():
    trimesh = pytest.importorskip("trimesh")
    theirs = trimesh.Trimesh(VERTICES, FACES, process=False)
    ours = jnp.asarray(VERTICES[None], jnp.float32)
    assert_allclose(losses.mesh_volume(ours, MESH)[0], theirs.volume, rtol=1e-5)
    assert_allclose(losses.face_normals(ours, MESH)[0], theirs.face_normals, atol=1e-5)
    assert_allclose(losses.edge_loss(ours, MESH)[0], np.mean(theirs.edges_unique_length**2), rtol=1e-5)
    angles = np.mean(1 - np.cos(theirs.face_adjacency_angles))
    assert_allclose(losses.normal_consistency_loss(ours, MESH)[0], angles, rtol=1e-4)
    uniform = trimesh.smoothing.laplacian_calculation(theirs, equal_weight=True) @ VERTICES - VERTICES
    assert_allclose(losses.uniform_laplacian(ours, MESH)[0], uniform, atol=1e-5)


def test_cotangents_against_libigl():
    igl = pytest.importorskip("igl")
    wanted = igl.cotmatrix(VERTICES, FACES) @ VERTICES
    assert_allclose(losses.cotangent_laplacian(jnp.asarray(VERTICES[None], jnp.float32), MESH)[0], wanted, atol=1e-5)
