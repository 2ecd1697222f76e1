"""Group normalisation, channels-last, in the form that XLA runs fastest on the CPU.

Wu & He 2018, "Group Normalization" (arXiv:1803.08494), with groups of neighbouring channels ``g``:

    y = scale (x - m_g) / sqrt(v_g + epsilon) + bias,   m_g and v_g over all positions and the channels of the group

Written as a mean over positions and channels at once, XLA sums over an array with two short axes at its end. :func:`group_norm`
sums over positions first, which leaves the channels in the fast lanes, and then over the channels of each group: fewer numbers
by the count of positions. The result is the same, and so is the form on an accelerator.

Shapes: ``B`` batch, ``*S`` spatial sizes (any number of them), ``C`` channels, ``G`` groups.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from artifex.core.errors import InvalidInputError

__all__ = ["GroupNorm", "group_norm"]


def group_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, num_groups: int, *, epsilon: float = 1e-6) -> jax.Array:
    """Group norm ``y = scale (x - m_g) / sqrt(v_g + epsilon) + bias`` (arXiv:1803.08494, equations 1-2 and 6).

    The variance is the mean of squared deviations, in a second pass: ``E[x^2] - m^2`` would lose it to rounding where the mean
    is large beside it. Statistics are float32 (float64 stays).

    Args:
        x: ``(B, *S, C)``.
        scale: ``(C,)``.
        bias: ``(C,)``.
        num_groups: ``G``, a divisor of ``C``; 1 normalises each example as a whole, ``C`` each channel on its own.
        epsilon: added to the variance.

    Returns:
        ``(B, *S, C)``, of at least float32.

    Raises:
        InvalidInputError: the groups do not divide the channels, or scale and bias have other shapes than ``(C,)``.

    >>> group_norm(jnp.array([[1.0, 3.0, 10.0, 30.0]]), jnp.ones(4), jnp.zeros(4), 2).round(3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    channels = x.shape[-1]
    _check(channels, num_groups)
    if x.ndim < 2 or scale.shape != (channels,) or bias.shape != (channels,):
        raise InvalidInputError(
            f"x of shape {x.shape} takes a scale and a bias of shape ({channels},), one number a channel, the channels last "
            f"and a batch axis first; got {scale.shape} and {bias.shape}."
        )
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    scale, bias = (parameter.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,)) for parameter in (scale, bias))
    centred = x - _group_mean(x, num_groups)
    return centred * (jax.lax.rsqrt(_group_mean(jnp.square(centred), num_groups) + epsilon) * scale) + bias


def _group_mean(x: jax.Array, num_groups: int) -> jax.Array:
    """``(B, *S, C)`` to ``(B, *1, C)``: means over positions, then over the channels of a group, once for each channel."""
    batch, *sizes, channels = x.shape
    means = jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))  # (B, C)
    means = jnp.mean(means.reshape(batch, num_groups, channels // num_groups), axis=-1)  # (B, G)
    return jnp.repeat(means, channels // num_groups, axis=-1).reshape(batch, *(1 for _ in sizes), channels)


def _check(channels: int, num_groups: int) -> None:
    if num_groups < 1 or channels % num_groups:
        divisors = [n for n in range(1, channels + 1) if channels % n == 0]
        raise InvalidInputError(f"{num_groups} groups do not divide {channels} channels; use one of {divisors}.")


class GroupNorm(nnx.Module):
    """Group norm with a learned scale, at first 1, and bias, at first 0 (:func:`group_norm`).

    An activation behind it costs nothing of its own: XLA computes it in the same pass.

    Args:
        num_features: channels, ``C``.
        num_groups: ``G``, a divisor of ``C``.
        epsilon: added to the variance.
        dtype: type of the result; ``None`` means the common type of input and parameters. Statistics are float32 in any case.
        param_dtype: type of the parameters.

    Raises:
        InvalidInputError: the groups do not divide the channels.

    >>> GroupNorm(64, 16)(jnp.ones((4, 7, 7, 64))).shape
    (4, 7, 7, 64)
    """

    def __init__(
        self,
        num_features: int,
        num_groups: int = 32,
        *,
        epsilon: float = 1e-6,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ) -> None:
        _check(num_features, num_groups)
        self.num_groups, self.epsilon, self.dtype = num_groups, epsilon, dtype
        self.scale = nnx.Param(jnp.ones((num_features,), param_dtype), logical_axes=("conv_out",))
        self.bias = nnx.Param(jnp.zeros((num_features,), param_dtype), logical_axes=("conv_out",))

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(B, *S, C)`` to the same shape."""
        dtype = jnp.result_type(x, self.scale[...]) if self.dtype is None else self.dtype
        return group_norm(x, self.scale[...], self.bias[...], self.num_groups, epsilon=self.epsilon).astype(dtype)
