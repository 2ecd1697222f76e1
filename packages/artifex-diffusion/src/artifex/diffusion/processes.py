r"""Noising processes: how an example and noise are mixed at each time.

    x_t = alpha(t) x_0 + sigma(t) e,   e ~ N(0, I)

    variance preserving    t a step 0 ... T - 1 of a schedule (:mod:`artifex.diffusion.schedules`), or between two
    variance exploding     alpha = 1, sigma = t                        Song et al. 2020, arXiv:2011.13456; Karras et al. 2022
    straight               alpha = 1 - t, sigma = t                    Liu et al. 2022, arXiv:2209.03003

Beside ``alpha`` and ``sigma`` a process says which times are trained at, how a time is told to a network, and through which
levels samplers go. A stranger's process plugs in as ours do: a :class:`ProcessConfig` of its own, a class that follows
:class:`Process`, and a ``ComponentEntry(slot="noise_schedule", ...)``.

Shapes: ``B = batch, N = steps of a sampler``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Annotated, Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Registered, config
from artifex.core.errors import InvalidInputError
from artifex.diffusion.schedules import NoiseScheduleConfig, ProcessConfig, Table, noise_table

__all__ = [
    "Levels",
    "Process",
    "ProcessField",
    "Spacing",
    "StraightPath",
    "StraightPathConfig",
    "VarianceExploding",
    "VarianceExplodingConfig",
    "VariancePreserving",
    "check_steps",
    "create_process",
    "named",
    "of_kind",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Spacing = Literal["uniform", "leading", "linspace", "karras", "log_ratio"]
"""How a sampler's levels lie. ``uniform``: equal steps of ``t`` that begin at its end ("trailing"); ``leading``: that end at
its beginning, for variance-preserving schedules alone; ``linspace``: that hold both; ``karras``: of ``(sigma / alpha)^(1 /
rho)``; ``log_ratio``: of its logarithm."""
LARGEST_RATIO, LEAST_RATIO = 1e4, 1e-3
"""``sigma / alpha`` between which likelihoods and spacings by ratio lie where a process has no ends of its own."""

LEAST_TIME = 1e-5
"""Of training on a straight path, at whose very beginning there is nothing to denoise."""


class Levels(NamedTuple):
    """Noise levels, from noisy to clean, ``(N,)`` each, in float64: known before anything is compiled."""

    t: np.ndarray
    """Times, as the process counts them."""
    alpha: np.ndarray
    """What is left of the example."""
    sigma: np.ndarray
    """Standard deviation of the noise."""

    @property
    def ratio(self) -> np.ndarray:
        """``sigma / alpha``; infinite where no signal is left."""
        with np.errstate(divide="ignore"):
            return self.sigma / self.alpha

    def to_the_end(self) -> Levels:
        """The same, and the example itself behind: alpha 1, sigma 0. Nothing asks for its time."""
        return Levels(*(np.append(values, end) for values, end in zip(self, (self.t[-1], 1.0, 0.0), strict=True)))


@runtime_checkable
class Process(Protocol):
    """What models and samplers ask of a process, built as ``process(config)``; hashable, so that it is static to JAX."""

    @property
    def start_scale(self) -> float:
        """Standard deviation of the noise that sampling begins with."""
        ...

    def at(self, t: Float[Array, "B"]) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """``alpha(t)`` and ``sigma(t)``."""
        ...

    def label(self, t: Float[Array, "B"]) -> Float[Array, "B"]:
        """A time as a network is told it: of the order of 1 to 1000, which its embedding tells apart."""
        ...

    def training_times(self, key: Array, shape: tuple[int, ...]) -> Float[Array, "B"]:
        """Times to train at."""
        ...

    def levels(self, steps: int, spacing: Spacing | None) -> Levels:
        """``N = steps`` levels from the noisiest on, the clean end left out; None for the process's own spacing.

        Raises:
            InvalidInputError: the process has no such levels.
        """
        ...

    def at_ratio(self, ratio: np.ndarray) -> Levels:
        """The levels at which ``sigma / alpha`` is ``ratio``, brought into the process's range."""
        ...


def karras(largest: float, smallest: float, steps: int, rho: float) -> np.ndarray:
    """``(a^(1/rho) + i / (N - 1) (b^(1/rho) - a^(1/rho)))^rho``: Karras et al. 2022 (arXiv:2206.00364), equation 5.

    Example:
        >>> karras(80.0, 0.002, 3, 7.0).round(3).tolist()
        [80.0, 2.515, 0.002]
    """
    return np.linspace(largest ** (1 / rho), smallest ** (1 / rho), steps) ** rho


def by_ratio(process: Process, largest: float, smallest: float, steps: int, spacing: Spacing, rho: float) -> Levels:
    """Levels whose ratios are spaced, whatever the process."""
    if spacing == "karras":
        return process.at_ratio(karras(largest, smallest, steps, rho))
    return process.at_ratio(np.geomspace(largest, smallest, steps))


def check_steps(steps: int, most: int | None = None) -> None:
    """Raise unless a sampler can go so many steps.

    Raises:
        InvalidInputError: there are none, or more than a schedule has.
    """
    whole = isinstance(steps, Integral) and not isinstance(steps, bool)
    if not whole or steps < 1 or (most is not None and steps > most):
        limit = "" if most is None else f" and at most {most}, the schedule's num_timesteps: take fewer, or a longer schedule"
        raise InvalidInputError(f"the sampler has steps={steps!r}; it takes at least 1{limit}" + ("" if whole else ", whole"))


def _check_start(spacing: Spacing | None) -> None:
    """Where noise grows, levels have to begin at the noise that sampling begins with."""
    if spacing == "leading":
        raise InvalidInputError(
            "spacing 'leading' leaves out the noisiest level, but it is noise of that level that sampling begins with; only a "
            "variance-preserving schedule, whose levels are all equally wide, can do so: use 'uniform' or 'linspace'"
        )


@dataclass(frozen=True)
class VariancePreserving:
    """``alpha^2 + sigma^2 = 1`` at every step of a schedule.

    ``t`` counts steps from 0; between two of them ``log sigma / alpha`` is interpolated linearly.

    Example:
        >>> process = VariancePreserving(NoiseScheduleConfig(num_timesteps=1000))
        >>> process.levels(4, "leading").t.tolist()
        [750.0, 500.0, 250.0, 0.0]
    """

    config: NoiseScheduleConfig
    start_scale: float = 1.0

    @cached_property
    def table(self) -> Table:
        """In float64, a row a step."""
        return noise_table(self.config)

    def at(self, t: Float[Array, "B"]) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        alpha, sigma = (jnp.asarray(column, jnp.float32) for column in self.table)
        before = jnp.clip(jnp.floor(t).astype(jnp.int32), 0, self.config.num_timesteps - 1)
        after = jnp.minimum(before + 1, self.config.num_timesteps - 1)
        log_ratio = jnp.asarray(self._finite, jnp.float32)
        between = log_ratio[before] + (t - before) * (log_ratio[after] - log_ratio[before])
        whole = t == before
        mixed = jnp.sqrt(jax.nn.sigmoid(-2 * between)), jnp.sqrt(jax.nn.sigmoid(2 * between))
        return jnp.where(whole, alpha[before], mixed[0]), jnp.where(whole, sigma[before], mixed[1])

    def label(self, t: Float[Array, "B"]) -> Float[Array, "B"]:
        """The step, as it is."""
        return t

    def training_times(self, key: Array, shape: tuple[int, ...]) -> Float[Array, "B"]:
        """Uniform over the steps, or over all times from the first step to the last."""
        if self.config.continuous_times:
            return jax.random.uniform(key, shape, maxval=self.config.num_timesteps - 1.0)
        return jax.random.randint(key, shape, 0, self.config.num_timesteps).astype(jnp.float32)

    def levels(self, steps: int, spacing: Spacing | None) -> Levels:
        total = self.config.num_timesteps
        check_steps(steps, total)
        if spacing in ("karras", "log_ratio"):
            ratios = np.exp(self._finite)
            return by_ratio(self, float(ratios[-1]), float(ratios[0]), steps, spacing, rho=7.0)
        if spacing == "leading":
            t = np.arange(steps)[::-1] * (total // steps)
        elif spacing == "linspace":
            t = np.linspace(0, total - 1, steps).round()[::-1]
        else:
            t = np.round(total - np.arange(steps) * (total / steps)) - 1  # "trailing"
        alpha, sigma = (column[t.astype(int)] for column in self.table)
        return Levels(t.astype(float), alpha, sigma)

    def at_ratio(self, ratio: np.ndarray) -> Levels:
        steps = np.arange(len(self._finite))
        last = steps[-1] - 0.01 * np.isinf(self.table.log_ratio[-1])  # just before nothing is left
        with np.errstate(divide="ignore"):
            log_ratio = np.clip(np.log(ratio), self._finite[0], np.interp(last, steps, self._finite))
        t = np.interp(log_ratio, self._finite, steps)
        return Levels(t, 1 / np.sqrt(1 + np.exp(2 * log_ratio)), 1 / np.sqrt(1 + np.exp(-2 * log_ratio)))

    @property
    def _finite(self) -> np.ndarray:
        """``log sigma / alpha``, with a number in the place of infinity."""
        log_ratio = self.table.log_ratio
        return np.where(np.isinf(log_ratio), log_ratio[-2] + 1, log_ratio)


@config
class VarianceExplodingConfig(ProcessConfig):
    """Noise that grows beside the example, which stays as it is.

    Example:
        >>> VarianceExplodingConfig().sigma_max
        80.0
    """

    sigma_min: Positive = 0.002
    """Least noise, at which sampling stops."""
    sigma_max: Positive = 80.0
    """Most noise, at which sampling begins: many times the data's spread."""
    rho: Positive = 7.0
    """Of the sampler's levels: the larger, the more of them at little noise (Karras et al. 2022, equation 5)."""
    times: Literal["log_normal", "log_uniform"] = "log_normal"
    """Which noise is trained at: most at a middle level (Karras et al. 2022), or every order of magnitude equally (Song et
    al. 2020)."""
    log_mean: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Mean of ``log sigma`` in training, -1.2 unless given; `log_normal` alone has it."""
    log_std: Positive | None = None
    """Its standard deviation, 1.2 unless given."""

    def __post_init__(self) -> None:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min is {self.sigma_min} and sigma_max {self.sigma_max}; the noise has to grow")
        given = (self.log_mean, self.log_std)
        if self.times == "log_uniform" and given != (None, None):
            raise ValueError(f"log_mean={given[0]}, log_std={given[1]}: times 'log_uniform' have neither; leave them out")
        if self.times == "log_normal":
            object.__setattr__(self, "log_mean", -1.2 if self.log_mean is None else self.log_mean)
            object.__setattr__(self, "log_std", 1.2 if self.log_std is None else self.log_std)


@dataclass(frozen=True)
class VarianceExploding:
    """``alpha = 1``, ``sigma = t``.

    Example:
        >>> VarianceExploding(VarianceExplodingConfig()).levels(3, None).sigma.round(3).tolist()
        [80.0, 2.515, 0.002]
    """

    config: VarianceExplodingConfig

    @property
    def start_scale(self) -> float:
        return self.config.sigma_max

    def at(self, t: Float[Array, "B"]) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        return jnp.ones_like(t), t

    def label(self, t: Float[Array, "B"]) -> Float[Array, "B"]:
        """``250 log sigma``: a thousand times ``c_noise`` of Karras et al., whose embedding here has long waves."""
        return 250 * jnp.log(t)

    def training_times(self, key: Array, shape: tuple[int, ...]) -> Float[Array, "B"]:
        if self.config.log_mean is None or self.config.log_std is None:
            low, high = math.log(self.config.sigma_min), math.log(self.config.sigma_max)
            return jnp.exp(jax.random.uniform(key, shape, minval=low, maxval=high))
        return jnp.exp(self.config.log_mean + self.config.log_std * jax.random.normal(key, shape))

    def levels(self, steps: int, spacing: Spacing | None) -> Levels:
        check_steps(steps)
        _check_start(spacing)
        low, high = self.config.sigma_min, self.config.sigma_max
        if spacing in (None, "karras", "log_ratio"):
            return by_ratio(self, high, low, steps, spacing or "karras", self.config.rho)
        return self.at_ratio(np.linspace(high, low, steps, endpoint=spacing == "linspace"))

    def at_ratio(self, ratio: np.ndarray) -> Levels:
        sigma = np.clip(ratio, self.config.sigma_min, self.config.sigma_max)
        return Levels(sigma, np.ones_like(sigma), sigma)


@config
class StraightPathConfig(ProcessConfig):
    """Straight lines from examples to noise, ``x_t = (1 - t) x_0 + t e``: rectified flow.

    Example:
        >>> StraightPathConfig(times="logit_normal").shift
        1.0
    """

    times: Literal["uniform", "logit_normal"] = "uniform"
    """Which times are trained at: all equally (Liu et al. 2022), or most in the middle, ``t = sigmoid(N(0, 1))`` (Esser et al.
    2024, arXiv:2403.03206)."""
    shift: Positive = 1.0
    """``s``: sampling goes through ``s t / (1 + (s - 1) t)`` for equally spaced ``t``; above 1 more of its steps lie at much
    noise, which large images want (Esser et al. 2024, equation 23)."""


@dataclass(frozen=True)
class StraightPath:
    """``alpha = 1 - t``, ``sigma = t``.

    Example:
        >>> StraightPath(StraightPathConfig()).levels(4, None).t.tolist()
        [1.0, 0.75, 0.5, 0.25]
    """

    config: StraightPathConfig
    start_scale: float = 1.0

    def at(self, t: Float[Array, "B"]) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        return 1 - t, t

    def label(self, t: Float[Array, "B"]) -> Float[Array, "B"]:
        """``1000 t``."""
        return 1000 * t

    def training_times(self, key: Array, shape: tuple[int, ...]) -> Float[Array, "B"]:
        if self.config.times == "logit_normal":
            return jax.nn.sigmoid(jax.random.normal(key, shape))
        return jax.random.uniform(key, shape, minval=LEAST_TIME)

    def levels(self, steps: int, spacing: Spacing | None) -> Levels:
        check_steps(steps)
        _check_start(spacing)
        if spacing in ("karras", "log_ratio"):
            return by_ratio(self, LARGEST_RATIO, LEAST_RATIO, steps, spacing, rho=7.0)
        both = spacing == "linspace"
        t = np.linspace(1.0, LEAST_RATIO if both else 0.0, steps, endpoint=both)
        t = self.config.shift * t / (1 + (self.config.shift - 1) * t)
        return Levels(t, 1 - t, t)

    def at_ratio(self, ratio: np.ndarray) -> Levels:
        ratio = np.clip(ratio, LEAST_RATIO, LARGEST_RATIO)
        return Levels(ratio / (1 + ratio), 1 / (1 + ratio), ratio / (1 + ratio))


def named(value: Any) -> Any:
    """The name alone of a component that has no fields to set."""
    return {"kind": value} if isinstance(value, str) else value


def of_kind(kind: str) -> BeforeValidator:
    """For a field that takes one process alone: it may be told by its name too, as where any may stand.

    Raises:
        ValueError: another one is named.
    """

    def unnamed(value: Any) -> Any:
        value = named(value)
        if not isinstance(value, Mapping) or "kind" not in value:
            return value
        if value["kind"] != kind:
            raise ValueError(
                f"this model's process is {kind!r}, not {value['kind']!r}; 'score_sde', 'guided_diffusion' and 'dit' take any"
            )
        return {name: given for name, given in value.items() if name != "kind"}

    return BeforeValidator(unnamed)


ProcessField = Annotated[ProcessConfig, Registered("noise_schedule"), BeforeValidator(named)]
"""A config field that takes a process's config, a dict with its ``kind``, or just its name."""


def create_process(config: ProcessConfig) -> Any:
    """The process that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("noise_schedule", type(config))
    return plugins.resolve(entry.component)(config)
