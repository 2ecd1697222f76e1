r"""The radial map.

Rezende & Mohamed 2015 (arXiv:1505.05770), equations 14 and appendix A.2:

    y = x + beta (x - x0) / (alpha + r),   r = |x - x0|,   alpha > 0,   beta = -alpha + log(1 + e^b) > -alpha
    log |det dy/dx| = (D - 1) log(1 + beta h) + log(1 + beta h - beta r h^2),   h = 1 / (alpha + r)

Along each ray from ``x0`` it is a monotone function of the distance, whose inverse is the root of a quadratic.

Shapes: ``B = batch, D = elements``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.flow.bijections.bijection import Bijection, Condition, Transformed

__all__ = ["Radial"]


class Radial(Bijection):
    """``y = x + beta (x - x0) / (alpha + |x - x0|)``.

    Args:
        features: ``D``.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> layer = Radial(3, rngs=nnx.Rngs(0))
        >>> x = jnp.array([[0.5, -1.0, 2.0]])
        >>> bool(jnp.allclose(layer.inverse(layer.forward(x)[0])[0], x, atol=1e-5))
        True
    """

    def __init__(self, features: int, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        init = nnx.initializers.normal(1.0)
        self.center = nnx.Param(init(rngs.params(), (features,), param_dtype), logical_axes=("embed",))
        self.log_alpha = nnx.Param(jnp.zeros((), param_dtype), logical_axes=())
        self.b = nnx.Param(init(rngs.params(), (), param_dtype), logical_axes=())

    def forward(self, x: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        del condition
        alpha, kept = self._alpha_kept()
        away = x - self.center[...][None]
        r = _length(away)
        return x + ((kept - alpha) / (alpha + r))[:, None] * away, _log_det(r, alpha, kept, x.shape[-1])

    def inverse(self, y: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        del condition
        alpha, kept = self._alpha_kept()
        away = y - self.center[...][None]
        # |y - x0| = r + beta r / (alpha + r): r^2 + p r - alpha |y - x0| = 0
        far = _length(away)
        p = kept - far
        root = jnp.sqrt(p * p + 4 * alpha * far)
        r = jnp.where(p > 0, 2 * alpha * far / (p + root), 0.5 * (root - p))  # whichever does not cancel
        stretch = (r + kept) / (alpha + r)
        return self.center[...][None] + away / stretch[:, None], -_log_det(r, alpha, kept, y.shape[-1])

    def _alpha_kept(self) -> tuple[Array, Array]:
        """``alpha``, and ``alpha + beta = log(1 + e^b)``, which a difference would lose to rounding where it is small."""
        return jnp.exp(self.log_alpha[...]), jax.nn.softplus(self.b[...])


def _length(away: Array) -> Array:
    square = jnp.sum(jnp.square(away), axis=-1)
    safe = jnp.where(square > 0, square, 1)  # the derivative of a root at zero is none
    return jnp.where(square > 0, jnp.sqrt(safe), 0)


def _log_det(r: Array, alpha: Array, kept: Array, n: int) -> Array:
    """With ``beta = kept - alpha`` put in, both logarithms are of sums of positive terms: nothing cancels."""
    h = 1 / (alpha + r)
    return (n - 1) * jnp.log((r + kept) * h) + jnp.log((r + 2 * alpha) * h * (r * h) + alpha * h * (kept * h))
