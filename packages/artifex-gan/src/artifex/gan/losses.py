r"""Adversarial losses: pure functions of logits, ``r = D(x)`` of real and ``f = D(G(z))`` of generated data.

Every one is a mean over all elements of the logits, one an example or one a patch, in float32, to be descended. A loss comes in
two sides, which :data:`LOSSES` puts together by name.

Shapes: ``... = logits of a batch``, any shape, the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = [
    "LOSSES",
    "AdversarialLoss",
    "LossName",
    "accuracies",
    "hinge_discriminator",
    "hinge_generator",
    "least_squares_discriminator",
    "least_squares_generator",
    "logistic_discriminator",
    "minimax_generator",
    "non_saturating_generator",
    "relativistic_discriminator",
    "relativistic_generator",
    "wasserstein_discriminator",
    "wasserstein_generator",
]

Logits = Float[Array, "..."]
Scalar = Float[Array, ""]
LossName = Literal["hinge", "least_squares", "minimax", "non_saturating", "relativistic", "wasserstein"]


def logistic_discriminator(real: Logits, fake: Logits) -> Scalar:
    r""":math:`-E \log \sigma(r) - E \log(1 - \sigma(f))`.

    Goodfellow et al. 2014 (arXiv:1406.2661), equation 1. At its optimum, against a generator that has found the data, it is
    ``2 log 2``.

    >>> round(float(logistic_discriminator(jnp.zeros(2), jnp.zeros(2))), 4)
    1.3863
    """
    return _mean(jax.nn.softplus(-_wide(real))) + _mean(jax.nn.softplus(_wide(fake)))


def non_saturating_generator(fake: Logits) -> Scalar:
    r""":math:`-E \log \sigma(f)`, whose gradient does not vanish where the discriminator is sure (ibid., section 3).

    >>> round(float(non_saturating_generator(jnp.array([0.0]))), 4)
    0.6931
    """
    return _mean(jax.nn.softplus(-_wide(fake)))


def minimax_generator(fake: Logits) -> Scalar:
    r""":math:`E \log(1 - \sigma(f))`, the other side of the very game that the discriminator plays (ibid., equation 1).

    >>> round(float(minimax_generator(jnp.array([0.0]))), 4)
    -0.6931
    """
    return -_mean(jax.nn.softplus(_wide(fake)))


def hinge_discriminator(real: Logits, fake: Logits) -> Scalar:
    r""":math:`E \max(0, 1 - r) + E \max(0, 1 + f)` (Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957).

    >>> float(hinge_discriminator(jnp.array([2.0]), jnp.array([-0.5])))
    0.5
    """
    return _mean(jax.nn.relu(1 - _wide(real))) + _mean(jax.nn.relu(1 + _wide(fake)))


def hinge_generator(fake: Logits) -> Scalar:
    r""":math:`-E f` (ibid.)."""
    return -_mean(_wide(fake))


def least_squares_discriminator(real: Logits, fake: Logits) -> Scalar:
    r""":math:`\tfrac12 E (r - 1)^2 + \tfrac12 E f^2` (Mao et al. 2017, arXiv:1611.04076, equation 9).

    >>> float(least_squares_discriminator(jnp.array([1.0]), jnp.array([1.0])))
    0.5
    """
    return 0.5 * (_mean(jnp.square(_wide(real) - 1)) + _mean(jnp.square(_wide(fake))))


def least_squares_generator(fake: Logits) -> Scalar:
    r""":math:`\tfrac12 E (f - 1)^2` (ibid.)."""
    return 0.5 * _mean(jnp.square(_wide(fake) - 1))


def wasserstein_discriminator(real: Logits, fake: Logits) -> Scalar:
    r""":math:`E f - E r`: minus the estimate of the earth mover's distance (Arjovsky et al. 2017, arXiv:1701.07875).

    The critic has to be held to slope one, by :func:`artifex.gan.penalties.gradient_penalty` say.
    """
    return _mean(_wide(fake)) - _mean(_wide(real))


def wasserstein_generator(fake: Logits) -> Scalar:
    r""":math:`-E f` (ibid.)."""
    return -_mean(_wide(fake))


def relativistic_discriminator(real: Logits, fake: Logits) -> Scalar:
    r""":math:`-E \log \sigma(r - f)`, of pairs of a real and a generated example.

    Jolicoeur-Martineau 2018 (arXiv:1807.00734), section 4.1; Huang et al. 2024 (arXiv:2501.05441) train it with R1 and R2.

    >>> round(float(relativistic_discriminator(jnp.array([3.0]), jnp.array([3.0]))), 4)
    0.6931
    """
    _check_pairs(real, fake)
    return _mean(jax.nn.softplus(_wide(fake) - _wide(real)))


def relativistic_generator(real: Logits, fake: Logits) -> Scalar:
    r""":math:`-E \log \sigma(f - r)` (ibid.)."""
    _check_pairs(real, fake)
    return _mean(jax.nn.softplus(_wide(real) - _wide(fake)))


@dataclass(frozen=True)
class AdversarialLoss:
    """Both sides of a loss."""

    discriminator: Callable[[Logits, Logits], Scalar]
    """Of the logits of real and of generated data."""
    generator: Callable[..., Scalar]
    """Of the logits of generated data; of both where it is relative."""
    boundary: float | None = 0.0
    """The logit above which the discriminator takes something for real; None where only differences mean anything."""
    relative: bool = False
    """Whether the generator's side looks at real data too."""


LOSSES: dict[str, AdversarialLoss] = {
    "hinge": AdversarialLoss(hinge_discriminator, hinge_generator),
    "least_squares": AdversarialLoss(least_squares_discriminator, least_squares_generator, boundary=0.5),
    "minimax": AdversarialLoss(logistic_discriminator, minimax_generator),
    "non_saturating": AdversarialLoss(logistic_discriminator, non_saturating_generator),
    "relativistic": AdversarialLoss(relativistic_discriminator, relativistic_generator, boundary=None, relative=True),
    "wasserstein": AdversarialLoss(wasserstein_discriminator, wasserstein_generator, boundary=None),
}
"""Every loss by name."""


def accuracies(real: Logits, fake: Logits, boundary: float | None) -> tuple[Scalar, Scalar]:
    """Shares of real and of generated data that the discriminator takes for what they are.

    Args:
        real: logits of real data.
        fake: logits of generated data.
        boundary: what parts them; None for the middle between the two means.

    >>> [float(share) for share in accuracies(jnp.array([1.0, -1.0]), jnp.array([-2.0, -3.0]), 0.0)]
    [0.5, 1.0]
    """
    real, fake = _wide(real), _wide(fake)
    middle = (_mean(real) + _mean(fake)) / 2 if boundary is None else boundary
    return _mean((real > middle).astype(jnp.float32)), _mean((fake < middle).astype(jnp.float32))


def _wide(logits: Logits) -> Logits:
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


def _check_pairs(real: Logits, fake: Logits) -> None:
    if real.shape != fake.shape:
        raise InvalidInputError(f"a relativistic loss is of pairs: real has shape {real.shape} and fake {fake.shape}")


def _mean(values: Logits) -> Scalar:
    return jnp.mean(values)
