r"""Losses of energy-based models, as pure functions of energies or of an energy function.

Shapes: ``N = examples, M = noise examples, V = projections, ... = one example``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.ebm.references import summed
from artifex.ebm.samplers.chain import Energy, gradient

__all__ = [
    "contrastive_divergence",
    "denoising_score_matching",
    "energy_penalty",
    "noise_contrastive",
    "sliced_score_matching",
]


def contrastive_divergence(energy: Float[Array, "N"], negative_energy: Float[Array, "M"]) -> Float[Array, ""]:
    r"""``mean E(x) - mean E(x~)``, whose gradient is that of ``-log p`` where ``x~`` are draws of the model.

    Hinton 2002, "Training products of experts by minimizing contrastive divergence". No gradient may reach the energies by way
    of ``x~``: stop it there. The value itself says little: it is near zero both at the start and at the end.

    Example:
        >>> float(contrastive_divergence(jnp.array([1.0, 3.0]), jnp.array([5.0])))
        -3.0
    """
    return jnp.mean(energy) - jnp.mean(negative_energy)


def energy_penalty(energy: Float[Array, "N"], negative_energy: Float[Array, "M"]) -> Float[Array, ""]:
    """``mean E(x)^2 + mean E(x~)^2``, so that energies do not drift (Du & Mordatch 2019, arXiv:1903.08689, section 3.4).

    Example:
        >>> float(energy_penalty(jnp.array([1.0, 3.0]), jnp.array([5.0])))
        30.0
    """
    return jnp.mean(jnp.square(energy)) + jnp.mean(jnp.square(negative_energy))


def denoising_score_matching(
    energy: Energy, x: Float[Array, "N ..."], noise: Float[Array, "N ..."], noise_scale: float
) -> Float[Array, "N"]:
    r"""``s^2 |grad E(x + s z) - z / s|^2 / 2`` of each example, for ``z ~ N(0, I)``.

    Vincent 2011, "A connection between score matching and denoising autoencoders". Least where ``-grad E`` is the score of the
    data blurred by ``s``: the model is of these. The factor ``s^2`` makes losses of different ``s`` alike.

    Args:
        energy: ``E`` of a batch.
        x: data.
        noise: ``z``.
        noise_scale: ``s``.

    Example:
        >>> square = lambda x: jnp.sum(x**2, axis=1) / 2  # whose score is that of one point, blurred by 1
        >>> denoising_score_matching(square, jnp.zeros((1, 2)), jnp.ones((1, 2)), 1.0).tolist()
        [0.0]
    """
    error = noise_scale * gradient(energy)(x + noise_scale * noise) - noise
    return 0.5 * summed(jnp.square(error))


def sliced_score_matching(energy: Energy, x: Float[Array, "N ..."], projections: Float[Array, "V N ..."]) -> Float[Array, "N"]:
    r"""``mean_v [-v^T grad^2 E(x) v] + |grad E(x)|^2 / 2`` of each example, for ``v ~ N(0, I)`` or signs.

    Song et al. 2019 (arXiv:1905.07088), equation 8 with the variance-reduced norm. On average this is the Fisher divergence of
    the data from the model, up to a constant: least where ``-grad E`` is the data's score, and not blurred.

    Args:
        energy: ``E`` of a batch.
        x: data.
        projections: ``v``, some for each example.

    Example:
        >>> square = lambda x: jnp.sum(x**2, axis=1) / 2
        >>> sliced_score_matching(square, jnp.ones((1, 2)), jnp.ones((1, 1, 2))).tolist()  # |x|^2 / 2 less two curvatures of 1
        [-1.0]
    """
    slope = gradient(energy)

    def curvature(v: Array) -> tuple[Array, Array]:
        gradients, along = jax.jvp(slope, (x,), (v,))
        return gradients, summed(along * v)

    gradients, curvatures = jax.vmap(curvature)(projections.astype(x.dtype))
    return 0.5 * summed(jnp.square(gradients[0])) - jnp.mean(curvatures, axis=0)


def noise_contrastive(
    data_log_ratio: Float[Array, "N"], noise_log_ratio: Float[Array, "M"]
) -> tuple[Float[Array, "N"], Float[Array, "M"]]:
    r"""``-log s(r(x))`` of data and ``-log s(-r(y))`` of noise, ``r = log p - log q - log nu``, ``s`` the logistic function.

    Gutmann & Hyvärinen 2012 (JMLR 13), equations 3 and 8, for ``nu`` noise examples to each of data: the loss is the mean of
    the first plus ``nu`` times the mean of the second. Least where ``p``, its normalising constant included, is the data's.

    Example:
        >>> first, second = noise_contrastive(jnp.zeros(1), jnp.zeros(1))
        >>> round(float(first[0]), 4), round(float(second[0]), 4)
        (0.6931, 0.6931)
    """
    return jax.nn.softplus(-data_log_ratio), jax.nn.softplus(noise_log_ratio)
