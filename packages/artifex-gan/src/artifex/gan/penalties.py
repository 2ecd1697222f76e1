r"""Penalties on the slope of a discriminator ``D`` with respect to its input.

Each is a mean over the batch, in float32. Gradients reach the discriminator's parameters through them.

Shapes: ``B = batch, ... = one example``. ``D`` maps ``(B, ...)`` to logits ``(B,)`` or ``(B, patches)``, example by example.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = ["gradient_penalty", "r1", "r2", "slope_penalty", "squared_slopes"]

Score = Callable[[Array], Array]


def squared_slopes(score: Score, x: Float[Array, "B ..."]) -> Float[Array, "B"]:
    r""":math:`\|\nabla_x D(x)\|^2` of each example.

    Args:
        score: a pure function: of a module, :func:`artifex.core.functional`.
        x: ``(B, ...)``, floating point.

    Raises:
        InvalidInputError: ``x`` has no batch axis, or is not floating point.

    >>> squared_slopes(lambda x: 3.0 * x[:, 0], jnp.zeros((2, 4))).tolist()
    [9.0, 9.0]
    """
    if x.ndim < 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(f"x is {x.dtype} of shape {x.shape}; the slope is taken at a batch of examples, floating point")
    slopes = jax.grad(lambda x: jnp.sum(score(x).astype(jnp.float32)))(x).astype(jnp.float32)
    return jnp.sum(jnp.square(slopes), axis=tuple(range(1, slopes.ndim)))


def slope_penalty(score: Score, x: Float[Array, "B ..."], *, slope: float = 1.0) -> Float[Array, ""]:
    r""":math:`E (\|\nabla D(x)\| - s)^2`: how far the slope is from ``s``, whatever the points.

    Args:
        score: a pure function.
        x: ``(B, ...)``.
        slope: ``s``.

    >>> float(slope_penalty(lambda x: 3.0 * x[:, 0], jnp.zeros((2, 4))))
    4.0
    """
    squares = squared_slopes(score, x)
    # the norm has no gradient at 0, where the slope of a critic that starts flat may be
    norms = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    return jnp.mean(jnp.square(norms - slope))


def gradient_penalty(
    score: Score, real: Float[Array, "B ..."], fake: Float[Array, "B ..."], key: Array, *, slope: float = 1.0
) -> Float[Array, ""]:
    r""":math:`E (\|\nabla D(u r + (1 - u) f)\| - 1)^2` with ``u`` uniform, one for each pair of a real and a generated example.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs" (arXiv:1704.00028), equation 3.

    Args:
        score: a pure function: of a module, :func:`artifex.core.functional`.
        real: ``(B, ...)``.
        fake: the same shape.
        key: of ``u``.
        slope: to which the critic is held.

    Raises:
        InvalidInputError: there are not as many generated examples as real ones, or they have another shape.
    """
    if real.shape != fake.shape:
        raise InvalidInputError(f"pairs are needed: real has shape {real.shape} and fake {fake.shape}")
    u = jax.random.uniform(key, (real.shape[0], *(1,) * (real.ndim - 1)), real.dtype)
    return slope_penalty(score, u * real + (1 - u) * fake, slope=slope)


def r1(score: Score, real: Float[Array, "B ..."]) -> Float[Array, ""]:
    r""":math:`\tfrac12 E \|\nabla D(r)\|^2` on real data (Mescheder et al. 2018, arXiv:1801.04406, equation 9)."""
    return 0.5 * jnp.mean(squared_slopes(score, real))


def r2(score: Score, fake: Float[Array, "B ..."]) -> Float[Array, ""]:
    r""":math:`\tfrac12 E \|\nabla D(f)\|^2` on generated data (ibid., equation 10)."""
    return 0.5 * jnp.mean(squared_slopes(score, fake))
