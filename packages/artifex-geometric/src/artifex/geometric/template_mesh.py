r"""Meshes with the faces of a template: a variational autoencoder of where their vertices lie.

Tan, Gao, Lai & Xia 2018, "Variational autoencoders for deforming 3D mesh models" (arXiv:1709.04307), with the losses by which
Wang et al. 2018, "Pixel2Mesh" (arXiv:1804.01654), section 3.4, keep a deformed template in shape:

    z ~ N(0, I),   v = template + decoder(z)                     V vertices, whose triangles are the config's
    loss = w_chamfer chamfer(x, v) + w_vertex |x - v|^2 / V      to points of a surface; to vertices in the template's order
         + w_edge edges + w_laplacian |L v| + w_normal (1 - cos) + kl_weight KL(q(z | x) || N(0, I))

Shapes: ``B`` batch, ``V`` vertices, ``L`` latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.geometry import masked_mean
from artifex.core.nn import MLP
from artifex.core.protocols import Batch
from artifex.geometric import losses
from artifex.geometric.mesh import icosphere, mesh_topology
from artifex.geometric.posteriors import DiagonalNormal, checked_latents, posterior_of
from artifex.geometric.precision import GeometricModelConfig
from artifex.geometric.set_transformer import SetEncoder, SetTransformerConfig
from artifex.geometric.sets import checked_set

__all__ = ["TemplateConfig", "TemplateMesh", "TemplateMeshConfig"]

PositiveInt = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]


@config
class TemplateConfig(Config):
    """A mesh: vertices and triangles, or an icosphere, whose vertices and triangles are then filled in.

    Example:
        >>> template = TemplateConfig(icosphere=1)
        >>> len(template.vertices), len(template.faces)
        (42, 80)
    """

    vertices: tuple[tuple[Coordinate, Coordinate, Coordinate], ...] = ()
    """Where they lie."""
    faces: tuple[tuple[int, int, int], ...] = ()
    """Triples of vertices, counterclockwise seen from outside."""
    icosphere: Annotated[int, Field(ge=0, le=5)] | None = None
    """Subdivisions of an icosahedron on the unit sphere, in the place of vertices and faces of your own."""

    def __post_init__(self) -> None:
        if self.icosphere is not None:
            vertices, faces = icosphere(self.icosphere)
            vertices, faces = tuple(map(tuple, vertices.tolist())), tuple(map(tuple, faces.tolist()))
            given = self.vertices or vertices, self.faces or faces
            if given[1] != faces or np.shape(given[0]) != np.shape(vertices):
                raise ValueError(
                    f"icosphere is {self.icosphere}, and the vertices or faces given are others; leave one of them out"
                )
            object.__setattr__(self, "vertices", given[0])
            object.__setattr__(self, "faces", faces)
        if not self.vertices or not self.faces:
            raise ValueError("a template needs vertices and faces, or icosphere: 2, say")
        stray = np.flatnonzero(mesh_topology(self.faces, len(self.vertices)).degrees == 0)
        if len(stray):
            raise ValueError(
                f"{len(stray)} of the {len(self.vertices)} vertices are in no face, vertex {stray[0]} first; leave them out, "
                "and number those that stay from 0 in the faces"
            )


@config
class TemplateMeshConfig(GeometricModelConfig):
    """A VAE of meshes with one template."""

    template: TemplateConfig
    """Vertices to start from, and the faces."""
    latent_dim: PositiveInt = 16
    """Latent variables."""
    encoder: SetTransformerConfig = Field(default_factory=lambda: SetTransformerConfig(features=64, layers=2))
    """From points to the posterior of their latent."""
    hidden_dims: tuple[PositiveInt, ...] = (128, 128)
    """Widths of the decoder, from a latent to the vertices' moves."""
    chamfer_weight: Weight = 1.0
    """Of the chamfer distance from vertices to points: data are points on surfaces, as many as there are, in any order."""
    vertex_weight: Weight = 0.0
    """Of the mean squared distance to the vertex of the same number: data are vertices in the template's order."""
    edge_weight: Weight = 0.02
    """Of the mean squared length of edges."""
    laplacian_weight: Weight = 0.05
    """Of the mean length of the Laplacian."""
    laplacian: Literal["uniform", "cotangent"] = "uniform"
    """Which: of all neighbours alike, or weighed by the triangles' angles, which lets vertices slide along the surface."""
    normal_weight: Weight = 0.01
    """Of one less the cosine between neighbouring triangles' normals."""
    kl_weight: Weight = 1e-3
    """Of the divergence."""

    def __post_init__(self) -> None:
        if not self.chamfer_weight and not self.vertex_weight:
            raise ValueError("chamfer_weight and vertex_weight are both 0, so nothing draws the mesh to the data; set one")


class TemplateMesh(nnx.Module):
    """A VAE of the vertices of meshes.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`TemplateMeshConfig`.

    Example:
        >>> config = TemplateMeshConfig(
        ...     template={"icosphere": 0}, latent_dim=2, encoder=SetTransformerConfig(features=8, layers=1), hidden_dims=(8,)
        ... )
        >>> model = TemplateMesh(config, rngs=nnx.Rngs(0))
        >>> model.generate(3).shape, model.faces.shape
        ((3, 12, 3), (20, 3))
    """

    def __init__(self, config: TemplateMeshConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, TemplateMeshConfig):
            raise InvalidTypeError(f"TemplateMesh takes a TemplateMeshConfig, got {type(config).__name__}")
        made = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config, self.n_vertices = config, len(config.template.vertices)
        self.encoder = SetEncoder(config.encoder, out_features=2 * config.latent_dim, **made)
        self.decoder = MLP(config.latent_dim, config.hidden_dims, 3 * self.n_vertices, activation="silu", **made)
        self.decoder.layers[-1].dtype = None  # vertices have all digits
        self.rngs = rngs.fork()

    @property
    def faces(self) -> np.ndarray:
        """The triangles of every mesh, ``(T, 3)``."""
        return np.asarray(self.config.template.faces)

    def __call__(
        self, x: Float[Array, "B N 3"], *, mask: Bool[Array, "B N"] | None = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """Encode, draw one latent for each example, decode.

        Args:
            x: points on surfaces, or vertices in the template's order.
            mask: true where there is a point; everywhere by default.
            rngs: stream ``sample`` draws latents; the model's own by default.

        Returns:
            ``reconstruction`` ``(B, V, 3)``, vertices; ``z``, ``mean`` and ``log_variance`` ``(B, L)``.
        """
        posterior = self.encode(x, mask=mask)
        z = posterior.sample(draw_key(self, rngs))
        made = self.decode(z)
        return {"reconstruction": made, "z": z, "mean": posterior.mean, "log_variance": posterior.log_variance}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """The weighted sum at the head of this module, a mean over examples.

        Args:
            batch: holds ``x``, and ``mask`` where there are fewer points than rows.
            outputs: what the model made of it.

        Returns:
            ``loss`` and its terms, unweighted, those of weight 0 left out.
        """
        config, vertices = self.config, outputs["reconstruction"].astype(jnp.float32)
        x, there = checked_set(batch["x"], batch.get("mask"), 3)
        mesh = mesh_topology(config.template.faces, self.n_vertices)
        laplacian = losses.uniform_laplacian if config.laplacian == "uniform" else losses.cotangent_laplacian
        terms = {
            "chamfer": (config.chamfer_weight, lambda: losses.chamfer_distance(vertices, x, y_mask=there)),
            "vertex": (config.vertex_weight, lambda: masked_mean(jnp.sum(jnp.square(vertices - x), axis=-1), there, 1)),
            "edge": (config.edge_weight, lambda: losses.edge_loss(vertices, mesh)),
            "laplacian": (config.laplacian_weight, lambda: losses.laplacian_loss(laplacian(vertices, mesh))),
            "normal": (config.normal_weight, lambda: losses.normal_consistency_loss(vertices, mesh)),
            "kl": (config.kl_weight, lambda: losses.gaussian_kl(outputs["mean"], outputs["log_variance"])),
        }
        made = {name: jnp.mean(term()) for name, (weight, term) in terms.items() if weight}
        total = sum((terms[name][0] * value for name, value in made.items()), jnp.zeros([], jnp.float32))
        return {"loss": total, **made}

    def encode(self, x: Float[Array, "B N 3"], *, mask: Bool[Array, "B N"] | None = None) -> DiagonalNormal:
        """``q(z | x)``.

        Raises:
            InvalidInputError: ``x`` is no batch of points, or has to have as many as there are vertices and has not.
        """
        x, mask = checked_set(x, mask, 3)
        if self.config.vertex_weight and x.shape[1] != self.n_vertices:
            raise InvalidInputError(
                f"x has {x.shape[1]} points and the template {self.n_vertices} vertices, which vertex_weight compares "
                "one by one; give as many, or set vertex_weight to 0"
            )
        return posterior_of(self.encoder(x.astype(jnp.promote_types(x.dtype, jnp.float32)), mask))

    def decode(self, z: Float[Array, "B L"]) -> Float[Array, "B V 3"]:
        """The vertices of latents.

        Raises:
            InvalidInputError: ``z`` is not ``(B, L)``.
        """
        z = checked_latents(z, self.config.latent_dim)
        moves = self.decoder(z).reshape(z.shape[0], self.n_vertices, 3)
        return jnp.asarray(self.config.template.vertices, moves.dtype)[None] + moves

    @compiled_method()
    def reconstruct(self, x: Float[Array, "B N 3"], *, mask: Bool[Array, "B N"] | None = None) -> Float[Array, "B V 3"]:
        """The vertices of the posteriors' means."""
        return self.decode(self.encode(x, mask=mask).mean)

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples V 3"]:
        """Vertices of meshes, whose triangles are :attr:`faces`.

        Args:
            n_samples: how many.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        return self.decode(jax.random.normal(draw_key(self, rngs), (n_samples, self.config.latent_dim)))
