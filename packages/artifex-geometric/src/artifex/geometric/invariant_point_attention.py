r"""Invariant point attention: a transformer on residues that each have a frame.

Jumper et al. 2021, "Highly accurate protein structure prediction with AlphaFold", supplement, algorithm 22:

    a_ij = w_L (q_i . k_j / sqrt(c) + b_ij - g w_C / 2 sum_p |T_i q_ip - T_j k_jp|^2),   softmax over j
    o_i = [sum_j a_ij z_ij, sum_j a_ij v_j, T_i^-1 sum_j a_ij T_j v_jp, and the lengths of those]

What goes in and out of the attention is seen from each residue's own frame, so that it does not change when the whole is moved.

Shapes: ``B`` batch, ``L`` residues, ``D`` width, ``H`` heads, ``S`` scalars and ``P`` points of a head, ``E`` features of a
pair.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from artifex.core.config import config
from artifex.core.geometry.rotations import HIGHEST
from artifex.core.nn import MLP
from artifex.geometric.chains import frenet_rotations, relative_positions
from artifex.geometric.layers import layer_norm, linear
from artifex.geometric.networks import GeometricNetworkConfig

__all__ = ["InvariantPointAttention", "InvariantPointAttentionConfig", "InvariantPointNetwork"]

PositiveInt = Annotated[int, Field(ge=1)]
FARTHEST = 32
"""Residues apart, along the chain, from which on all count as one."""


@config
class InvariantPointAttentionConfig(GeometricNetworkConfig):
    """Layers of invariant point attention, on a chain."""

    equivariant: ClassVar[bool] = True
    features: PositiveInt = 128
    """Width of residues."""
    layers: PositiveInt = 4
    """How many layers."""
    heads: PositiveInt = 4
    """Heads of attention."""
    scalars: PositiveInt = 16
    """Scalars of a query, a key and a value, in each head."""
    query_points: PositiveInt = 4
    """Points of a query and a key, in each head."""
    value_points: PositiveInt = 8
    """Points of a value, in each head."""
    pair_features: PositiveInt = 32
    """Width of what is known of a pair: how far apart along the chain."""
    length_unit: Annotated[float, Field(gt=0)] = 1.0
    """Points are seen in so many of the units that coordinates are given in."""


class InvariantPointAttention(nnx.Module):
    """Algorithm 22 of AlphaFold's supplement.

    Args:
        features: width, ``D``.
        heads: ``H``.
        scalars: ``S``.
        query_points: of queries and keys.
        value_points: of values.
        pair_features: ``E``.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.
    """

    def __init__(
        self,
        features: int,
        *,
        heads: int,
        scalars: int,
        query_points: int,
        value_points: int,
        pair_features: int,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        axes = ("embed", "heads")
        self.heads, self.scalars, self.query_points = heads, scalars, query_points
        self.query, self.key, self.value = (linear(features, heads * scalars, axes, use_bias=False, **made) for _ in range(3))
        self.query_point, self.key_point, self.value_point = (
            linear(features, heads * points * 3, axes, use_bias=False, **made)
            for points in (query_points, query_points, value_points)
        )
        self.pair_bias = linear(pair_features, heads, ("embed", "heads"), **made)
        unit = jnp.full((heads,), math.log(math.e - 1), param_dtype)  # softplus gives 1
        self.point_weight = nnx.Param(unit, logical_axes=("heads",))
        self.out = linear(heads * (scalars + value_points * 4 + pair_features), features, ("heads", "embed"), **made)

    def __call__(
        self,
        h: Float[Array, "B L D"],
        pairs: Float[Array, "B L L E"],
        rotations: Float[Array, "B L 3 3"],
        points: Float[Array, "B L 3"],
        mask: Bool[Array, "B L"],
    ) -> Float[Array, "B L D"]:
        """What each residue gathers from all others."""
        weights = self._weights(h, pairs, rotations, points, mask)
        scalars = jnp.einsum("bhij,bjhs->bihs", weights, self._heads(self.value(h)))
        around = jnp.einsum("bhij,bije->bihe", weights, pairs)
        placed = self._placed(self.value_point(h), rotations, points)
        gathered = jnp.einsum("bhij,bjhpc->bihpc", weights, placed, precision=HIGHEST) - points[:, :, None, None]
        local = jnp.einsum("blcd,blhpc->blhpd", rotations, gathered, precision=HIGHEST)  # R^T
        lengths = jnp.sqrt(jnp.sum(jnp.square(local), axis=-1) + 1e-8)
        parts = [scalars, jax.lax.collapse(local, 3), lengths, around]
        return self.out(jnp.concatenate([jax.lax.collapse(part, 2) for part in parts], axis=-1).astype(h.dtype))

    def _weights(self, h: Array, pairs: Array, rotations: Array, points: Array, mask: Array) -> Array:
        """``a_ij`` of each head, ``(B, H, L, L)``, 0 for padded ``j``."""
        scalars = jnp.einsum("bihs,bjhs->bhij", self._heads(self.query(h)), self._heads(self.key(h)))
        q, k = (self._placed(layer(h), rotations, points) for layer in (self.query_point, self.key_point))
        apart = jnp.sum(jnp.square(q[:, :, None] - k[:, None]), axis=(-1, -2))  # (B, L, L, H)
        scale = jax.nn.softplus(self.point_weight[...]).reshape(1, 1, 1, -1) * math.sqrt(1 / (3 * self.query_points * 4.5))
        logits = scalars / math.sqrt(3 * self.scalars) + self.pair_bias(pairs).transpose(0, 3, 1, 2) / math.sqrt(3)
        logits = logits - 0.5 * (apart * scale).transpose(0, 3, 1, 2)
        logits = jnp.where(mask[:, None, None], logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), -1e9)
        return jnp.where(mask[:, None, None], jax.nn.softmax(logits, axis=-1), 0)

    def _heads(self, x: Array) -> Array:
        return x.reshape(*x.shape[:2], self.heads, x.shape[-1] // self.heads)

    def _placed(self, x: Array, rotations: Array, points: Array) -> Array:
        """Points of each head ``(B, L, H, P, 3)``, from the residue's frame to where they are."""
        local = x.reshape(*x.shape[:2], self.heads, x.shape[-1] // (3 * self.heads), 3)
        turned = jnp.einsum("blcd,blhpd->blhpc", rotations, local.astype(rotations.dtype), precision=HIGHEST)
        return turned + points[:, :, None, None]


class InvariantPointNetwork(nnx.Module):
    """Layers of attention and transition on a chain; each moves the points within their frames.

    Args:
        config: its size.
        in_features: features of a residue.
        out_features: features that are given back; 0 for none. They are seen from the residue's frame.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> config = InvariantPointAttentionConfig(features=8, layers=1, heads=2, scalars=4, pair_features=4)
        >>> network = InvariantPointNetwork(config, in_features=1, out_features=2, rngs=nnx.Rngs(0))
        >>> chain, mask = jax.random.normal(jax.random.key(0), (4, 5, 3)), jnp.ones((4, 5), bool)
        >>> vectors, features = network(chain, jnp.ones((4, 5, 1)), mask)
        >>> vectors.shape, features.shape
        ((4, 5, 3), (4, 5, 2))
    """

    def __init__(
        self,
        config: InvariantPointAttentionConfig,
        *,
        in_features: int,
        out_features: int,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        width = config.features
        self.config = config
        self.embed = linear(in_features, width, ("mlp", "embed"), **made)
        self.pairs = nnx.Embed(
            2 * FARTHEST + 2,
            config.pair_features,
            embedding_init=nnx.with_metadata(nnx.initializers.normal(1.0), logical_axes=("vocab", "embed")),
            **made,
        )
        self.layers = nnx.List([_Layer(config, **made) for _ in range(config.layers)])
        self.norm = layer_norm(width, **made) if out_features else None
        last = {**made, "dtype": None}
        self.head = linear(width, out_features, ("embed", "mlp"), kernel_init=SMALL, **last) if out_features else None

    def __call__(
        self,
        points: Float[Array, "B L 3"],
        features: Float[Array, "B L I"],
        mask: Bool[Array, "B L"],
        rotations: Float[Array, "B L 3 3"] | None = None,
        *,
        residue_index: Int[Array, "B L"] | None = None,
        chain: Int[Array, "B L"] | None = None,
    ) -> tuple[Float[Array, "B L 3"], Float[Array, "B L O"]]:
        """Where the points are moved to, less where they were, and the features.

        Args:
            points: along a chain.
            features: of the residues.
            mask: true where there is one.
            rotations: of their frames; those of Frenet and Serret by default.
            residue_index: place along the chain; one after the other by default.
            chain: number of the chain; one by default.
        """
        points = points.astype(jnp.promote_types(points.dtype, jnp.float32))
        rotations = frenet_rotations(points, mask) if rotations is None else rotations
        pairs = self.pairs(relative_positions(mask, FARTHEST, residue_index, chain))
        h, x = self.embed(features), points
        for layer in self.layers:
            h, x = layer(h, pairs, rotations, x, mask)
        moved = jnp.where(mask[..., None], x - points, 0)
        if self.head is None or self.norm is None:
            return moved, h[..., :0]
        return moved, jnp.where(mask[..., None], self.head(self.norm(h)), 0)


SMALL = nnx.initializers.normal(1e-3)


class _Layer(nnx.Module):
    """Attention, a transition, and a move of each point within its frame."""

    def __init__(self, config: InvariantPointAttentionConfig, **made: Any) -> None:
        width = config.features
        self.unit = config.length_unit
        self.norm = layer_norm(width, **made)
        self.attention = InvariantPointAttention(
            width,
            heads=config.heads,
            scalars=config.scalars,
            query_points=config.query_points,
            value_points=config.value_points,
            pair_features=config.pair_features,
            **made,
        )
        self.transition_norm = layer_norm(width, **made)
        self.transition = MLP(width, (2 * width,), width, activation="relu", **made)
        self.move = linear(width, 3, ("embed", "mlp"), kernel_init=SMALL, **made)

    def __call__(self, h: Array, pairs: Array, rotations: Array, x: Array, mask: Array) -> tuple[Array, Array]:
        h = h + self.attention(self.norm(h), pairs, rotations, x / self.unit, mask)
        h = h + self.transition(self.transition_norm(h))
        moved = jnp.einsum("blcd,bld->blc", rotations, self.move(h).astype(x.dtype), precision=HIGHEST)
        return h, x + self.unit * moved
