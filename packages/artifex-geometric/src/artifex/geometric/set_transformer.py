r"""Transformers on sets.

Lee et al. 2019, "Set transformer" (arXiv:1810.00825), equations 6-11, with the normalisation before each sublayer, which needs
no warm-up (Xiong et al. 2020, arXiv:2002.04745):

    MAB(q, k):  h = q + Attention(LN(q), LN(k)),   h + MLP(LN(h))
    SAB(x) = MAB(x, x),   PMA(x) = MAB(seeds, x)

Without positions they do not know the order of the points; as coordinates are features like others, they do know how a set
lies: turned points do not give turned vectors.

Shapes: ``B`` batch, ``N`` points, ``S`` keys, ``D`` width, ``K`` seeds.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.nn import MLP, attention
from artifex.geometric.layers import layer_norm, linear
from artifex.geometric.networks import GeometricNetworkConfig

__all__ = ["AttentionBlock", "SetEncoder", "SetTransformer", "SetTransformerConfig"]

PositiveInt = Annotated[int, Field(ge=1)]


@config
class SetTransformerConfig(GeometricNetworkConfig):
    """A set transformer."""

    equivariant: ClassVar[bool] = False
    features: PositiveInt = 128
    """Width."""
    layers: PositiveInt = 4
    """How many blocks of self-attention."""
    heads: PositiveInt = 4
    """Heads of attention; they divide the width."""

    def __post_init__(self) -> None:
        if self.features % self.heads:
            raise ValueError(f"{self.heads} heads do not divide features, {self.features}; make one a divisor of the other")


def _inner(h: Array, dtype: DTypeLike | None) -> Array:
    """What hidden layers see of an embedding, which is computed from all digits of the coordinates."""
    return h if dtype is None else h.astype(dtype)


class AttentionBlock(nnx.Module):
    """``MAB``: queries look at keys.

    Args:
        features: width, ``D``.
        heads: they divide it.
        crossed: keys are other than the queries, and are normalised by themselves.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        crossed: bool = False,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.heads = heads
        self.query_norm = layer_norm(features, **made)
        self.key_norm = layer_norm(features, **made) if crossed else None
        self.query = linear(features, features, ("embed", "heads"), **made)
        self.key_value = linear(features, 2 * features, ("embed", "heads"), **made)
        self.out = linear(features, features, ("heads", "embed"), **made)
        self.norm = layer_norm(features, **made)
        self.mlp = MLP(features, (2 * features,), features, activation="gelu", **made)

    def __call__(
        self, queries: Float[Array, "B N D"], keys: Float[Array, "B S D"] | None, mask: Bool[Array, "B S"]
    ) -> Float[Array, "B N D"]:
        """``mask`` tells which keys there are; without ``keys`` the queries look at one another."""
        normed = self.query_norm(queries)
        source = normed if keys is None or self.key_norm is None else self.key_norm(keys)
        k, v = jnp.split(self._split(self.key_value(source), 2), 2, axis=-2)
        seen = attention(self._split(self.query(normed), 1), k, v, mask=mask[:, None, None])
        h = queries + self.out(seen.reshape(queries.shape))
        return h + self.mlp(self.norm(h))

    def _split(self, x: Array, parts: int) -> Array:
        return x.reshape(*x.shape[:2], parts * self.heads, x.shape[-1] // (parts * self.heads))


class SetTransformer(nnx.Module):
    """Self-attention of points, each of which is its coordinates and features.

    Args:
        config: its size.
        in_features: features of a point beside its coordinates.
        out_features: features that are given back; 0 for none.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> config = SetTransformerConfig(features=8, layers=1)
        >>> network = SetTransformer(config, in_features=2, out_features=0, rngs=nnx.Rngs(0))
        >>> network(jnp.ones((4, 5, 3)), jnp.ones((4, 5, 2)), jnp.ones((4, 5), bool))[0].shape
        (4, 5, 3)
    """

    def __init__(
        self,
        config: SetTransformerConfig,
        *,
        in_features: int,
        out_features: int,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        width, outer = config.features, {**made, "dtype": None}
        self.dtype = dtype
        self.embed = linear(3 + in_features, width, ("mlp", "embed"), **outer)
        self.blocks = nnx.List([AttentionBlock(width, config.heads, **made) for _ in range(config.layers)])
        self.norm = layer_norm(width, **made)
        self.head = linear(width, 3 + out_features, ("embed", "mlp"), kernel_init=nnx.initializers.normal(1e-3), **outer)

    def __call__(
        self, points: Float[Array, "B N 3"], features: Float[Array, "B N I"], mask: Bool[Array, "B N"]
    ) -> tuple[Float[Array, "B N 3"], Float[Array, "B N O"]]:
        """A vector and features for each point."""
        h = _inner(self.embed(jnp.concatenate([points, features.astype(points.dtype)], axis=-1)), self.dtype)
        for block in self.blocks:
            h = block(h, None, mask)
        made = jnp.where(mask[..., None], self.head(self.norm(h)), 0)
        return made[..., :3], made[..., 3:]


class SetEncoder(nnx.Module):
    """One vector for a set: self-attention, then a seed that looks at all points (``PMA``).

    Args:
        config: its size.
        out_features: width of the vector.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.
    """

    def __init__(
        self,
        config: SetTransformerConfig,
        *,
        out_features: int,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        width, outer = config.features, {**made, "dtype": None}
        self.dtype = dtype
        self.embed = linear(3, width, ("mlp", "embed"), **outer)
        self.blocks = nnx.List([AttentionBlock(width, config.heads, **made) for _ in range(config.layers)])
        self.seed = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (width,), param_dtype), logical_axes=("embed",))
        self.pool = AttentionBlock(width, config.heads, crossed=True, **made)
        self.norm = layer_norm(width, **made)
        self.head = linear(width, out_features, ("embed", "mlp"), **outer)

    def __call__(self, points: Float[Array, "B N 3"], mask: Bool[Array, "B N"]) -> Float[Array, "B O"]:
        """The vector does not depend on the order of the points."""
        h = _inner(self.embed(points), self.dtype)
        for block in self.blocks:
            h = block(h, None, mask)
        seeds = jnp.broadcast_to(self.seed[...].astype(h.dtype), (h.shape[0], 1, h.shape[-1]))
        return self.head(self.norm(self.pool(seeds, h, mask)))[:, 0]
