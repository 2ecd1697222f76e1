r"""Parameterisations: what a network is given and predicts, and what that says about the example.

Every one of them is a line in the network's output, after Karras et al. 2022 (arXiv:2206.00364), equation 7 and table 1:

    D(x_t) = skip x_t + out F(in x_t),   target of F:  (x_0 - skip x_t) / out

    epsilon     F predicts e                    skip 1/alpha, out -sigma/alpha                Ho et al. 2020, arXiv:2006.11239
    x0          F predicts x_0                  skip 0, out 1
    v           F predicts alpha e - sigma x_0  skip alpha/n, out -sigma/n, n = alpha^2 + sigma^2   Salimans & Ho, 2202.00512
    velocity    F predicts e - x_0              skip 1/(alpha + sigma), out -sigma/(alpha + sigma)  Liu et al., 2209.03003
    edm         F predicts a mixture of variance one at every level                           Karras et al. 2022

The loss is the mean of ``w |F - target|^2``. Without more, ``w = 1``, each paper's own choice; min-SNR weights (Hang et al.
2023, arXiv:2303.09556) give the error of ``D`` the weight ``min(SNR, gamma)`` whatever the network predicts:
``w = min(SNR, gamma) out^2``.

Shapes: ``B = batch, ... = one example``; ``alpha`` and ``sigma`` broadcast to ``x``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.diffusion.processes import named

__all__ = [
    "X0",
    "Coefficients",
    "Epsilon",
    "EpsilonConfig",
    "Parameterization",
    "ParameterizationConfig",
    "ParameterizationField",
    "Preconditioning",
    "PreconditioningConfig",
    "V",
    "VConfig",
    "Velocity",
    "VelocityConfig",
    "X0Config",
    "create_parameterization",
    "min_snr_weight",
]


class Coefficients(NamedTuple):
    """``D(x) = skip x + out F(scale x)``."""

    skip: Array
    out: Array
    scale: Array


@config
class ParameterizationConfig(Config):
    """Base of the configs of parameterisations; the registered name is the ``kind`` under ``parameterization``."""


@runtime_checkable
class Parameterization(Protocol):
    """What models ask of a parameterisation, built as ``parameterization(config)``; hashable."""

    needs_signal: bool
    """Whether it says nothing about the example where ``alpha`` is zero."""

    def coefficients(self, alpha: Array, sigma: Array) -> Coefficients:
        """At a noise level."""
        ...

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        """What the network is to give for ``alpha x_0 + sigma noise``: ``(x_0 - skip x_t) / out``, without its rounding."""
        ...


@config
class EpsilonConfig(ParameterizationConfig):
    """The network predicts the noise."""


@dataclass(frozen=True)
class Epsilon:
    """``D = (x - sigma F) / alpha``.

    Example:
        >>> Epsilon(EpsilonConfig()).coefficients(jnp.array(0.8), jnp.array(0.6)).skip.round(3).tolist()
        1.25
    """

    config: EpsilonConfig
    needs_signal: bool = True

    def coefficients(self, alpha: Array, sigma: Array) -> Coefficients:
        return Coefficients(1 / alpha, -sigma / alpha, unit_scale(alpha, sigma))

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        del x0, alpha, sigma
        return noise


@config
class X0Config(ParameterizationConfig):
    """The network predicts the example."""


@dataclass(frozen=True)
class X0:
    """``D = F``."""

    config: X0Config
    needs_signal: bool = False

    def coefficients(self, alpha: Array, sigma: Array) -> Coefficients:
        return Coefficients(jnp.zeros_like(alpha), jnp.ones_like(alpha), unit_scale(alpha, sigma))

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        del noise, alpha, sigma
        return x0


@config
class VConfig(ParameterizationConfig):
    """The network predicts ``v = alpha e - sigma x_0``."""


@dataclass(frozen=True)
class V:
    """``D = (alpha x - sigma F) / (alpha^2 + sigma^2)``."""

    config: VConfig
    needs_signal: bool = False

    def coefficients(self, alpha: Array, sigma: Array) -> Coefficients:
        scale = unit_scale(alpha, sigma)
        return Coefficients(alpha * scale**2, -sigma * scale**2, scale)

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        return alpha * noise - sigma * x0


@config
class VelocityConfig(ParameterizationConfig):
    """The network predicts ``e - x_0``, the velocity along a straight path."""


@dataclass(frozen=True)
class Velocity:
    """``D = (x - sigma F) / (alpha + sigma)``."""

    config: VelocityConfig
    needs_signal: bool = False

    def coefficients(self, alpha: Array, sigma: Array) -> Coefficients:
        scale = 1 / (alpha + sigma)  # 1 on a straight path
        return Coefficients(scale, -sigma * scale, scale)

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        del alpha, sigma
        return noise - x0


@config
class PreconditioningConfig(ParameterizationConfig):
    """Input, target and output all have about unit variance, at every level (Karras et al. 2022)."""

    sigma_data: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.5
    """Standard deviation of the data's elements; 0.5 is that of images in [-1, 1]."""


@dataclass(frozen=True)
class Preconditioning:
    """``D = s^2 alpha / n x + s sigma / sqrt(n) F(x / sqrt(n))``, ``n = s^2 alpha^2 + sigma^2``: table 1, for any ``alpha``.

    Example:
        >>> edm = Preconditioning(PreconditioningConfig(sigma_data=1.0))
        >>> [round(float(c), 3) for c in edm.coefficients(jnp.array(1.0), jnp.array(1.0))]
        [0.5, 0.707, 0.707]
    """

    config: PreconditioningConfig
    needs_signal: bool = False

    def coefficients(self, alpha: Array, sigma: Array) -> Coefficients:
        spread = self.config.sigma_data
        scale = 1 / jnp.sqrt((spread * alpha) ** 2 + sigma**2)
        return Coefficients(spread**2 * alpha * scale**2, spread * sigma * scale, scale)

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        spread = self.config.sigma_data
        return (sigma * x0 / spread - spread * alpha * noise) / jnp.sqrt((spread * alpha) ** 2 + sigma**2)


def unit_scale(alpha: Array, sigma: Array) -> Array:
    """What brings ``x_t`` to unit variance where the data have it: 1 for a process that preserves variance."""
    return 1 / jnp.sqrt(alpha**2 + sigma**2)


def min_snr_weight(
    alpha: Float[Array, "..."], sigma: Float[Array, "..."], out: Float[Array, "..."], gamma: float
) -> Float[Array, "..."]:
    """``min(SNR, gamma) out^2``: of the network's squared error, so that ``D`` has the weight ``min(SNR, gamma)``.

    Hang et al. 2023 (arXiv:2303.09556), equation 8: for epsilon it is ``min(SNR, gamma) / SNR``.

    Example:
        >>> alpha, sigma = jnp.array(0.8), jnp.array(0.6)
        >>> float(min_snr_weight(alpha, sigma, -sigma / alpha, 5.0).round(3))  # SNR 1.78 is below 5
        1.0
    """
    # min(SNR, gamma) = min(alpha^2, gamma sigma^2) / sigma^2
    return jnp.minimum(alpha**2, gamma * sigma**2) * (out / sigma) ** 2


ParameterizationField = Annotated[ParameterizationConfig, Registered("parameterization"), BeforeValidator(named)]
"""A config field that takes a parameterisation's config, a dict with its ``kind``, or just its name."""


def create_parameterization(config: ParameterizationConfig) -> Any:
    """The parameterisation that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("parameterization", type(config))
    return plugins.resolve(entry.component)(config)
