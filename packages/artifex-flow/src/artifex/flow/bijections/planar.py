r"""The planar map.

Rezende & Mohamed 2015 (arXiv:1505.05770), equations 10-12 and appendix A.1:

    y = x + u' tanh(w x + b),   u' = u + (m(w u) - w u) w / |w|^2,   m(a) = -1 + log(1 + e^a)
    log |det dy/dx| = log |1 + (w u') (1 - tanh^2(w x + b))|

``w u' > -1`` makes it invertible. Along ``w`` the map is a monotone function of one number ``a = w x + b``, namely
``a + (w u') tanh(a)``; the inverse finds it by bisection and Newton steps, and everything else follows.

Shapes: ``B = batch, D = elements``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.flow.bijections.bijection import Bijection, Condition, Transformed

__all__ = ["Planar"]

HALVINGS, NEWTON_STEPS = 20, 4
"""Halving an interval that is at most ``2 |w u'|`` wide twenty times leaves Newton's method a start from which it converges."""


class Planar(Bijection):
    """``y = x + u' tanh(w x + b)``.

    Args:
        features: ``D``.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> layer = Planar(3, rngs=nnx.Rngs(0))
        >>> x = jnp.array([[0.5, -1.0, 2.0]])
        >>> bool(jnp.allclose(layer.inverse(layer.forward(x)[0])[0], x, atol=1e-5))
        True
    """

    def __init__(self, features: int, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        init = nnx.initializers.normal(features**-0.5)
        self.w = nnx.Param(init(rngs.params(), (features,), param_dtype), logical_axes=("embed",))
        self.u = nnx.Param(init(rngs.params(), (features,), param_dtype), logical_axes=("embed",))
        self.b = nnx.Param(jnp.zeros((), param_dtype), logical_axes=())

    def forward(self, x: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        del condition
        direction, pull = self._invertible()
        a = x @ self.w[...] + self.b[...]  # (B,)
        return x + jnp.tanh(a)[:, None] * direction[None], _log_stretch(a, pull)

    def inverse(self, y: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        del condition
        direction, pull = self._invertible()
        a = _solve(y @ self.w[...] + self.b[...], pull)
        return y - jnp.tanh(a)[:, None] * direction[None], -_log_stretch(a, pull)

    def _invertible(self) -> tuple[Array, Array]:
        """``u'`` and ``w u'``."""
        w, u = self.w[...], self.u[...]
        raw = w @ u
        pull = jax.nn.softplus(raw) - 1
        return u + (pull - raw) * w / jnp.maximum(w @ w, jnp.finfo(w.dtype).tiny), pull


def _log_stretch(a: Array, pull: Array) -> Array:
    return jnp.log1p(pull * _sech2(a))


def _sech2(a: Array) -> Array:
    """``1 / cosh^2 a``, whose derivative does not overflow far out."""
    return 4 * jax.nn.sigmoid(2 * a) * jax.nn.sigmoid(-2 * a)


def _solve(target: Array, pull: Array) -> Array:
    """``a`` with ``a + pull tanh(a) = target``; its derivatives are those of the implicit function."""

    def f(a: Array) -> Array:
        return a + pull * jnp.tanh(a) - target

    def search(f: object, start: Array) -> Array:
        del f

        def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = 0.5 * (low + high)
            above = middle + pull * jnp.tanh(middle) > target
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        reach = jnp.abs(pull)
        low, high = jax.lax.fori_loop(0, HALVINGS, halve, (start - reach, start + reach))

        def newton(_: int, a: Array) -> Array:
            slope = 1 + pull * _sech2(a)
            return jnp.clip(a - (a + pull * jnp.tanh(a) - target) / slope, low, high)

        return jax.lax.fori_loop(0, NEWTON_STEPS, newton, 0.5 * (low + high))

    def tangent_solve(g: object, y: Array) -> Array:
        return y / g(jnp.ones_like(y))  # type: ignore[operator]  # elementwise: the linear map is a product

    return jax.lax.custom_root(f, target, search, tangent_solve)
