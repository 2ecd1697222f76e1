r"""Affine and additive transformers.

    additive   y = x + b                        log dy/dx = 0      (NICE: Dinh et al. 2014, arXiv:1410.8516)
    affine     y = exp(a) x + b                 log dy/dx = a      (Real NVP: Dinh et al. 2016, arXiv:1605.08803, equation 4)

``a = s / (1 + s / log M)`` for positive ``s``, ``s / (1 + s / log m)`` for negative, keeps the scale between ``m`` and ``M``.
The least one is what counts for the way back: what a layer has squeezed by ``m``, its inverse stretches by ``1 / m``, and the
rounding errors with it.

Shapes: ``... = batch, D = elements``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.transformer import Moved

__all__ = ["AdditiveTransformer", "AffineTransformer", "soft_clip"]


def soft_clip(x: Float[Array, "..."], bound: float, lower: float | None = None) -> Float[Array, "..."]:
    """``x / (1 + |x| / bound)``: about ``x`` near zero, within ``bound`` everywhere; below zero within ``lower``, if given.

    Example:
        >>> soft_clip(jnp.array([0.0, 2.0, -1e9]), 2.0).tolist(), soft_clip(jnp.array([3.0, -1e9]), 3.0, 1.0).tolist()
        ([0.0, 1.0, -2.0], [1.5, -1.0])
    """
    if lower is None or lower == bound:
        return x / (1 + jnp.abs(x) / bound)
    return x / (1 + x * jnp.where(x < 0, -1 / lower, 1 / bound))


@dataclass(frozen=True)
class AffineTransformer:
    """``y = exp(a) x + b``; parameters are ``b`` and the unbounded ``s`` of ``a = soft_clip(s)``.

    Args:
        min_scale: the least scale ``m``.
        max_scale: the largest, ``M``.

    Raises:
        InvalidInputError: ``min_scale`` is not between 0 and 1, or ``max_scale`` not above 1.

    Example:
        >>> y, log_derivative = AffineTransformer().forward(jnp.array([3.0]), jnp.array([[1.0], [0.0]]))
        >>> y.tolist(), log_derivative.tolist()
        ([4.0], [0.0])
    """

    min_scale: float = 0.1
    max_scale: float = 1e3

    def __post_init__(self) -> None:
        if not 0 < self.min_scale < 1:
            raise InvalidInputError(f"min_scale is {self.min_scale}; expected a number between 0 and 1")
        if not 1 < self.max_scale < math.inf:
            raise InvalidInputError(f"max_scale is {self.max_scale}; expected a finite number above 1")

    @property
    def n_parameters(self) -> int:
        return 2

    def forward(self, x: Float[Array, "... D"], parameters: Float[Array, "... 2 D"]) -> Moved:
        shift, log_scale = self._split(parameters)
        return x * jnp.exp(log_scale) + shift, log_scale

    def inverse(self, y: Float[Array, "... D"], parameters: Float[Array, "... 2 D"]) -> Moved:
        shift, log_scale = self._split(parameters)
        return (y - shift) * jnp.exp(-log_scale), -log_scale

    def _split(self, parameters: Float[Array, "... 2 D"]) -> Moved:
        shift, s = parameters[..., 0, :], parameters[..., 1, :]
        return shift, soft_clip(s, math.log(self.max_scale), -math.log(self.min_scale))


@dataclass(frozen=True)
class AdditiveTransformer:
    """``y = x + b``: keeps volumes."""

    @property
    def n_parameters(self) -> int:
        return 1

    def forward(self, x: Float[Array, "... D"], parameters: Float[Array, "... 1 D"]) -> Moved:
        return x + parameters[..., 0, :], jnp.zeros_like(x)

    def inverse(self, y: Float[Array, "... D"], parameters: Float[Array, "... 1 D"]) -> Moved:
        return y - parameters[..., 0, :], jnp.zeros_like(y)
