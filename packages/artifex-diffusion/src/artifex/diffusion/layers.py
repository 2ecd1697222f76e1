r"""Layers that the networks share: linear maps that know their logical axes, and embeddings of time and class.

    gamma(t) = (cos w_0 t, ..., sin w_0 t, ...),   w_i = 10000^(-i / (d / 2 - shift))     Vaswani et al. 2017, arXiv:1706.03762
    e = W_2 silu(W_1 gamma(t)) + E[class]                                                 Ho et al. 2020, arXiv:2006.11239

Shapes: ``B = batch, D = width, S = length of a sequence, *S = spatial sizes, C = channels``.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.core.nn import attention

__all__ = ["Attention", "ClassEmbedding", "TimeEmbedding", "layer_norm", "linear", "norm_groups", "sinusoids"]

ZEROS = nnx.initializers.zeros_init()
LECUN_NORMAL = nnx.initializers.lecun_normal()


def linear(
    n_in: int,
    n_out: int,
    axes: tuple[str | None, str | None] = ("embed", "mlp"),
    *,
    use_bias: bool = True,
    kernel_init: nnx.Initializer = LECUN_NORMAL,
    dtype: Any = None,
    param_dtype: Any = "float32",
    rngs: nnx.Rngs,
) -> nnx.Linear:
    """A linear map whose parameters carry logical axes."""
    return nnx.Linear(
        n_in,
        n_out,
        use_bias=use_bias,
        kernel_init=nnx.with_metadata(kernel_init, logical_axes=axes),
        bias_init=nnx.with_metadata(ZEROS, logical_axes=axes[1:]),
        dtype=dtype,
        param_dtype=param_dtype,
        rngs=rngs,
    )


def layer_norm(width: int, **kinds: Any) -> nnx.LayerNorm:
    """Layer norm whose parameters carry logical axes."""
    return nnx.LayerNorm(
        width,
        epsilon=1e-5,
        scale_init=nnx.with_metadata(nnx.initializers.ones_init(), logical_axes=("embed",)),
        bias_init=nnx.with_metadata(ZEROS, logical_axes=("embed",)),
        **kinds,
    )


def norm_groups(channels: int) -> int:
    """How many groups a group norm has: 32, or as many as leave at least four channels in a group.

    >>> [norm_groups(channels) for channels in (512, 128, 64, 6, 3)]
    [32, 32, 16, 1, 1]
    """
    return next(groups for groups in range(min(32, max(1, channels // 4)), 0, -1) if channels % groups == 0)


def sinusoids(t: Float[Array, "B"], width: int, *, shift: float = 0.0, period: float = 10_000.0) -> Float[Array, "B width"]:
    """``(cos w_i t, sin w_i t)`` with waves from ``2 pi`` to ``2 pi period`` long, in float32.

    Args:
        t: ``(B,)``.
        width: an even number.
        shift: of the exponent's denominator: 1 makes the slowest wave ``period`` exactly.
        period: see above.

    Example:
        >>> sinusoids(jnp.zeros(1), 4).tolist()
        [[1.0, 1.0, 0.0, 0.0]]
    """
    half = width // 2
    frequencies = jnp.exp(-math.log(period) / (half - shift) * jnp.arange(half, dtype=jnp.float32))
    angles = t.astype(jnp.float32)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class TimeEmbedding(nnx.Module):
    """``W_2 silu(W_1 gamma(t))``."""

    def __init__(self, width: int, out_features: int, *, shift: float = 0.0, **kinds: Any):
        self.width, self.shift = width, shift
        self.first = linear(width, out_features, **kinds)
        self.second = linear(out_features, out_features, ("mlp", "embed"), **kinds)

    def __call__(self, t: Float[Array, "B"]) -> Float[Array, "B D"]:
        h = sinusoids(t, self.width, shift=self.shift).astype(self.first.kernel[...].dtype)
        return self.second(jax.nn.silu(self.first(h)))


class ClassEmbedding(nnx.Module):
    """A row for each class, and with ``with_null`` one for no class behind them."""

    def __init__(self, num_classes: int, width: int, *, with_null: bool, dtype: Any, param_dtype: Any, rngs: nnx.Rngs):
        table = 0.02 * jax.random.normal(rngs.params(), (num_classes + with_null, width), param_dtype)
        self.table = nnx.Param(table, logical_axes=(None, "embed"))
        self.dtype = dtype

    def __call__(self, label: Int[Array, "B"]) -> Float[Array, "B D"]:
        # a class that is none is NaN, at which training stops, and not the nearest row, on which it would go on
        rows = self.table[...].at[label].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        return rows if self.dtype is None else rows.astype(self.dtype)


class Attention(nnx.Module):
    """Every query looks at all positions: ``W_o softmax(q k^T / sqrt(d)) v`` in several heads (arXiv:1706.03762, equation 1).

    Args:
        features: of the queries and the result, ``D``.
        context_features: of what keys and values are made from; None for self-attention.
        heads: of ``features // heads`` each.
        qkv_bias: whether queries, keys and values have biases.
        **kinds: ``dtype``, ``param_dtype`` and ``rngs``.
    """

    def __init__(
        self,
        features: int,
        *,
        context_features: int | None = None,
        heads: int = 1,
        qkv_bias: bool = True,
        out_init: nnx.Initializer = LECUN_NORMAL,
        **kinds: Any,
    ):
        self.heads = heads
        source = context_features or features
        self.query = linear(features, features, ("embed", "heads"), use_bias=qkv_bias, **kinds)
        self.key = linear(source, features, ("embed", "heads"), use_bias=qkv_bias, **kinds)
        self.value = linear(source, features, ("embed", "heads"), use_bias=qkv_bias, **kinds)
        self.output = linear(features, features, ("heads", "embed"), kernel_init=out_init, **kinds)

    def __call__(self, x: Float[Array, "B L D"], context: Float[Array, "B S C"] | None = None) -> Float[Array, "B L D"]:
        source = x if context is None else context
        q, k, v = (
            y.reshape(*y.shape[:-1], self.heads, y.shape[-1] // self.heads)
            for y in (self.query(x), self.key(source), self.value(source))
        )
        return self.output(jax.lax.collapse(attention(q, k, v), 2))  # (B, L, H, d) to (B, L, D)
