"""Trading height and width for channels, and setting part of the channels aside.

Dinh et al. 2016, "Density estimation using Real NVP" (arXiv:1605.08803), section 3.6 (multi-scale architecture).

Shapes: ``B = batch, H W C = an image, f = factor``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed

__all__ = ["Flatten", "Split", "Squeeze"]


class Squeeze(Bijection):
    """``(B, H, W, C)`` to ``(B, H/f, W/f, f f C)``: each ``f x f`` square becomes the channels of one position.

    Args:
        factor: ``f``.

    Raises:
        InvalidInputError: height or width does not divide.

    Example:
        >>> Squeeze().forward(jnp.arange(16.0).reshape(1, 4, 4, 1))[0][0, 0, 0].tolist()
        [0.0, 1.0, 4.0, 5.0]
    """

    def __init__(self, factor: int = 2):
        self.factor = factor

    def forward(self, x: Float[Array, "B H W C"], condition: Condition = None) -> Transformed:
        del condition
        f, (n, height, width, channels) = self.factor, x.shape
        if height % f or width % f:
            raise InvalidInputError(f"an image of {height} x {width} does not divide into squares of {f} x {f}; pad or crop it")
        y = x.reshape(n, height // f, f, width // f, f, channels).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(n, height // f, width // f, f * f * channels), jnp.zeros(n, x.dtype)

    def inverse(self, y: Float[Array, "B h w c"], condition: Condition = None) -> Transformed:
        del condition
        f, (n, height, width, channels) = self.factor, y.shape
        x = y.reshape(n, height, width, f, f, channels // (f * f)).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, height * f, width * f, channels // (f * f)), jnp.zeros(n, y.dtype)


class Flatten(Bijection):
    """``(B, ...)`` to ``(B, D)``.

    Args:
        shape: of one example.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.shape = tuple(shape)

    def forward(self, x: Float[Array, "B ..."], condition: Condition = None) -> Transformed:
        del condition
        return jax.lax.collapse(x, 1), jnp.zeros(x.shape[0], x.dtype)

    def inverse(self, y: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        del condition
        return y.reshape(y.shape[0], *self.shape), jnp.zeros(y.shape[0], y.dtype)


class Split(Bijection):
    """``(B, H, W, C)`` to ``(B, D)``: the first half of the channels goes on through ``rest``, the second is set aside.

    Args:
        shape: of one example, ``(H, W, C)``.
        rest: a bijection from the first half of the channels to a vector.
        aside: what happens to all channels just before: an affine coupling here lets the half that goes on say where the other
            lies, as Glow's learned priors do; None for nothing.

    Raises:
        InvalidInputError: there is an odd number of channels.
    """

    def __init__(self, shape: tuple[int, int, int], rest: Bijection, *, aside: Bijection | None = None):
        if shape[-1] % 2:
            raise InvalidInputError(f"{shape[-1]} channels cannot be halved; squeeze first, which multiplies them by four")
        self.shape = tuple(shape)
        self.rest = rest
        self.aside = nnx.data(aside)

    def forward(self, x: Float[Array, "B H W C"], condition: Condition = None) -> Transformed:
        log_det = jnp.zeros(x.shape[0], x.dtype)
        if self.aside is not None:
            x, log_det = self.aside.forward(x, condition)
        going_on, kept = jnp.split(x, 2, axis=-1)
        z, rest_log_det = self.rest.forward(going_on, condition)
        return jnp.concatenate([z, jax.lax.collapse(kept, 1)], axis=-1), log_det + rest_log_det

    def initialize(self, x: Float[Array, "B H W C"], condition: Condition = None) -> Float[Array, "B D"]:
        if self.aside is not None:
            x = self.aside.initialize(x, condition)
        going_on, kept = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([self.rest.initialize(going_on, condition), jax.lax.collapse(kept, 1)], axis=-1)

    def inverse(self, y: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        height, width, channels = self.shape
        z, kept = jnp.split(y, 2, axis=-1)
        going_on, log_det = self.rest.inverse(z, condition)
        x = jnp.concatenate([going_on, kept.reshape(y.shape[0], height, width, channels // 2)], axis=-1)
        if self.aside is None:
            return x, log_det
        x, aside_log_det = self.aside.inverse(x, condition)
        return x, log_det + aside_log_det
