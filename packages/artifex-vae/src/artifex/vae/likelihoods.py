r"""Likelihoods ``p(x | z)``: what a decoder's output means.

A decoder returns ``parameters``, an array shaped like the data except that its last axis is ``n_parameters`` times as long. A
likelihood reads them: the log probability of data, elementwise; the mean, in data space; a draw.

Shapes: ``... = any leading axes``, ``C = the data's last axis``, ``P = n_parameters``.

A stranger's likelihood plugs in as ours do: a :class:`LikelihoodConfig` of its own, a class that follows :class:`Likelihood`,
and a ``ComponentEntry(slot="likelihood", ...)``.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.value_ranges import Interval, ValueRange

__all__ = [
    "Bernoulli",
    "BernoulliConfig",
    "Bounded",
    "DiscretizedLogistic",
    "DiscretizedLogisticConfig",
    "Gaussian",
    "GaussianConfig",
    "Laplace",
    "LaplaceConfig",
    "Likelihood",
    "LikelihoodConfig",
    "LikelihoodField",
    "accumulated",
    "bernoulli_log_prob",
    "create_likelihood",
    "discretized_logistic_log_prob",
    "gaussian_log_prob",
    "laplace_log_prob",
    "values_of",
]

NOISE_FLOOR = 1e-3
"""Least standard deviation of a predicted Gaussian: keeps the density of a constant pixel finite."""

LOGISTIC_FLOOR = 0.01
"""Least scale of a discretised logistic, in widths of a level: all but 1e-21 of the mass can then lie on one level."""


def accumulated(x: Array) -> Array:
    """``x`` in float32 (float64 stays): log probabilities are added up no more coarsely than that."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


SLACK = 1e-2
"""How far outside the support a value may lie, in units of its width: what resizing and bfloat16 round to."""


def within(log_prob: Float[Array, "..."], x: Float[Array, "..."], low: float, high: float) -> Float[Array, "..."]:
    """``log_prob`` where ``low <= x <= high``, ``-inf`` elsewhere: data in other units must not train in silence."""
    slack = SLACK * (high - low)
    return jnp.where((x >= low - slack) & (x <= high + slack), log_prob, -jnp.inf)


def bernoulli_log_prob(x: Float[Array, "..."], logits: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""``log p(x) = x l - log(1 + e^l)`` elementwise, for ``p(x = 1) = sigmoid(l)``.

    For grey values between 0 and 1 this is minus the cross entropy, as is usual for images, and no longer a log probability.

    Args:
        x: data in ``[0, 1]``.
        logits: ``l``, any real number.

    Returns:
        nats, elementwise.

    Example:
        >>> round(float(bernoulli_log_prob(jnp.array(1.0), jnp.array(0.0))), 4)
        -0.6931
    """
    x, logits = accumulated(x), accumulated(logits)
    return x * logits - jax.nn.softplus(logits)


def gaussian_log_prob(x: Float[Array, "..."], mean: Float[Array, "..."], scale: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""``log N(x; m, s^2) = -(x - m)^2 / 2 s^2 - log s - log(2 pi) / 2`` elementwise.

    Args:
        x: data.
        mean: ``m``.
        scale: the standard deviation ``s > 0``, a scalar or of the shape of ``x``.

    Returns:
        nats, elementwise.
    """
    x, mean, scale = accumulated(x), accumulated(mean), accumulated(scale)
    return -0.5 * jnp.square((x - mean) / scale) - jnp.log(scale) - 0.5 * math.log(2 * math.pi)


def laplace_log_prob(x: Float[Array, "..."], location: Float[Array, "..."], scale: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""``log p(x) = -|x - m| / b - log 2b`` elementwise: the absolute error in units of ``b``, and what keeps ``b`` small.

    Args:
        x: data.
        location: ``m``, mean and median.
        scale: ``b > 0``, a scalar or of the shape of ``x``; the standard deviation is ``sqrt(2) b``.

    Returns:
        nats, elementwise.

    Example:
        >>> round(float(laplace_log_prob(jnp.array(1.0), jnp.array(3.0), jnp.array(0.5))), 4)
        -4.0
    """
    x, location, scale = accumulated(x), accumulated(location), accumulated(scale)
    return -jnp.abs(x - location) / scale - jnp.log(2 * scale)


def discretized_logistic_log_prob(
    x: Float[Array, "..."],
    location: Float[Array, "..."],
    scale: Float[Array, "..."],
    *,
    levels: int,
    data_range: tuple[float, float] = (0.0, 1.0),
) -> Float[Array, "..."]:
    r"""``log P(x) = log [F((x + w/2 - m) / s) - F((x - w/2 - m) / s)]``, ``F = sigmoid``: a logistic's mass on one level.

    The lowest level also gets everything below it, the highest everything above, so the levels' probabilities add up to one.
    With ``a`` and ``b`` the upper and the lower edge, ``F(a) - F(b) = F(a) F(-b) (1 - e^(b - a))``, whose logarithm is finite
    however far out the level lies; no approximation is needed.

    Kingma et al. 2016 (arXiv:1606.04934), appendix; Salimans et al. 2017 (arXiv:1701.05517), equation 2.

    Args:
        x: data on the ``levels`` evenly spaced values of ``data_range``.
        location: ``m``.
        scale: ``s > 0``.
        levels: how many values there are; ``w = (high - low) / (levels - 1)`` is the distance between two.
        data_range: lowest and highest value.

    Returns:
        nats, elementwise.
    """
    low, high = data_range
    half = 0.5 * (high - low) / (levels - 1)
    x, location, scale = accumulated(x), accumulated(location), accumulated(scale)
    upper, lower = (x - location + half) / scale, (x - location - half) / scale
    below_upper, above_lower = -jax.nn.softplus(-upper), -jax.nn.softplus(lower)
    inside = below_upper + above_lower + jnp.log(-jnp.expm1(-2 * half / scale))
    return jnp.where(x < low + half, below_upper, jnp.where(x > high - half, above_lower, inside))


@config
class LikelihoodConfig(Config):
    """Base of likelihood configs; the registered name is the ``kind`` under ``likelihood``."""


@runtime_checkable
class Likelihood(Protocol):
    """What a VAE asks of a likelihood, built as ``likelihood(config, *, param_dtype)``."""

    n_parameters: int
    """``P``: parameters for each element of the data."""

    def log_prob(self, x: Float[Array, "... C"], parameters: Float[Array, "... P*C"]) -> Float[Array, "... C"]:
        """Nats, elementwise, in float32."""
        ...

    def mean(self, parameters: Float[Array, "... P*C"]) -> Float[Array, "... C"]:
        """``E[x | z]`` in data space."""
        ...

    def sample(self, parameters: Float[Array, "... P*C"], key: Array) -> Float[Array, "... C"]:
        """One draw of ``x`` given ``z``."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A likelihood of data between two values; others have log probability ``-inf``."""

    @property
    def data_range(self) -> tuple[float, float]:
        """The lowest and the highest."""
        ...


def values_of(likelihood: Any) -> dict[str, ValueRange]:
    """Which ``x`` a likelihood can be given; empty where it takes any."""
    if not isinstance(likelihood, Bounded):
        return {}
    low, high = likelihood.data_range
    return {"x": Interval(low, high, slack=SLACK * (high - low))}


@config
class BernoulliConfig(LikelihoodConfig):
    """Binary data, or grey values in [0, 1] read as probabilities. Nothing to choose."""


class Bernoulli(nnx.Module):
    """``x ~ Bernoulli(sigmoid(parameters))``; data outside [0, 1] have log probability ``-inf``."""

    n_parameters = 1
    data_range = (0.0, 1.0)

    def __init__(self, config: BernoulliConfig, *, param_dtype: Any = jnp.float32):
        del config, param_dtype  # it has neither choices nor parameters of its own

    def log_prob(self, x: Float[Array, "... C"], parameters: Float[Array, "... C"]) -> Float[Array, "... C"]:
        return within(bernoulli_log_prob(x, parameters), x, *self.data_range)

    def mean(self, parameters: Float[Array, "... C"]) -> Float[Array, "... C"]:
        return jax.nn.sigmoid(parameters)

    def sample(self, parameters: Float[Array, "... C"], key: Array) -> Float[Array, "... C"]:
        return jax.random.bernoulli(key, self.mean(parameters)).astype(parameters.dtype)


@config
class GaussianConfig(LikelihoodConfig):
    """Real-valued data."""

    noise_scale: Annotated[float, Field(gt=0)] | Literal["learned", "predicted"] = "learned"
    """Standard deviation of the noise: a fixed number; `learned`, one number for all elements, a parameter of the model that
    starts at 1; `predicted`, one for each element, from the decoder."""


class Gaussian(nnx.Module):
    """``x ~ N(mean, noise_scale^2)``.

    A learned scale is ``exp(log_scale)``, a predicted one ``softplus(.) + 0.001``.
    """

    def __init__(self, config: GaussianConfig, *, param_dtype: Any = jnp.float32):
        self.noise_scale = config.noise_scale
        self.n_parameters = 2 if config.noise_scale == "predicted" else 1
        if config.noise_scale == "learned":
            self.log_scale = nnx.Param(jnp.zeros((), param_dtype), logical_axes=())

    def mean_and_scale(self, parameters: Float[Array, "... P*C"]) -> tuple[Float[Array, "... C"], Float[Array, "..."]]:
        """The mean, and the standard deviation (a scalar unless it is predicted), both in float32."""
        parameters = accumulated(parameters)
        if self.noise_scale == "predicted":
            mean, raw = jnp.split(parameters, 2, axis=-1)
            return mean, jax.nn.softplus(raw) + NOISE_FLOOR
        if self.noise_scale == "learned":
            return parameters, jnp.exp(accumulated(self.log_scale[...]))
        return parameters, jnp.asarray(self.noise_scale, parameters.dtype)

    def log_prob(self, x: Float[Array, "... C"], parameters: Float[Array, "... P*C"]) -> Float[Array, "... C"]:
        return gaussian_log_prob(x, *self.mean_and_scale(parameters))

    def mean(self, parameters: Float[Array, "... P*C"]) -> Float[Array, "... C"]:
        return self.mean_and_scale(parameters)[0].astype(parameters.dtype)

    def sample(self, parameters: Float[Array, "... P*C"], key: Array) -> Float[Array, "... C"]:
        mean, scale = self.mean_and_scale(parameters)
        return (mean + scale * jax.random.normal(key, mean.shape, mean.dtype)).astype(parameters.dtype)


@config
class LaplaceConfig(LikelihoodConfig):
    """Real-valued data, judged by its absolute error."""

    noise_scale: Annotated[float, Field(gt=0)] | Literal["learned"] = "learned"
    """Scale `b` of the noise, whose standard deviation is sqrt(2) b: a fixed number, or `learned`, one number for all elements,
    a parameter of the model that starts at 1."""


class Laplace(nnx.Module):
    """``x ~ Laplace(location, noise_scale)``. A learned scale is ``exp(log_scale)``."""

    n_parameters = 1

    def __init__(self, config: LaplaceConfig, *, param_dtype: Any = jnp.float32):
        self.noise_scale = config.noise_scale
        if config.noise_scale == "learned":
            self.log_scale = nnx.Param(jnp.zeros((), param_dtype), logical_axes=())

    @property
    def scale(self) -> Float[Array, ""]:
        """``b``, in float32."""
        return jnp.exp(accumulated(self.log_scale[...])) if self.noise_scale == "learned" else jnp.float32(self.noise_scale)

    def log_prob(self, x: Float[Array, "... C"], parameters: Float[Array, "... C"]) -> Float[Array, "... C"]:
        return laplace_log_prob(x, parameters, self.scale)

    def mean(self, parameters: Float[Array, "... C"]) -> Float[Array, "... C"]:
        return parameters

    def sample(self, parameters: Float[Array, "... C"], key: Array) -> Float[Array, "... C"]:
        noise = self.scale * jax.random.laplace(key, parameters.shape)
        return (accumulated(parameters) + noise).astype(parameters.dtype)


@config
class DiscretizedLogisticConfig(LikelihoodConfig):
    """Data on evenly spaced levels, such as 8-bit images."""

    levels: Annotated[int, Field(ge=2)] = 256
    """How many values an element can take."""
    data_range: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest value."""

    def __post_init__(self) -> None:
        low, high = self.data_range
        if not low < high:
            raise ValueError(f"data_range is {self.data_range}; write the lowest value first, then the highest")


class DiscretizedLogistic(nnx.Module):
    """``x ~ Logistic(location, scale)`` rounded to levels: the decoder gives location and scale of each element.

    The scale is ``softplus(.)`` plus a hundredth of a level's width. Data outside the range have log probability ``-inf``.
    """

    n_parameters = 2

    def __init__(self, config: DiscretizedLogisticConfig, *, param_dtype: Any = jnp.float32):
        del param_dtype  # no parameters of its own
        self.levels = config.levels
        self.data_range = config.data_range

    @property
    def width(self) -> float:
        """Distance between two levels."""
        low, high = self.data_range
        return (high - low) / (self.levels - 1)

    def location_and_scale(self, parameters: Float[Array, "... 2*C"]) -> tuple[Float[Array, "... C"], Float[Array, "... C"]]:
        """Location and scale of the logistic, in data space, in float32."""
        location, raw = jnp.split(accumulated(parameters), 2, axis=-1)
        return location, jax.nn.softplus(raw) + LOGISTIC_FLOOR * self.width

    def log_prob(self, x: Float[Array, "... C"], parameters: Float[Array, "... 2*C"]) -> Float[Array, "... C"]:
        location, scale = self.location_and_scale(parameters)
        log_prob = discretized_logistic_log_prob(x, location, scale, levels=self.levels, data_range=self.data_range)
        return within(log_prob, x, *self.data_range)

    def mean(self, parameters: Float[Array, "... 2*C"]) -> Float[Array, "... C"]:
        """The exact mean, summed by parts: ``E[x] = low + w sum_i F((m - e_i) / s)`` over the edges ``e_i`` between levels."""
        location, scale = self.location_and_scale(parameters)

        def add_edge(i: Array, total: Array) -> Array:
            edge = self.data_range[0] + (i + 0.5) * self.width
            return total + jax.nn.sigmoid((location - edge) / scale)

        above = jax.lax.fori_loop(0, self.levels - 1, add_edge, jnp.zeros_like(location))
        return (self.data_range[0] + self.width * above).astype(parameters.dtype)

    def sample(self, parameters: Float[Array, "... 2*C"], key: Array) -> Float[Array, "... C"]:
        low, high = self.data_range
        location, scale = self.location_and_scale(parameters)
        x = location + scale * jax.random.logistic(key, location.shape, location.dtype)
        return jnp.clip(low + self.width * jnp.round((x - low) / self.width), low, high).astype(parameters.dtype)


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


LikelihoodField = Annotated[LikelihoodConfig, Registered("likelihood"), BeforeValidator(_named)]
"""A config field that takes a likelihood's config, a dict with its ``kind``, or just its name."""


def create_likelihood(config: LikelihoodConfig, *, param_dtype: Any = jnp.float32) -> Any:
    """The likelihood that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("likelihood", type(config))
    return plugins.resolve(entry.component)(config, param_dtype=param_dtype)
