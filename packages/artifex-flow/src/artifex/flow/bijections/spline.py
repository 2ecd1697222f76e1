r"""The monotone rational-quadratic spline with linear tails.

Durkan et al. 2019, "Neural Spline Flows" (arXiv:1906.04032). On ``[-T, T]`` the map goes through knots
``(x_0, y_0) ... (x_K, y_K)`` with derivatives ``d_0 ... d_K``; outside it is the identity. In bin ``k``, with
``z = (x - x_k) / (x_{k+1} - x_k)`` and ``s = (y_{k+1} - y_k) / (x_{k+1} - x_k)``,

    y = y_k + (y_{k+1} - y_k) (s z^2 + d_k z (1 - z)) / (s + (d_k + d_{k+1} - 2 s) z (1 - z))                      equation 4
    dy/dx = s^2 (d_{k+1} z^2 + 2 s z (1 - z) + d_k (1 - z)^2) / (s + (d_k + d_{k+1} - 2 s) z (1 - z))^2            equation 5

and the inverse is the root of a quadratic, equations 6-8, in the form that does not cancel.

Knots come from ``3 K - 1`` free numbers an element: ``K`` widths and ``K`` heights through a softmax, ``K - 1`` log
derivatives, all softly clipped so that no bin and no slope vanishes; the derivatives at both ends are one. All zero, they give
the identity.

Shapes: ``... = batch, D = elements, P = 3 K - 1``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.affine import soft_clip
from artifex.flow.bijections.transformer import Moved

__all__ = ["SplineTransformer", "rational_quadratic", "rational_quadratic_inverse"]


class Bin(NamedTuple):
    """The part of a spline that an element falls into, each ``(..., D)``."""

    x0: Any
    x1: Any
    y0: Any
    y1: Any
    log_d0: Any
    log_d1: Any


def rational_quadratic(x: Float[Array, "..."], part: Bin) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Equations 4 and 5: ``y`` and ``log dy/dx`` at ``x`` in its bin."""
    width, height, slope, d0, d1 = _shape(part)
    z = (x - part.x0) / width
    product = z * (1 - z)
    denominator = slope + (d0 + d1 - 2 * slope) * product
    y = part.y0 + height * (slope * z * z + d0 * product) / denominator
    return y, _log_derivative(z, slope, d0, d1)


def rational_quadratic_inverse(y: Float[Array, "..."], part: Bin) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Equations 6-8: ``x`` and ``log dx/dy`` at ``y`` in its bin."""
    width, height, slope, d0, d1 = _shape(part)
    above = y - part.y0
    curvature = above * (d0 + d1 - 2 * slope)
    a = height * (slope - d0) + curvature
    b = height * d0 - curvature
    c = -slope * above
    root = jnp.sqrt(jnp.maximum(b * b - 4 * a * c, 0))
    z = 2 * c / (-b - root)
    z = z + jax.lax.stop_gradient(jnp.clip(z, 0, 1) - z)  # rounded beyond its bin, a steep one may seem to fall there
    return part.x0 + z * width, -_log_derivative(z, slope, d0, d1)


def _shape(part: Bin) -> tuple[Array, Array, Array, Array, Array]:
    width, height = part.x1 - part.x0, part.y1 - part.y0
    return width, height, height / width, jnp.exp(part.log_d0), jnp.exp(part.log_d1)


def _log_derivative(z: Array, slope: Array, d0: Array, d1: Array) -> Array:
    product = z * (1 - z)
    denominator = slope + (d0 + d1 - 2 * slope) * product
    numerator = d1 * z * z + 2 * slope * product + d0 * (1 - z) ** 2
    return 2 * jnp.log(slope) + jnp.log(numerator) - 2 * jnp.log(denominator)


@dataclass(frozen=True)
class SplineTransformer:
    """A rational-quadratic spline of each element on ``[-bound, bound]``, the identity outside.

    Args:
        bins: ``K``.
        bound: ``T``.
        min_slope: least derivative at a knot, ``m``. Heights lie within a factor of about ``m`` of each other.
        max_slope: largest derivative at a knot, ``M``. Widths lie within a factor of about ``1 / M`` of each other.

    Raises:
        InvalidInputError: an argument is out of range.

    Example:
        >>> spline = SplineTransformer(bins=4)
        >>> y, log_derivative = spline.forward(jnp.array([-7.0, 0.3]), jnp.zeros((11, 2)))
        >>> [round(float(v), 4) for v in y]
        [-7.0, 0.3]
    """

    bins: int = 8
    bound: float = 5.0
    min_slope: float = 0.03
    max_slope: float = 1e3

    def __post_init__(self) -> None:
        if self.bins < 2 or not 0 < self.bound < math.inf or not 1e-6 <= self.min_slope < 1 < self.max_slope <= 1e6:
            raise InvalidInputError(
                f"bins is {self.bins}, bound {self.bound}, min_slope {self.min_slope}, max_slope {self.max_slope}; expected at "
                "least 2 bins, a positive and finite bound, and slopes from 1e-6 to below 1 and from above 1 to 1e6; beyond, "
                "bins vanish in float32"
            )

    @property
    def limits(self) -> tuple[float, float]:
        """``(log M, -log m)``: how large a log derivative is at most, and how far below zero."""
        return math.log(self.max_slope), -math.log(self.min_slope)

    @property
    def n_parameters(self) -> int:
        return 3 * self.bins - 1

    def forward(self, x: Float[Array, "... D"], parameters: Float[Array, "... P D"]) -> Moved:
        return _precise(self, False, jnp.asarray(x), parameters)

    def inverse(self, y: Float[Array, "... D"], parameters: Float[Array, "... P D"]) -> Moved:
        return _precise(self, True, jnp.asarray(y), parameters)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _precise(spline: SplineTransformer, by_y: bool, at: Float[Array, "... D"], parameters: Float[Array, "... P D"]) -> Moved:
    """In float64 what is given in float32, but where derivatives are taken.

    Knots are sums of exponentials. In float32 they are off by some 1e-6, otherwise at ``x`` than at the ``x`` that an inverse
    finds, whose parameters differ in their last digits; the way back through flat bins makes 1e-3 of that. Of all that a round
    trip loses, most is lost here. Derivatives gain nothing from it: a step of training costs what it costs in float32, and the
    values that come with them are off by those 1e-6. Without them, a spline takes longer than in float32.
    """
    if not at.dtype == parameters.dtype == jnp.float32:
        return _moved(spline, by_y, at, parameters)
    with jax.enable_x64(True):
        moved, log_derivative = _moved(spline, by_y, at.astype(jnp.float64), parameters.astype(jnp.float64))
        return moved.astype(jnp.float32), log_derivative.astype(jnp.float32)


@_precise.defjvp
def _precise_jvp(spline: SplineTransformer, by_y: bool, primals: Any, tangents: Any) -> tuple[Moved, Moved]:
    return jax.jvp(partial(_moved, spline, by_y), primals, tangents)


def _moved(spline: SplineTransformer, by_y: bool, at: Float[Array, "... D"], parameters: Float[Array, "... P D"]) -> Moved:
    """The spline or, ``by_y``, its inverse: what it makes of ``at``, and the log derivative there."""
    inside = jnp.abs(at) <= spline.bound
    within = jnp.where(inside, at, 0)  # what lies outside must not make a number that is none, not even unused
    move = rational_quadratic_inverse if by_y else rational_quadratic
    moved, log_derivative = move(within, find_bin(spline, by_y, within, parameters))
    # a base on just that box gives no density to what rounding put a little outside it
    moved = moved + jax.lax.stop_gradient(jnp.clip(moved, -spline.bound, spline.bound) - moved)
    return jnp.where(inside, moved, at), jnp.where(inside, log_derivative, 0)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def find_bin(spline: SplineTransformer, by_y: bool, at: Float[Array, "... D"], parameters: Float[Array, "... P D"]) -> Bin:
    """The bin that ``at`` falls into, by its ``y`` or its ``x``.

    Written out row by row of the parameters, with a derivative of its own: as one expression of arrays over all bins it is
    several times slower on CPUs, and automatic differentiation of what is written out slower still.
    """
    return _search(spline, by_y, at, _rows(parameters))[0]


class _Search(NamedTuple):
    """What there is to know of the bin that was found."""

    part: Bin
    factors: tuple[Array, Array]
    """``2 T / sum_j exp(u_j)`` of the widths and of the heights, of clipped ``u``."""
    number: Array
    """Which bin it is, 0 first."""


def _search(spline: SplineTransformer, by_y: bool, at: Array, rows: list[Array]) -> _Search:
    n, bound = spline.bins, spline.bound
    upper, lower = spline.limits
    x, x_factor = _knots(rows[:n], upper / 2, bound)
    y, y_factor = _knots(rows[n : 2 * n], lower / 2, bound)
    log_d = [jnp.zeros_like(at), *(soft_clip(u, upper, lower) for u in rows[2 * n :]), jnp.zeros_like(at)]
    found, number = Bin(x[0], x[1], y[0], y[1], log_d[0], log_d[1]), jnp.zeros_like(at)
    for k in range(1, n):
        here = at >= (y[k] if by_y else x[k])
        later = Bin(x[k], x[k + 1], y[k], y[k + 1], log_d[k], log_d[k + 1])
        found = Bin(*(jnp.where(here, new, old) for new, old in zip(later, found, strict=True)))
        number += here
    return _Search(found, (x_factor, y_factor), number)


def _rows(parameters: Float[Array, "... P D"]) -> list[Array]:
    """The rows one by one; the transpose of ``split`` is one concatenation, that of slices a sum of padded arrays."""
    axis = parameters.ndim - 2
    return [row[..., 0, :] for row in jax.lax.split(parameters, (1,) * parameters.shape[axis], axis)]


def _knots(free: list[Array], limit: float, bound: float) -> tuple[list[Array], Array]:
    """The ends of bins as wide as ``2 T softmax(u)`` of clipped ``u``, from ``-T`` to ``T``, and the factor in that softmax.

    Clipped, they need no largest one subtracted. A knot is the weights on its left less those on its right; summed from the
    middle outwards, it carries about half the rounding error of a sum that begins at ``-T``, and least near zero.
    """
    weights = [jnp.exp(soft_clip(u, limit)) for u in free]
    n, middle = len(weights), len(weights) // 2
    left, right = _sum(weights[:middle]), _sum(weights[middle:])
    differences = {middle: left - right}
    for k in range(middle, n - 1):
        differences[k + 1] = differences[k] + 2 * weights[k]
    for k in range(middle, 1, -1):
        differences[k - 1] = differences[k] - 2 * weights[k - 1]
    factor = bound / (left + right)
    end = jnp.full_like(factor, bound)
    return [-end, *(differences[k] * factor for k in range(1, n)), end], 2 * factor


def _sum(terms: list[Array]) -> Array:
    """In pairs, for less rounding."""
    middle = len(terms) // 2
    return terms[0] if len(terms) == 1 else _sum(terms[:middle]) + _sum(terms[middle:])


@find_bin.defjvp
def _find_bin_jvp(spline: SplineTransformer, by_y: bool, primals: Any, tangents: Any) -> tuple[Bin, Bin]:
    """How the bin's ends move with the parameters; which bin it is does not change.

    A knot ``x_k = 2 T sum_{j<k} p_j - T`` with ``p = softmax(u)`` moves by ``2 T (sum_{j<k} p_j du_j - P_k sum_j p_j du_j)``,
    where ``P_k = (x_k + T) / 2 T``.
    """
    (at, parameters), (_, tangent) = primals, tangents
    rows, moves = _rows(parameters), _rows(tangent)
    found, factors, number = _search(spline, by_y, at, rows)
    n, bound, (upper, lower) = spline.bins, spline.bound, spline.limits

    def knots(first: int, factor: Array, limit: float, low: Array, high: Array) -> tuple[Array, Array]:
        total = before = upto = jnp.zeros_like(at)
        for k in range(n):
            clip = 1 / (1 + jnp.abs(rows[first + k]) / limit)
            moved = jnp.exp(rows[first + k] * clip) * factor * (clip * clip) * moves[first + k]
            total += moved
            before += jnp.where(number > k, moved, 0)
            upto += jnp.where(number >= k, moved, 0)
        return before - (low + bound) / (2 * bound) * total, upto - (high + bound) / (2 * bound) * total

    x0, x1 = knots(0, factors[0], upper / 2, found.x0, found.x1)
    y0, y1 = knots(n, factors[1], lower / 2, found.y0, found.y1)
    log_d0 = log_d1 = jnp.zeros_like(at)
    for k in range(n - 1):
        u = rows[2 * n + k]
        clip = 1 / (1 + u * jnp.where(u < 0, -1 / lower, 1 / upper))
        moved = clip * clip * moves[2 * n + k]
        log_d0 += jnp.where(number == k + 1, moved, 0)
        log_d1 += jnp.where(number == k, moved, 0)
    return found, Bin(x0, x1, y0, y1, log_d0, log_d1)
