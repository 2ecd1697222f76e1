r"""The layers of transformers: norms, rotary positions, blocks of attention and multilayer perceptron.

    h <- h + W_o attention(n(h)),   h <- h + mlp(n(h))            the block, norms before (Xiong et al. 2020, arXiv:2002.04745)

Shapes: ``B = batch, L = queries, S = keys, E = embedding, H = heads, G = heads with keys of their own, D = size of a head``.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from artifex.core.nn import attention

__all__ = ["Block", "Norm", "attend_last", "linear", "rotate"]


class Norm(nnx.Module):
    """``scale (x - m) / sqrt(v + epsilon) + bias`` (Ba et al. 2016, arXiv:1607.06450); ``rms_norm`` is without mean and bias.

    Zhang & Sennrich 2019, arXiv:1910.07467. Statistics are float32.
    """

    def __init__(self, features: int, kind: Literal["layer_norm", "rms_norm"], *, epsilon: float, dtype: Any, param_dtype: Any):
        self.epsilon, self.dtype, self.centred = epsilon, dtype, kind == "layer_norm"
        self.scale = nnx.Param(jnp.ones((features,), param_dtype), logical_axes=("embed",))
        self.bias = nnx.Param(jnp.zeros((features,), param_dtype), logical_axes=("embed",)) if self.centred else None

    def __call__(self, x: Float[Array, "... E"]) -> Float[Array, "... E"]:
        dtype = jnp.result_type(x, self.scale[...]) if self.dtype is None else self.dtype
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.centred:
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.epsilon)
        x = x * _last(self.scale[...], x)
        return (x if self.bias is None else x + _last(self.bias[...], x)).astype(dtype)


def _last(parameter: Array, x: Array) -> Array:
    return parameter.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def rotate(x: Float[Array, "B L H D"], positions: Int[Array, "B L"], frequencies: Float[Array, "D/2"]) -> Array:
    r"""Rotary positions: the pair ``(x_i, x_{i + D/2})`` turned by the angle ``position f_i``.

    Su et al. 2021, "RoFormer", arXiv:2104.09864.

    Products of a query and a key then depend on the difference of their positions. The pairs are those of Llama.
    """
    angles = positions[..., None, None] * frequencies.reshape(1, 1, 1, -1)  # (B, L, 1, D/2)
    cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def attend_last(
    q: Float[Array, "B H D"], k: Float[Array, "B G S D"], v: Float[Array, "B G S D"], seen: Bool[Array, "B S"]
) -> Float[Array, "B H D"]:
    """Attention of one query to the keys that are kept: :func:`artifex.core.nn.attention` without moving them."""
    batch, heads, size = q.shape
    groups = k.shape[1]
    q = q.reshape(batch, groups, heads // groups, size)
    logits = jnp.einsum("bghd,bgsd->bghs", q, k, preferred_element_type=jnp.promote_types(q.dtype, jnp.float32))
    logits = jnp.where(seen[:, None, None], logits / math.sqrt(size), -jnp.inf)
    weights = jax.nn.softmax(logits).astype(v.dtype)
    return jnp.einsum("bghs,bgsd->bghd", weights, v).reshape(batch, heads, size)


class Block(nnx.Module):
    """One layer of a transformer.

    Args:
        config: a :class:`artifex.ar.transformer.TransformerARConfig`.
        rngs: stream ``params`` initialises.
    """

    def __init__(self, config: Any, *, rngs: nnx.Rngs):
        e, d, h, g, m = config.embed_dim, config.size_of_head, config.num_heads, config.groups, config.width_of_mlp
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype}
        norm = {"epsilon": config.norm_epsilon, **kinds}
        made = {"use_bias": config.use_bias, "rngs": rngs, **kinds}
        residual = nnx.initializers.variance_scaling(1 / (2 * config.num_layers), "fan_in", "truncated_normal")
        self.groups, self.size, self.swiglu, self.rotary_base = g, d, config.activation == "swiglu", config.rotary_base
        self.rotary = config.positions == "rotary"
        self.norm_attention = Norm(e, config.norm, **norm)
        self.query = linear(e, h * d, ("embed", "heads"), **made)
        self.key = linear(e, g * d, ("embed", "heads"), **made)
        self.value = linear(e, g * d, ("embed", "heads"), **made)
        self.output = linear(h * d, e, ("heads", "embed"), init=residual, **made)
        self.norm_mlp = Norm(e, config.norm, **norm)
        self.gate = linear(e, m, ("embed", "mlp"), **made) if self.swiglu else None
        self.up = linear(e, m, ("embed", "mlp"), **made)
        self.down = linear(m, e, ("mlp", "embed"), init=residual, **made)

    def queries_keys_values(self, h: Float[Array, "B L E"], positions: Int[Array, "B L"]) -> tuple[Array, Array, Array]:
        """``(B, L, H, D)``, and ``(B, L, G, D)`` twice."""
        x = self.norm_attention(h)
        q, k, v = (
            layer(x).reshape(*x.shape[:2], layer.out_features // self.size, self.size)
            for layer in (self.query, self.key, self.value)
        )
        if self.rotary:
            frequencies = self.rotary_base ** (-jnp.arange(0, self.size, 2, dtype=jnp.float32) / self.size)
            q, k = rotate(q, positions, frequencies), rotate(k, positions, frequencies)
        return q, k, v

    def __call__(
        self, h: Float[Array, "B L E"], positions: Int[Array, "B L"], seen: Array | None, drop: Any
    ) -> tuple[Float[Array, "B L E"], tuple[Array, Array]]:
        """The layer on whole sequences, and its keys and values.

        Args:
            h: what comes in.
            positions: of each token in its sequence.
            seen: ``(B, 1, L, L)``, true where a query may see a key, beside that none sees what comes after it.
            drop: dropout, called on what each half adds.
        """
        q, k, v = self.queries_keys_values(h, positions)
        made = attention(q, k, v, mask=seen, causal=True)
        return self.finish(h, made, drop), (k, v)

    def finish(self, h: Float[Array, "B L E"], attended: Float[Array, "B L H D"], drop: Any) -> Float[Array, "B L E"]:
        """What is behind the attention."""
        h = h + drop(self.output(jax.lax.collapse(attended, 2)), 0)
        x = self.norm_mlp(h)
        a = jax.nn.gelu(self.up(x)) if self.gate is None else jax.nn.silu(self.gate(x)) * self.up(x)
        return h + drop(self.down(a), 1)


def linear(
    n_in: int,
    n_out: int,
    axes: tuple[str, str],
    *,
    init: Any = None,
    use_bias: bool,
    rngs: nnx.Rngs,
    dtype: Any,
    param_dtype: Any,
) -> nnx.Linear:
    """A linear layer that knows its logical axes."""
    return nnx.Linear(
        n_in,
        n_out,
        use_bias=use_bias,
        kernel_init=nnx.with_metadata(init or nnx.initializers.lecun_normal(), logical_axes=axes),
        bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=axes[1:]),
        dtype=dtype,
        param_dtype=param_dtype,
        rngs=rngs,
    )
