r"""Samplers by name: what a config says of one, and the samplers of :mod:`artifex.diffusion.samplers` behind it.

Any of them goes with any model. A stranger's sampler plugs in as ours do: a :class:`SamplerConfig` of its own, a class that
follows :class:`Sampler`, and a ``ComponentEntry(slot="sampler", ...)``.

Shapes: ``B = batch, ... = one example, N = steps``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.diffusion import samplers
from artifex.diffusion.processes import Levels, Process, Spacing, check_steps, named
from artifex.diffusion.samplers import Denoiser

__all__ = [
    "DDIMSampler",
    "DDIMSamplerConfig",
    "DDPMSampler",
    "DDPMSamplerConfig",
    "DPMSolverSampler",
    "DPMSolverSamplerConfig",
    "EDMSampler",
    "EDMSamplerConfig",
    "EulerSampler",
    "EulerSamplerConfig",
    "HeunSampler",
    "HeunSamplerConfig",
    "ProbabilityFlowSampler",
    "ProbabilityFlowSamplerConfig",
    "Sampler",
    "SamplerConfig",
    "SamplerField",
    "create_sampler",
]

Steps = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@config
class SamplerConfig(Config):
    """Base of the configs of samplers; the registered name is the ``kind`` under ``sampler``."""

    def check(self, process: Process) -> None:
        """Raise ``InvalidInputError`` unless the process has the levels that the sampler goes through."""


@runtime_checkable
class Sampler(Protocol):
    """What models ask of a sampler, built as ``sampler(config)``."""

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        """From noise at the process's noisiest level, of standard deviation ``process.start_scale``, to examples."""
        ...


@config
class _SteppedConfig(SamplerConfig):
    """What samplers of ``N`` steps share."""

    steps: Steps = 50
    """How many."""
    spacing: Spacing | None = None
    """Through which levels; None for the process's own. `uniform`, `leading`, `linspace`: in time. `karras`, `log_ratio`: in
    ``sigma / alpha``."""

    def check(self, process: Process) -> None:
        """Raise ``InvalidInputError`` unless the process has so many levels, so spaced."""
        process.levels(self.steps, self.spacing)


@config
class DDPMSamplerConfig(SamplerConfig):
    """Ancestral sampling.

    Example:
        >>> DDPMSamplerConfig(steps=100).variance
        'small'
    """

    steps: Steps | None = None
    """How many; None for all of a schedule's own, or 1000."""
    spacing: Spacing | None = None
    """Through which levels; None for the process's own."""
    variance: Literal["small", "large"] = "small"
    """Of each step: the least or the most that data may ask for (Ho et al. 2020, section 3.2)."""

    def levels(self, process: Process) -> Levels:
        """Those that the sampler goes through."""
        return process.levels(self.steps or getattr(getattr(process, "config", None), "num_timesteps", 1000), self.spacing)

    def check(self, process: Process) -> None:
        """Raise ``InvalidInputError`` unless the process has so many levels, so spaced."""
        self.levels(process)


@dataclass(frozen=True)
class DDPMSampler:
    """:func:`artifex.diffusion.samplers.ddpm`."""

    config: DDPMSamplerConfig

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        levels = self.config.levels(process).to_the_end()
        return samplers.ddpm(denoise, x, levels, key, variance=self.config.variance)


@config
class DDIMSamplerConfig(_SteppedConfig):
    """DDIM.

    Example:
        >>> DDIMSamplerConfig().steps
        50
    """

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Noise drawn anew: none, or as much as ancestral sampling draws."""


@dataclass(frozen=True)
class DDIMSampler:
    """:func:`artifex.diffusion.samplers.ddim`."""

    config: DDIMSamplerConfig

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        levels = process.levels(self.config.steps, self.config.spacing).to_the_end()
        return samplers.ddim(denoise, x, levels, key, eta=self.config.eta)


@config
class EulerSamplerConfig(_SteppedConfig):
    """Euler's method on the probability flow."""


@config
class HeunSamplerConfig(_SteppedConfig):
    """Heun's method on the probability flow: two networks a step, the last one excepted."""


@config
class DPMSolverSamplerConfig(_SteppedConfig):
    """DPM-Solver++ (2M)."""


@dataclass(frozen=True)
class EulerSampler:
    """:func:`artifex.diffusion.samplers.euler`."""

    config: EulerSamplerConfig

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        del key  # nothing is drawn
        return samplers.euler(denoise, x, process.levels(self.config.steps, self.config.spacing).to_the_end())


@dataclass(frozen=True)
class HeunSampler:
    """:func:`artifex.diffusion.samplers.heun`."""

    config: HeunSamplerConfig

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        del key  # nothing is drawn
        return samplers.heun(denoise, x, process.levels(self.config.steps, self.config.spacing).to_the_end())


@dataclass(frozen=True)
class DPMSolverSampler:
    """:func:`artifex.diffusion.samplers.dpm_solver_pp_2m`."""

    config: DPMSolverSamplerConfig

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        del key  # nothing is drawn
        return samplers.dpm_solver_pp_2m(denoise, x, process.levels(self.config.steps, self.config.spacing).to_the_end())


@config
class EDMSamplerConfig(_SteppedConfig):
    """Heun's method with fresh noise before each step.

    Example:
        >>> EDMSamplerConfig(steps=18, churn=40.0).noise_scale
        1.0
    """

    churn: NonNegative = 40.0
    """``S_churn``: how much noise is added in all; none makes it Heun's method."""
    churn_min: NonNegative = 0.05
    """``S_tmin``: below this ``sigma / alpha`` no noise is added."""
    churn_max: Annotated[float, Field(gt=0)] = 50.0
    """``S_tmax``: above this neither."""
    noise_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """``S_noise``: standard deviation of what is added; slightly above 1 makes up for a denoiser that smooths too much."""

    def __post_init__(self) -> None:
        if self.churn_min >= self.churn_max:
            raise ValueError(f"churn_min is {self.churn_min} and churn_max {self.churn_max}: no level lies between")


@dataclass(frozen=True)
class EDMSampler:
    """:func:`artifex.diffusion.samplers.edm_stochastic`."""

    config: EDMSamplerConfig

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        levels = process.levels(self.config.steps, self.config.spacing)
        raised = self.raised(levels, process)
        return samplers.edm_stochastic(denoise, x, levels.to_the_end(), raised, key, noise_scale=self.config.noise_scale)

    def raised(self, levels: Levels, process: Process) -> Levels:
        """The levels after noise was added: ``sigma / alpha`` times ``1 + min(S_churn / N, sqrt(2) - 1)`` in range."""
        factor = 1 + min(self.config.churn / len(levels.t), math.sqrt(2) - 1)
        ratio = levels.ratio
        changed = (ratio >= self.config.churn_min) & (ratio <= self.config.churn_max) & (factor > 1)
        higher = process.at_ratio(np.where(changed, factor * ratio, 1.0))
        changed &= higher.ratio > ratio  # the noisiest level may be the highest there is
        return Levels(*(np.where(changed, high, low) for high, low in zip(higher, levels, strict=True)))


@config
class ProbabilityFlowSamplerConfig(SamplerConfig):
    """The probability flow by Runge-Kutta steps of order four: a map that keeps likelihoods."""

    steps: Steps = 20
    """How many, with four networks each."""


@dataclass(frozen=True)
class ProbabilityFlowSampler:
    """:func:`artifex.diffusion.samplers.probability_flow`, to the least noise of the process, not to none."""

    config: ProbabilityFlowSamplerConfig

    def __call__(self, denoise: Denoiser, x: Array, process: Process, key: Array) -> Float[Array, "B ..."]:
        del key  # nothing is drawn
        levels = log_levels(process, self.config.steps)
        return samplers.probability_flow(denoise, x, levels) / levels.alpha[-1]


def log_levels(process: Process, steps: int) -> Levels:
    """``2 N + 1`` levels in equal steps of ``log(sigma / alpha)`` over the process's whole range.

    Raises:
        InvalidInputError: ``steps`` is less than one.
    """
    check_steps(steps)
    with np.errstate(divide="ignore", over="ignore"):
        most, least = process.at_ratio(np.array([np.inf, 0.0])).ratio
    return process.at_ratio(np.geomspace(most, least, 2 * steps + 1))


SamplerField = Annotated[SamplerConfig, Registered("sampler"), BeforeValidator(named)]
"""A config field that takes a sampler's config, a dict with its ``kind``, or just its name."""


def create_sampler(config: SamplerConfig) -> Any:
    """The sampler that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("sampler", type(config))
    return plugins.resolve(entry.component)(config)
