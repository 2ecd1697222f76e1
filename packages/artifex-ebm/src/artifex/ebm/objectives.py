r"""What an energy-based model may be trained on: the field ``objective`` chooses.

    contrastive_divergence       chains from the data, or from a buffer where the model has one (persistent)
    denoising_score_matching     no chains; the model is of data blurred a little
    sliced_score_matching        no chains, nothing blurred; second derivatives along random directions
    noise_contrastive            no chains; learns log Z too, and needs a reference that covers the data

An objective makes ``outputs`` of a batch, one row for each example, and ``losses`` of the outputs. The formulas are in
:mod:`artifex.ebm.losses`.

Shapes: ``N = examples, M = noise examples for each, V = projections for each, ... = one example``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.ebm import losses
from artifex.ebm.buffer import SampleBuffer
from artifex.ebm.energies import PositiveInt
from artifex.ebm.mcmc import MCMCConfig, PositiveFloat, sample_chains
from artifex.ebm.references import named

__all__ = [
    "ContrastiveDivergence",
    "ContrastiveDivergenceConfig",
    "DenoisingScoreMatching",
    "DenoisingScoreMatchingConfig",
    "EnergyObjective",
    "EnergyObjectiveConfig",
    "NoiseContrastive",
    "NoiseContrastiveConfig",
    "Problem",
    "SlicedScoreMatching",
    "SlicedScoreMatchingConfig",
    "create_objective",
]


@config
class EnergyObjectiveConfig(Config):
    """Base of the configs that may stand in a field ``objective``."""


ObjectiveField = Annotated[EnergyObjectiveConfig, Registered("energy_objective"), BeforeValidator(named)]
"""A config field that takes an objective's config, a dict with its ``kind``, or just its name."""


GivenEnergy: TypeAlias = Callable[[Array, tuple[Array, ...]], Array]
"""``E(x)`` of a batch, given conditions."""


@dataclass(frozen=True)
class Problem:
    """What an objective is given of a model."""

    energy: GivenEnergy
    """``E``; gradients reach the parameters."""
    fixed_energy: GivenEnergy
    """The same numbers; no gradient reaches the parameters."""
    given: tuple[Array, ...]
    """The condition of each example, alone in a tuple; empty for a model without."""
    reference: Any
    """The known distribution."""
    mcmc: MCMCConfig
    """The chains."""
    buffer: SampleBuffer | None
    """Chains that go on from step to step."""
    log_partition: Array | None
    """``log Z`` where it is learned."""

    def of_batch(self, x: Float[Array, "N ..."]) -> Float[Array, "N"]:
        """``E`` under the batch's own conditions."""
        return self.energy(x, self.given)


class EnergyObjective(Protocol):
    """An objective."""

    def __init__(self, config: Any) -> None: ...

    def outputs(self, problem: Problem, x: Float[Array, "N ..."], key: Array) -> dict[str, Array]:
        """What the loss is made of, a row for each example."""
        ...

    def losses(self, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """Scalars, ``loss`` among them."""
        ...


def create_objective(config: EnergyObjectiveConfig) -> EnergyObjective:
    """The objective that ``config`` describes, found by its type among the installed plugins."""
    return plugins.resolve(plugins.registry().entry_of_config("energy_objective", type(config)).component)(config)


@config
class ContrastiveDivergenceConfig(EnergyObjectiveConfig):
    """Contrastive divergence: persistent where the model has a ``sample_buffer``, else CD-k with chains from the data."""

    energy_penalty: Annotated[float, Field(ge=0)] = 0.0
    """Weight of ``mean E(x)^2 + mean E(x~)^2``."""
    data_noise: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of noise that is added to the data, so that energies of data on few levels stay smooth."""


@dataclass(frozen=True)
class ContrastiveDivergence:
    """Negatives ``x~`` from short chains, and ``mean E(x) - mean E(x~)``."""

    config: ContrastiveDivergenceConfig

    def outputs(self, problem: Problem, x: Float[Array, "N ..."], key: Array) -> dict[str, Array]:
        """``energy``, ``negative_energy``, ``acceptance`` ``(N,)`` and ``negatives`` ``(N, ...)``.

        With a buffer also the ``slots`` ``(N,)`` that the negatives belong into, and their ``negative_condition`` if any.
        """
        start_key, fresh_key, chain_key, noise_key = jax.random.split(key, 4)
        if self.config.data_noise:
            x = x + self.config.data_noise * jax.random.normal(noise_key, x.shape, x.dtype)
        start, given, made = x, problem.given, {}
        if problem.buffer is not None:
            fresh = problem.reference.sample(fresh_key, x.shape[0], x.shape[1:])
            made["slots"], start, given = problem.buffer.read(start_key, fresh, given)
            if given:
                made["negative_condition"] = given[0]
        chains = sample_chains(problem.mcmc, lambda x: problem.fixed_energy(x, given), start, chain_key)
        negatives = jax.lax.stop_gradient(chains.x)
        energies = {"energy": problem.of_batch(x), "negative_energy": problem.energy(negatives, given)}
        return {**energies, "negatives": negatives, "acceptance": chains.acceptance, **made}

    def losses(self, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``loss``; ``energy`` and ``negative_energy``, their means; ``acceptance`` of the chains."""
        positive, negative = outputs["energy"], outputs["negative_energy"]
        loss = losses.contrastive_divergence(positive, negative)
        if self.config.energy_penalty:
            loss = loss + self.config.energy_penalty * losses.energy_penalty(positive, negative)
        means = {name: jnp.mean(outputs[name]) for name in ("energy", "negative_energy", "acceptance")}
        return {"loss": loss, **means}


@config
class DenoisingScoreMatchingConfig(EnergyObjectiveConfig):
    """Denoising score matching at one level of noise."""

    noise_scale: PositiveFloat = 0.1
    """``s``: standard deviation of the noise; the model is of the data blurred by it."""


@dataclass(frozen=True)
class DenoisingScoreMatching:
    """``s^2 |grad E(x + s z) - z / s|^2 / 2``."""

    config: DenoisingScoreMatchingConfig

    def outputs(self, problem: Problem, x: Float[Array, "N ..."], key: Array) -> dict[str, Array]:
        """``energy`` and ``score_error``, ``(N,)`` each."""
        noise = jax.random.normal(key, x.shape, x.dtype)
        error = losses.denoising_score_matching(problem.of_batch, x, noise, self.config.noise_scale)
        return {"energy": problem.of_batch(x), "score_error": error}

    def losses(self, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``loss``, and the mean ``energy``."""
        return {"loss": jnp.mean(outputs["score_error"]), "energy": jnp.mean(outputs["energy"])}


@config
class SlicedScoreMatchingConfig(EnergyObjectiveConfig):
    """Sliced score matching with the variance-reduced norm."""

    n_projections: PositiveInt = 1
    """``V``: random directions for each example."""


@dataclass(frozen=True)
class SlicedScoreMatching:
    """``|grad E(x)|^2 / 2 - v^T grad^2 E(x) v``."""

    config: SlicedScoreMatchingConfig

    def outputs(self, problem: Problem, x: Float[Array, "N ..."], key: Array) -> dict[str, Array]:
        """``energy`` and ``score_error``, ``(N,)`` each."""
        signs = jax.random.rademacher(key, (self.config.n_projections, *x.shape), x.dtype)
        return {"energy": problem.of_batch(x), "score_error": losses.sliced_score_matching(problem.of_batch, x, signs)}

    def losses(self, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``loss``, and the mean ``energy``."""
        return {"loss": jnp.mean(outputs["score_error"]), "energy": jnp.mean(outputs["energy"])}


@config
class NoiseContrastiveConfig(EnergyObjectiveConfig):
    """Noise-contrastive estimation: data are told from draws of the reference, and log Z is learned beside the energy."""

    noise_ratio: PositiveInt = 1
    """``nu``: draws of the reference for each example."""


@dataclass(frozen=True)
class NoiseContrastive:
    """``-log s(r(x)) - nu log s(-r(y))``, ``r = log p - log q - log nu``."""

    config: NoiseContrastiveConfig

    def outputs(self, problem: Problem, x: Float[Array, "N ..."], key: Array) -> dict[str, Array]:
        """``energy`` and ``log_ratio`` ``(N,)`` of the data, ``noise_log_ratio`` ``(N, M)``."""
        n, ratio = x.shape[0], self.config.noise_ratio
        noise = problem.reference.sample(key, ratio * n, x.shape[1:])
        energies, given = problem.of_batch(x), tuple(jnp.repeat(c, ratio, axis=0) for c in problem.given)
        of_noise = self._log_ratio(problem, noise, problem.energy(noise, given)).reshape(n, ratio)
        return {"energy": energies, "log_ratio": self._log_ratio(problem, x, energies), "noise_log_ratio": of_noise}

    def _log_ratio(self, problem: Problem, x: Array, energies: Array) -> Float[Array, "N"]:
        """``log p - log q - log nu``."""
        assert problem.log_partition is not None  # the model made one
        log_p = -energies - problem.log_partition.astype(energies.dtype)
        return log_p - problem.reference.log_prob(x) - math.log(self.config.noise_ratio)

    def losses(self, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``loss``; the mean ``energy``; ``accuracy`` of telling data from noise, each kind counted as much as the other."""
        data, noise = outputs["log_ratio"], outputs["noise_log_ratio"]
        of_data, of_noise = losses.noise_contrastive(data, noise)
        return {
            "loss": jnp.mean(of_data) + self.config.noise_ratio * jnp.mean(of_noise),
            "energy": jnp.mean(outputs["energy"]),
            "accuracy": 0.5 * (jnp.mean(data > 0) + jnp.mean(noise < 0)),
        }
