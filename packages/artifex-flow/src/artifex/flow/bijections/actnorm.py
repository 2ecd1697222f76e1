r"""Activation normalisation.

Kingma & Dhariwal 2018, "Glow" (arXiv:1807.03039), section 3.1: a scale and a shift of each channel, ``y = exp(a) (x + b)``,
``log |det| = positions * sum a``, set once so that the first batch comes out with mean zero and variance one, and then learned
like any other parameter. The first batch is given explicitly (:meth:`ActNorm.initialize`): no forward pass changes anything.

Shapes: ``B = batch, ... = positions, C = channels (the last axis)``.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed, at_least_float32
from artifex.flow.bijections.standardize import spread

__all__ = ["ActNorm"]


class ActNorm(Bijection):
    """``y = exp(a) (x + b)``, one ``a`` and one ``b`` a channel; the identity until it is initialised.

    Args:
        features: ``C``.
        param_dtype: type of the parameters.

    Example:
        >>> layer = ActNorm(2)
        >>> x = jnp.array([[1.0, 10.0], [3.0, 30.0]])
        >>> layer.initialize(x).round(3).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    def __init__(self, features: int, *, param_dtype: DTypeLike = jnp.float32):
        self.log_scale = nnx.Param(jnp.zeros(features, param_dtype), logical_axes=("embed",))
        self.shift = nnx.Param(jnp.zeros(features, param_dtype), logical_axes=("embed",))

    def initialize(self, x: Float[Array, "B ... C"], condition: Condition = None) -> Float[Array, "B ... C"]:
        """Set scale and shift so that ``forward(x)`` has mean zero and variance one in every channel; returns it.

        A channel that is constant in ``x`` is moved to zero and keeps its scale.

        Raises:
            InvalidInputError: there are fewer than two values a channel.
        """
        axes = tuple(range(x.ndim - 1))
        if math.prod(x.shape[:-1]) < 2:
            raise InvalidInputError(f"x has shape {x.shape}: one value a channel has no variance; give a larger batch")
        self.shift[...] = -jnp.mean(x, axis=axes).astype(self.shift[...].dtype)
        self.log_scale[...] = -jnp.log(spread(x, axes)).astype(self.log_scale[...].dtype)
        return self.forward(x, condition)[0]

    def forward(self, x: Float[Array, "B ... C"], condition: Condition = None) -> Transformed:
        del condition
        log_scale, shift = self._channels(x)
        return jnp.exp(log_scale) * (x + shift), self._log_det(x)

    def inverse(self, y: Float[Array, "B ... C"], condition: Condition = None) -> Transformed:
        del condition
        log_scale, shift = self._channels(y)
        return jnp.exp(-log_scale) * y - shift, -self._log_det(y)

    def _channels(self, x: Array) -> tuple[Array, Array]:
        shape = (1,) * (x.ndim - 1) + (-1,)
        return at_least_float32(self.log_scale[...]).reshape(shape), at_least_float32(self.shift[...]).reshape(shape)

    def _log_det(self, x: Array) -> Array:
        return jnp.full(x.shape[0], math.prod(x.shape[1:-1]) * jnp.sum(at_least_float32(self.log_scale[...])))
