"""Blocks that the networks of this family share."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

__all__ = ["layer_norm", "linear", "time_features"]

LECUN_NORMAL = nnx.initializers.lecun_normal()


def linear(
    n_in: int,
    n_out: int,
    axes: tuple[str, str] = ("embed", "mlp"),
    *,
    use_bias: bool = True,
    kernel_init: nnx.Initializer = LECUN_NORMAL,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
) -> nnx.Linear:
    """A linear layer that knows its logical axes; without a ``dtype`` it computes in the common type of input and parameters.

    >>> linear(3, 8, rngs=nnx.Rngs(0))(jnp.ones((2, 5, 3))).shape
    (2, 5, 8)
    """
    return nnx.Linear(
        n_in,
        n_out,
        use_bias=use_bias,
        kernel_init=nnx.with_metadata(kernel_init, logical_axes=axes),
        bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=axes[1:]),
        dtype=dtype,
        param_dtype=param_dtype,
        rngs=rngs,
    )


def layer_norm(
    features: int, *, dtype: DTypeLike | None = None, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs
) -> nnx.LayerNorm:
    """Layer norm over the last axis, ``epsilon`` as in PyTorch, whose parameters know their logical axis."""
    return nnx.LayerNorm(
        features,
        epsilon=1e-5,
        scale_init=nnx.with_metadata(nnx.initializers.ones_init(), logical_axes=("embed",)),
        bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=("embed",)),
        dtype=dtype,
        param_dtype=param_dtype,
        rngs=rngs,
    )


def time_features(t: Float[Array, "..."], width: int, longest: float = 10_000.0) -> Float[Array, "... width"]:
    """``sin`` and ``cos`` of ``t`` at ``width / 2`` frequencies from 1 down to ``1 / longest`` (arXiv:1706.03762, 3.5).

    Args:
        t: positions or times, of the order of 1 to ``longest``.
        width: even.
        longest: the longest wavelength over ``2 pi``.

    >>> time_features(jnp.zeros(2), 4).tolist()
    [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    """
    half = width // 2
    rates = jnp.exp(-math.log(longest) * jnp.arange(half, dtype=t.dtype) / half)
    angles = t[..., None] * rates.reshape((1,) * t.ndim + (half,))
    return jax.lax.concatenate([jnp.sin(angles), jnp.cos(angles)], angles.ndim - 1)
