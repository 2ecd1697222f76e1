r"""Distances between sets of points, and what keeps a mesh in shape, as pure functions.

Shapes: ``B`` batch, ``N`` and ``M`` points, ``V`` vertices, ``T`` triangles, ``E`` edges.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from artifex.core.errors import InvalidInputError
from artifex.core.geometry import masked_mean
from artifex.core.geometry.vectors import direction, length
from artifex.geometric.mesh import MeshTopology

__all__ = [
    "binary_cross_entropy",
    "chamfer_distance",
    "cotangent_laplacian",
    "edge_loss",
    "face_normals",
    "gaussian_kl",
    "laplacian_loss",
    "mesh_volume",
    "normal_consistency_loss",
    "uniform_laplacian",
]


def chamfer_distance(
    x: Float[Array, "B N 3"],
    y: Float[Array, "B M 3"],
    x_mask: Bool[Array, "B N"] | None = None,
    y_mask: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B"]:
    """``mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2`` (Achlioptas et al. 2018, arXiv:1707.02392, as means).

    Args:
        x: points.
        y: points.
        x_mask: true where there is one; everywhere by default.
        y_mask: the same of ``y``.

    Raises:
        InvalidInputError: they are no two batches of as many clouds, of a point at least.

    Example:
        >>> float(chamfer_distance(jnp.zeros((1, 1, 3)), jnp.ones((1, 2, 3)))[0])
        6.0
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    if (
        x.ndim != 3
        or y.ndim != 3
        or x.shape[0] != y.shape[0]
        or (x.shape[2], y.shape[2]) != (3, 3)
        or not x.shape[1] * y.shape[1]
    ):
        raise InvalidInputError(
            f"x has shape {x.shape} and y {y.shape}; clouds are (B, N, 3) and (B, M, 3), as many of both, with a point each"
        )
    x_mask = jnp.ones(x.shape[:2], bool) if x_mask is None else x_mask
    y_mask = jnp.ones(y.shape[:2], bool) if y_mask is None else y_mask
    x, y = (jnp.where(mask[..., None], a, 0).astype(_at_least_float32(a)) for a, mask in ((x, x_mask), (y, y_mask)))
    squared = jnp.sum(jnp.square(x[:, :, None] - y[:, None]), axis=-1)
    far = jnp.finfo(squared.dtype).max
    there = jnp.min(jnp.where(y_mask[:, None], squared, far), axis=2)
    back = jnp.min(jnp.where(x_mask[:, :, None], squared, far), axis=1)
    return masked_mean(there, x_mask, 1) + masked_mean(back, y_mask, 1)


def gaussian_kl(mean: Float[Array, "B L"], log_variance: Float[Array, "B L"]) -> Float[Array, "B"]:
    """``KL(N(m, v) || N(0, I)) = 1/2 sum (m^2 + v - 1 - log v)``, nats (Kingma & Welling 2013, arXiv:1312.6114, appendix B)."""
    mean, log_variance = (a.astype(_at_least_float32(a)) for a in (mean, log_variance))
    return 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance, axis=-1)


def edge_loss(vertices: Float[Array, "B V 3"], mesh: MeshTopology) -> Float[Array, "B"]:
    """The mean squared length of edges (Wang et al. 2018, arXiv:1804.01654, section 3.4); 0 where there is none."""
    a, b = mesh.edges.T
    return _mean(jnp.sum(jnp.square(vertices[:, a] - vertices[:, b]), axis=-1))


def uniform_laplacian(vertices: Float[Array, "B V 3"], mesh: MeshTopology) -> Float[Array, "B V 3"]:
    """The mean of a vertex's neighbours less the vertex; 0 for a vertex that has none."""
    a, b = mesh.edges.T
    total = jnp.zeros_like(vertices).at[:, a].add(vertices[:, b]).at[:, b].add(vertices[:, a])
    degrees = jnp.asarray(mesh.degrees, vertices.dtype)[None, :, None]
    return jnp.where(degrees > 0, total / jnp.maximum(degrees, 1) - vertices, 0)


def cotangent_laplacian(vertices: Float[Array, "B V 3"], mesh: MeshTopology) -> Float[Array, "B V 3"]:
    """``sum_j (cot a_ij + cot b_ij) / 2 (v_j - v_i)``, ``a_ij`` and ``b_ij`` the angles that face the edge.

    Pinkall & Polthier 1993. A triangle without area has no cotangents and adds nothing.
    """
    out = jnp.zeros_like(vertices)
    for corner in range(3):
        i, j, k = (mesh.faces[:, (corner + shift) % 3] for shift in range(3))
        u, w = vertices[:, j] - vertices[:, i], vertices[:, k] - vertices[:, i]  # the angle at i faces the edge j k
        area = length(jnp.cross(u, w), keepdims=True)
        flat = area <= 1e-12
        half = jnp.where(flat, 0, 0.5 * jnp.sum(u * w, axis=-1, keepdims=True) / jnp.where(flat, 1, area))
        step = half * (vertices[:, k] - vertices[:, j])
        out = out.at[:, j].add(step).at[:, k].add(-step)
    return out


def laplacian_loss(laplacian: Float[Array, "B V 3"]) -> Float[Array, "B"]:
    """The mean length of a Laplacian's vectors: how rough the mesh is (Desbrun et al. 1999)."""
    return _mean(length(laplacian))


def face_normals(vertices: Float[Array, "B V 3"], mesh: MeshTopology) -> Float[Array, "B T 3"]:
    """Unit normals, counterclockwise seen from their tips; zero for a triangle without area."""
    a, b, c = (vertices[:, mesh.faces[:, i]] for i in range(3))
    return direction(jnp.cross(b - a, c - a))


def normal_consistency_loss(vertices: Float[Array, "B V 3"], mesh: MeshTopology) -> Float[Array, "B"]:
    """The mean of ``1 - cos`` between the normals of triangles that share an edge; 0 where none do."""
    normals = face_normals(vertices, mesh)
    left, right = mesh.neighbours.T
    return _mean(1 - jnp.sum(normals[:, left] * normals[:, right], axis=-1))


def mesh_volume(vertices: Float[Array, "B V 3"], mesh: MeshTopology) -> Float[Array, "B"]:
    """The volume inside a closed mesh, positive where its normals point outwards: ``sum_t a . (b x c) / 6``."""
    a, b, c = (vertices[:, mesh.faces[:, i]] for i in range(3))
    return jnp.sum(a * jnp.cross(b, c), axis=(1, 2)) / 6


def _mean(values: Float[Array, "B K"]) -> Float[Array, "B"]:
    """0 of nothing."""
    return jnp.sum(values, axis=-1) / max(values.shape[-1], 1)


def _at_least_float32(a: Array) -> jnp.dtype:
    return jnp.promote_types(a.dtype, jnp.float32)


def binary_cross_entropy(logits: Float[Array, "B ..."], targets: Float[Array, "B ..."]) -> Float[Array, "B"]:
    """``-sum t log p + (1 - t) log(1 - p)`` of each example, nats, ``p`` the logistic function of the logits."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    each = jax.nn.softplus(logits) - targets.astype(logits.dtype) * logits
    return jnp.sum(each, axis=tuple(range(1, np.ndim(logits))))
