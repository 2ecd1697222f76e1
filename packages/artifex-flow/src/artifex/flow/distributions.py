r"""Base distributions: what a flow makes of the data, and what it draws from.

    normal      N(m, diag s^2)                                       the standard one, or learned
    student_t   prod_d T_nu((x_d - m_d) / s_d) / s_d                 heavy tails (Jaini et al. 2020, arXiv:1907.04481)
    mixture     sum_k pi_k N(x; m_k, diag s_k^2)                     several modes (Izmailov et al. 2020, arXiv:1912.13025)
    uniform     1 / prod_d (high - low) on a box                     for maps onto a bounded support

A stranger's distribution plugs in as ours do: a :class:`BaseDistributionConfig` of its own, a class that follows
:class:`BaseDistribution`, and a ``ComponentEntry(slot="base_distribution", ...)``.

Shapes: ``B = batch, N = draws, ... = one example, K = components``.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.flow.bijections.bijection import at_least_float32, sum_over_example

__all__ = [
    "BaseDistribution",
    "BaseDistributionConfig",
    "BaseField",
    "Mixture",
    "MixtureConfig",
    "Normal",
    "NormalConfig",
    "StudentT",
    "StudentTConfig",
    "Uniform",
    "UniformConfig",
    "create_base",
]

Shape = tuple[int, ...]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@config
class BaseDistributionConfig(Config):
    """Base of the configs of base distributions; the registered name is the ``kind`` under ``base_distribution``."""


@runtime_checkable
class BaseDistribution(Protocol):
    """What a flow asks of its base, built as ``base(config, shape, *, param_dtype, rngs)``."""

    def log_prob(self, z: Float[Array, "B ..."]) -> Float[Array, "B"]:
        """Nats for each example; ``-inf`` outside the support."""
        ...

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N ..."]:
        """Independent draws."""
        ...


@config
class NormalConfig(BaseDistributionConfig):
    """A diagonal normal distribution."""

    learned: bool = False
    """Learn mean and standard deviation; else they are zero and one."""


class Normal(nnx.Module):
    """``N(m, diag s^2)``.

    Example:
        >>> round(float(Normal(NormalConfig(), (2,), rngs=nnx.Rngs(0)).log_prob(jnp.zeros((1, 2)))[0]), 4)  # -log 2 pi
        -1.8379
    """

    def __init__(self, config: NormalConfig, shape: Shape, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        del rngs  # starts as the standard normal
        self.scaling = _Scaling(shape, config.learned, param_dtype)

    def log_prob(self, z: Float[Array, "B ..."]) -> Float[Array, "B"]:
        return self.scaling.log_prob(z, _log_normal)

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N ..."]:
        return self.scaling.placed(jax.random.normal(key, (n_samples, *self.scaling.shape), self.scaling.dtype))


@config
class StudentTConfig(BaseDistributionConfig):
    """Independent Student-t distributions."""

    degrees_of_freedom: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    """``nu``: the tails fall like ``|x|^-(nu + 1)``."""
    learned: bool = False
    """Learn location, scale and degrees of freedom."""


class StudentT(nnx.Module):
    """``prod_d T_nu((x_d - m_d) / s_d) / s_d``; where it is learned, every element has a ``nu`` of its own."""

    def __init__(self, config: StudentTConfig, shape: Shape, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        del rngs
        self.scaling = _Scaling(shape, config.learned, param_dtype)
        start = jnp.full(shape, math.log(config.degrees_of_freedom), param_dtype)
        self.log_df = nnx.Param(start, logical_axes=(None,) * len(shape)) if config.learned else None
        self.fixed_df = config.degrees_of_freedom

    def log_prob(self, z: Float[Array, "B ..."]) -> Float[Array, "B"]:
        return self.scaling.log_prob(z, lambda u: _log_student_t(u, self._df(z.dtype)))

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N ..."]:
        shape = (n_samples, *self.scaling.shape)
        return self.scaling.placed(jax.random.t(key, self._df(self.scaling.dtype), shape, self.scaling.dtype))

    def _df(self, dtype: DTypeLike) -> Array:
        if self.log_df is None:
            return jnp.full((1,) * (1 + len(self.scaling.shape)), self.fixed_df, dtype)
        return jnp.exp(at_least_float32(self.log_df[...]))[None]


@config
class MixtureConfig(BaseDistributionConfig):
    """A mixture of diagonal normal distributions; weights, means and scales are learned."""

    components: Annotated[int, Field(ge=2)] = 8
    """``K``."""


class Mixture(nnx.Module):
    """``sum_k pi_k N(x; m_k, diag s_k^2)``; means start at draws of the standard normal."""

    def __init__(self, config: MixtureConfig, shape: Shape, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        k = config.components
        axes = (None,) * (1 + len(shape))
        self.shape = shape
        self.logits = nnx.Param(jnp.zeros(k, param_dtype), logical_axes=(None,))
        self.means = nnx.Param(jax.random.normal(rngs.params(), (k, *shape), param_dtype), logical_axes=axes)
        self.log_scales = nnx.Param(jnp.zeros((k, *shape), param_dtype), logical_axes=axes)

    def log_prob(self, z: Float[Array, "B ..."]) -> Float[Array, "B"]:
        logits, means, log_scales = self._parameters()
        u = (z[:, None] - means[None]) * jnp.exp(-log_scales[None])  # (B, K, ...)
        densities = jnp.sum(_log_normal(u) - log_scales[None], axis=tuple(range(2, u.ndim)))
        return jax.nn.logsumexp(densities + jax.nn.log_softmax(logits)[None], axis=1)

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N ..."]:
        which_key, noise_key = jax.random.split(key)
        logits, means, log_scales = self._parameters()
        which = jax.random.categorical(which_key, logits, shape=(n_samples,))
        noise = jax.random.normal(noise_key, (n_samples, *self.shape), means.dtype)
        return means[which] + jnp.exp(log_scales)[which] * noise

    def _parameters(self) -> tuple[Array, Array, Array]:
        return at_least_float32(self.logits[...]), at_least_float32(self.means[...]), at_least_float32(self.log_scales[...])


@config
class UniformConfig(BaseDistributionConfig):
    """The uniform distribution on a box."""

    low: Finite = 0.0
    """Lower end, of every element."""
    high: Finite = 1.0
    """Upper end."""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high {self.high}; write the lower end first, then the higher")


class Uniform(nnx.Module):
    """``1 / (high - low)^D`` on the box, zero outside."""

    def __init__(self, config: UniformConfig, shape: Shape, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        del rngs
        self.low, self.high, self.shape = config.low, config.high, shape
        self.dtype = jnp.promote_types(param_dtype, jnp.float32)  # of what is drawn

    def log_prob(self, z: Float[Array, "B ..."]) -> Float[Array, "B"]:
        inside = jnp.all((z >= self.low) & (z <= self.high), axis=tuple(range(1, z.ndim)))
        return jnp.where(inside, -math.prod(self.shape) * math.log(self.high - self.low), -jnp.inf).astype(z.dtype)

    def sample(self, key: Array, n_samples: int) -> Float[Array, "N ..."]:
        return jax.random.uniform(key, (n_samples, *self.shape), self.dtype, self.low, self.high)


class _Scaling(nnx.Module):
    """``x = m + s u``, learned or nothing at all."""

    def __init__(self, shape: Shape, learned: bool, param_dtype: DTypeLike):
        self.shape, self.dtype = shape, jnp.promote_types(param_dtype, jnp.float32)  # of what is drawn
        axes = (None,) * len(shape)
        self.mean = nnx.Param(jnp.zeros(shape, param_dtype), logical_axes=axes) if learned else None
        self.log_scale = nnx.Param(jnp.zeros(shape, param_dtype), logical_axes=axes) if learned else None

    def placed(self, u: Array) -> Array:
        if self.mean is None or self.log_scale is None:
            return u
        return at_least_float32(self.mean[...])[None] + jnp.exp(at_least_float32(self.log_scale[...]))[None] * u

    def log_prob(self, x: Array, log_density: Any) -> Array:
        """Of ``x``, given that of each element of ``u``."""
        if self.mean is None or self.log_scale is None:
            return sum_over_example(log_density(x))
        log_scale, mean = at_least_float32(self.log_scale[...])[None], at_least_float32(self.mean[...])[None]
        return sum_over_example(log_density((x - mean) * jnp.exp(-log_scale)) - log_scale)


def _log_normal(u: Array) -> Array:
    return -0.5 * (jnp.square(u) + math.log(2 * math.pi))


def _log_student_t(u: Array, df: Array) -> Array:
    normaliser = _log_gamma_ratio(df / 2) - 0.5 * jnp.log(df * math.pi)
    near = jnp.abs(u) < 1
    # log1p(u^2 / df), without overflow of the square far out
    inner = jnp.log1p(jnp.square(jnp.where(near, u, 0)) / df)
    outer = jnp.logaddexp(0.0, 2 * jnp.log(jnp.where(near, 1, jnp.abs(u))) - jnp.log(df))
    return normaliser - 0.5 * (df + 1) * jnp.where(near, inner, outer)


LARGE = 10.0
"""From here on six terms of the asymptotic series are exact to a part in 10^13."""


def _log_gamma_ratio(a: Array) -> Array:
    """``log Gamma(a + 1/2) - log Gamma(a)``, by its asymptotic series where the difference would lose every digit."""
    small, large = jnp.minimum(a, LARGE), jnp.maximum(a, LARGE)
    series = 0.5 * jnp.log(large)
    for power, coefficient in ((1, -1 / 8), (3, 1 / 192), (5, -1 / 640), (7, 17 / 14336), (9, -31 / 18432)):
        series += coefficient * large**-power
    return jnp.where(a < LARGE, jax.lax.lgamma(small + 0.5) - jax.lax.lgamma(small), series)


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


BaseField = Annotated[BaseDistributionConfig, Registered("base_distribution"), BeforeValidator(_named)]
"""A config field that takes a base distribution's config, a dict with its ``kind``, or just its name."""


def create_base(config: BaseDistributionConfig, shape: Shape, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs) -> Any:
    """The base distribution that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("base_distribution", type(config))
    return plugins.resolve(entry.component)(config, shape, param_dtype=param_dtype, rngs=rngs)
