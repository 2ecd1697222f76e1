r"""The equivariant graph neural network on complete graphs.

Satorras, Hoogeboom & Welling 2021, "E(n) equivariant graph neural networks" (arXiv:2102.09844), equations 3-6:

    m_ij = phi_e(h_i, h_j, |x_i - x_j|^2, a_ij),   gate e_ij = sigmoid(w m_ij)
    x_i' = x_i + sum_{j != i} (x_i - x_j) phi_x(m_ij) / C
    h_i' = h_i + phi_h(h_i, sum_{j != i} e_ij m_ij / C)

with what keeps it steady in a diffusion model (Hoogeboom et al. 2022, arXiv:2203.17003, appendix B): the difference over
``|x_i - x_j| + 1``, ``phi_x`` between plus and minus a range by a hyperbolic tangent, the squared distance at the network's
input as the edge's ``a_ij``, and ``C = 100``.

The first layer of ``phi_e`` is linear in its parts, so that what it makes of ``h_i`` and ``h_j`` is computed once a point
instead of once a pair.

Shapes: ``B`` batch, ``N`` points, ``D`` width, ``M`` width of a message, ``E`` features of an edge.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.nn import MLP
from artifex.geometric.layers import LECUN_NORMAL, layer_norm, linear
from artifex.geometric.networks import GeometricNetworkConfig

__all__ = ["EGNN", "EGNNConfig", "EGNNLayer"]

PositiveInt = Annotated[int, Field(ge=1)]
SMALL = nnx.initializers.variance_scaling(1e-6, "fan_avg", "uniform")
"""Of the last layer of the coordinates' network: the points hardly move at first."""


@config
class EGNNConfig(GeometricNetworkConfig):
    """An EGNN.

    Example:
        >>> EGNNConfig(features=64, layers=4).coordinate_range
        15.0
    """

    equivariant: ClassVar[bool] = True
    features: PositiveInt = 128
    """Width of points and messages."""
    layers: PositiveInt = 4
    """How many layers."""
    attention: bool = True
    """Weigh each message by a learned gate between 0 and 1."""
    coordinate_range: Annotated[float, Field(gt=0)] = 15.0
    """Bound of a layer's weight of a unit difference, shared out evenly over the layers."""
    normalization: Annotated[float, Field(gt=0)] = 100.0
    """What sums over neighbours are divided by."""


class EGNN(nnx.Module):
    """An equivariant network from points with features to vectors and features.

    Args:
        config: its size.
        in_features: features of a point.
        out_features: features that are given back; 0 for none.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> network = EGNN(EGNNConfig(features=8, layers=2), in_features=2, out_features=1, rngs=nnx.Rngs(0))
        >>> vectors, features = network(jnp.ones((4, 5, 3)), jnp.ones((4, 5, 2)), jnp.ones((4, 5), bool))
        >>> vectors.shape, features.shape
        ((4, 5, 3), (4, 5, 1))
    """

    def __init__(
        self,
        config: EGNNConfig,
        *,
        in_features: int,
        out_features: int,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        width, n = config.features, config.layers
        self.embed = linear(in_features, width, ("embed", "mlp"), dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.layers = nnx.List(
            [
                EGNNLayer(
                    width,
                    edge_features=1,
                    gated=config.attention,
                    bound=config.coordinate_range / n,
                    divisor=config.normalization,
                    updates_features=out_features > 0 or i < n - 1,
                    dtype=dtype,
                    param_dtype=param_dtype,
                    rngs=rngs,
                )
                for i in range(n)
            ]
        )
        self.head = linear(width, out_features, ("mlp", "embed"), param_dtype=param_dtype, rngs=rngs) if out_features else None

    def __call__(
        self, points: Float[Array, "B N 3"], features: Float[Array, "B N I"], mask: Bool[Array, "B N"]
    ) -> tuple[Float[Array, "B N 3"], Float[Array, "B N O"]]:
        """Where the points are moved to, less where they were, and the features."""
        points = points.astype(jnp.promote_types(points.dtype, jnp.float32))
        h, x, edges = self.embed(features), points, squared_distances(points)[..., None]
        for layer in self.layers:
            h, x = layer(h, x, mask, edges)
        moved = jnp.where(mask[..., None], x - points, 0)
        made = h[..., :0] if self.head is None else jnp.where(mask[..., None], self.head(h), 0)
        return moved, made


class EGNNLayer(nnx.Module):
    """One layer, equations 3-6 of arXiv:2102.09844.

    Args:
        features: width of the points' features, ``D``.
        edge_features: features of a pair beside its squared distance, ``E``.
        message_features: ``M``; ``D`` by default.
        edge_hidden: width of the hidden layer of ``phi_e``; ``D`` by default.
        coordinate_hidden: of ``phi_x``; ``D`` by default.
        node_hidden: of ``phi_h``; ``D`` by default.
        gated: weigh messages by a learned gate.
        bound: of ``phi_x``, for unit differences; None takes differences as they are, and no bound.
        divisor: ``C``.
        self_edges: let a point send itself a message, as egnn-pytorch does.
        normed: layer norm of the features that ``phi_h`` sees.
        updates_features: have a ``phi_h``; else features stay as they are.
        dtype: what hidden layers compute in; by default what parameters and input have in common.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.
    """

    def __init__(
        self,
        features: int,
        *,
        edge_features: int = 0,
        message_features: int | None = None,
        edge_hidden: int | None = None,
        coordinate_hidden: int | None = None,
        node_hidden: int | None = None,
        gated: bool = False,
        bound: float | None = None,
        divisor: float = 1.0,
        self_edges: bool = False,
        normed: bool = False,
        updates_features: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        made: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        messages, hidden = message_features or features, edge_hidden or features
        self.bound, self.divisor, self.self_edges = bound, divisor, self_edges
        self.receiver = linear(features, hidden, use_bias=False, **made)
        self.sender = linear(features, hidden, use_bias=False, **made)
        self.pair = linear(1 + edge_features, hidden, **made)
        self.message = linear(hidden, messages, ("mlp", "embed"), **made)
        self.gate = linear(messages, 1, ("embed", "mlp"), **made) if gated and updates_features else None
        self.push = linear(messages, coordinate_hidden or features, **made)
        init = LECUN_NORMAL if bound is None else SMALL
        self.weight = linear(
            coordinate_hidden or features, 1, ("mlp", "embed"), use_bias=bound is None, kernel_init=init, **made
        )
        self.norm = layer_norm(features, **made) if normed and updates_features else None
        hidden = (node_hidden or features,)
        self.node = MLP(features + messages, hidden, features, activation="silu", **made) if updates_features else None

    def __call__(
        self,
        h: Float[Array, "B N D"],
        x: Float[Array, "B N 3"],
        mask: Bool[Array, "B N"],
        edges: Float[Array, "B N N E"] | None = None,
    ) -> tuple[Float[Array, "B N D"], Float[Array, "B N 3"]]:
        """The features and points behind it; those in padded places change nothing elsewhere."""
        squared = squared_distances(x)[..., None]
        measured = squared if edges is None else jnp.concatenate([squared, edges], axis=-1)
        m = self.receiver(h)[:, :, None] + self.sender(h)[:, None] + self.pair(measured)  # (B, N, N, hidden)
        m = jax.nn.silu(self.message(jax.nn.silu(m)))  # (B, N, N, M)
        there = (mask[:, :, None] & mask[:, None])[..., None]  # (B, N, N, 1)
        if not self.self_edges:
            there = there & ~jnp.eye(x.shape[1], dtype=bool)[None, :, :, None]
        x = x + self._moves(x, squared, m, there)
        if self.node is None:
            return h, x
        weights = jnp.where(there, 1 if self.gate is None else jax.nn.sigmoid(self.gate(m)), 0).astype(m.dtype)
        total = jnp.einsum("bijk,bijm->bim", weights, m) / self.divisor
        seen = h if self.norm is None else self.norm(h)
        return h + self.node(jnp.concatenate([seen, total.astype(seen.dtype)], axis=-1)), x

    def _moves(self, x: Array, squared: Array, m: Array, there: Array) -> Array:
        """``sum_j (x_i - x_j) w_ij / C``; from the differences, so that it is the same wherever the set lies."""
        weights = self.weight(jax.nn.silu(self.push(m))).astype(x.dtype)
        if self.bound is not None:
            safe = jnp.where(there, squared, 1)
            weights = self.bound * jnp.tanh(weights) / (jnp.sqrt(safe + 1e-8) + 1)
        weights = jnp.where(there, weights, 0)[..., 0] / self.divisor  # (B, N, N)
        return jnp.sum(weights[..., None] * (x[:, :, None] - x[:, None]), axis=2)


def squared_distances(x: Float[Array, "B N 3"]) -> Float[Array, "B N N"]:
    """``|x_i - x_j|^2``, from the differences: products would lose the digits of near points."""
    return jnp.sum(jnp.square(x[:, :, None] - x[:, None]), axis=-1)
