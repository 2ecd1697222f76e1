r"""Linear maps along the last axis, by an LU decomposition; on images, the invertible 1x1 convolution.

Kingma & Dhariwal 2018, "Glow" (arXiv:1807.03039), section 3.2, equation 10:

    y = W x + b,   W = P L (U + diag(s)),   log |det W| = sum_i log |s_i|,   at each of the positions of an image

``P`` is a fixed permutation, ``L`` lower triangular with ones on its diagonal, ``U`` strictly upper triangular; ``s`` keeps its
sign. The inverse solves two triangular systems and needs no inverse matrix.

Shapes: ``B = batch, ... = positions (none for vectors, H W for images), D = last axis``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.flow.bijections.bijection import Bijection, Condition, Transformed, at_least_float32

__all__ = ["LULinear"]


class LULinear(Bijection):
    """``y = P L (U + diag(s)) x + b`` on the last axis.

    Args:
        features: ``D``.
        random: start as a random rotation, as Glow does; else as the identity.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> layer = LULinear(3, random=True, rngs=nnx.Rngs(0))
        >>> y, log_det = layer.forward(jnp.ones((2, 4, 4, 3)))  # a rotation: lengths stay
        >>> bool(jnp.allclose(jnp.sum(y**2, axis=-1), 3.0, atol=1e-5)), bool(jnp.allclose(log_det, 0.0, atol=1e-4))
        (True, True)
    """

    def __init__(self, features: int, *, random: bool = False, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        weight = jnp.eye(features)
        if random:
            weight = jax.random.orthogonal(rngs.params(), features)
        # the sorting into P, L and U is not differentiated, and is the same for every parameter type
        permutation, lower, upper = jax.scipy.linalg.lu(weight.astype(jnp.float32))
        diagonal = jnp.diag(upper)
        square = ("embed", None)
        self.permutation = nnx.Variable(permutation.astype(param_dtype))
        self.signs = nnx.Variable(jnp.sign(diagonal).astype(param_dtype))
        self.lower = nnx.Param(jnp.tril(lower, -1).astype(param_dtype), logical_axes=square)
        self.upper = nnx.Param(jnp.triu(upper, 1).astype(param_dtype), logical_axes=square)
        self.log_scale = nnx.Param(jnp.log(jnp.abs(diagonal)).astype(param_dtype), logical_axes=("embed",))
        self.bias = nnx.Param(jnp.zeros(features, param_dtype), logical_axes=("embed",))

    def forward(self, x: Float[Array, "B ... D"], condition: Condition = None) -> Transformed:
        del condition
        lower, upper = self._triangular()
        weight = _product(at_least_float32(self.permutation[...]), _product(lower, upper))
        return jnp.einsum("...i,oi->...o", x, weight, precision=jax.lax.Precision.HIGHEST) + self._bias(x), self._log_det(x)

    def inverse(self, y: Float[Array, "B ... D"], condition: Condition = None) -> Transformed:
        del condition
        lower, upper = self._triangular()
        columns = jax.lax.collapse(y - self._bias(y), 0, -1).T  # (D, B ...)
        columns = _product(at_least_float32(self.permutation[...]).T, columns)
        columns = jax.scipy.linalg.solve_triangular(lower, columns, lower=True, unit_diagonal=True)
        columns = jax.scipy.linalg.solve_triangular(upper, columns)
        return columns.T.reshape(y.shape), -self._log_det(y)

    def _triangular(self) -> tuple[Array, Array]:
        lower, upper, signs, log_scale = (
            at_least_float32(v[...]) for v in (self.lower, self.upper, self.signs, self.log_scale)
        )
        return jnp.tril(lower, -1) + jnp.eye(len(signs), dtype=lower.dtype), jnp.triu(upper, 1) + jnp.diag(
            signs * jnp.exp(log_scale)
        )

    def _bias(self, x: Array) -> Array:
        return at_least_float32(self.bias[...]).reshape((1,) * (x.ndim - 1) + (-1,))

    def _log_det(self, x: Array) -> Array:
        positions = math.prod(x.shape[1:-1])
        return jnp.full(x.shape[0], positions * jnp.sum(at_least_float32(self.log_scale[...])))


def _product(one: Array, other: Array) -> Array:
    """With all digits on any device: accelerators keep ten bits of the factors unless told, and the inverse would miss."""
    return jnp.matmul(one, other, precision=jax.lax.Precision.HIGHEST)
