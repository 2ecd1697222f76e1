r"""Reference distributions ``q``: known densities of the data's shape.

Chains start from them, noise-contrastive estimation tells data from them, annealed importance sampling departs from them, and
a model may be a tilt of one, ``E(x) = f(x) - log q(x)``, which is then normalisable whatever a bounded network ``f`` does.

Shapes: ``N = examples, ... = one example``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config

__all__ = [
    "GaussianReference",
    "GaussianReferenceConfig",
    "ReferenceConfig",
    "ReferenceField",
    "UniformReference",
    "UniformReferenceConfig",
    "create_reference",
    "named",
    "summed",
]


Finite = Annotated[float, Field(allow_inf_nan=False)]


def summed(values: Float[Array, "N ..."]) -> Float[Array, "N"]:
    """The sum over all axes but the first, in float32 at least."""
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    return jnp.sum(values, axis=tuple(range(1, values.ndim)))


@config
class ReferenceConfig(Config):
    """Base of the configs that may stand in a field ``reference``."""


@config
class GaussianReferenceConfig(ReferenceConfig):
    """``N(m, s^2 I)``."""

    mean: Finite = 0.0
    """``m``, of every element."""
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """``s``, the standard deviation of every element."""


@config
class UniformReferenceConfig(ReferenceConfig):
    """Every element uniform, as fits images."""

    low: Finite = 0.0
    """Least value."""
    high: Finite = 1.0
    """Largest value."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low} and high {self.high}; low has to be below high")


@dataclass(frozen=True)
class GaussianReference:
    """``log q(x) = -|x - m|^2 / 2 s^2 - D log(s sqrt(2 pi))``.

    Example:
        >>> reference = GaussianReference(GaussianReferenceConfig(scale=2.0))
        >>> reference.sample(jax.random.key(0), 3, (2,)).shape
        (3, 2)
    """

    config: GaussianReferenceConfig

    def sample(self, key: Array, n: int, shape: tuple[int, ...]) -> Float[Array, "N ..."]:
        """``n`` independent draws."""
        return self.config.mean + self.config.scale * jax.random.normal(key, (n, *shape))

    def log_prob(self, x: Float[Array, "N ..."]) -> Float[Array, "N"]:
        """Nats."""
        z = (x - self.config.mean) / self.config.scale
        return summed(-0.5 * jnp.square(z) - math.log(self.config.scale * math.sqrt(2 * math.pi)))


@dataclass(frozen=True)
class UniformReference:
    """``log q(x) = -D log(high - low)`` inside the box, ``-inf`` outside.

    Example:
        >>> log_prob = UniformReference(UniformReferenceConfig(high=2.0)).log_prob(jnp.array([[0.5], [3.0]]))
        >>> [round(float(value), 4) for value in log_prob]
        [-0.6931, -inf]
    """

    config: UniformReferenceConfig

    def sample(self, key: Array, n: int, shape: tuple[int, ...]) -> Float[Array, "N ..."]:
        """``n`` independent draws."""
        return jax.random.uniform(key, (n, *shape), minval=self.config.low, maxval=self.config.high)

    def log_prob(self, x: Float[Array, "N ..."]) -> Float[Array, "N"]:
        """Nats."""
        inside = (x >= self.config.low) & (x <= self.config.high)
        return summed(jnp.where(inside, -math.log(self.config.high - self.config.low), -jnp.inf))


def named(value: Any) -> Any:
    """A name alone stands for the component of that name with its defaults."""
    return {"kind": value} if isinstance(value, str) else value


ReferenceField = Annotated[ReferenceConfig, Registered("reference"), BeforeValidator(named)]
"""A config field that takes a reference's config, a dict with its ``kind``, or just its name."""


def create_reference(config: ReferenceConfig) -> Any:
    """The reference that ``config`` describes, found by its type among the installed plugins."""
    return plugins.resolve(plugins.registry().entry_of_config("reference", type(config)).component)(config)
