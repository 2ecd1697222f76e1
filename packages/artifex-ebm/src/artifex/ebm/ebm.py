r"""The energy-based model.

LeCun et al. 2006, "A Tutorial on Energy-Based Learning"; trained by chains as in Du & Mordatch 2019 (arXiv:1903.08689):

    p(x) = exp(-E(x)) / Z                                        the energy is a network; Z is not known
    grad log p(x) = -grad E(x)                                   which is all that a chain needs
    grad_w -log p(x) = grad_w E(x) - E_p[grad_w E(x~)]           contrastive divergence: x~ from short chains

Other objectives need no chains (:mod:`artifex.ebm.objectives`).

Shapes: ``N = examples, ... = one example``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.objectives import Losses, Objective
from artifex.core.protocols import Batch
from artifex.core.value_ranges import Interval, ValueRange
from artifex.ebm.buffer import SampleBuffer, SampleBufferConfig
from artifex.ebm.energies import EnergyField, EnergyNetworkConfig, PositiveInt, Renews, create_energy
from artifex.ebm.layers import checked
from artifex.ebm.mcmc import MCMCConfig, sample_chains
from artifex.ebm.objectives import (
    ContrastiveDivergenceConfig,
    NoiseContrastiveConfig,
    ObjectiveField,
    Problem,
    create_objective,
)
from artifex.ebm.partition import LogPartition, estimate_from_reference
from artifex.ebm.references import GaussianReferenceConfig, ReferenceField, UniformReferenceConfig, create_reference
from artifex.ebm.samplers.chain import Chains, Energy, gradient

PARTITION_CHAINS = MCMCConfig(sampler="hmc", n_steps=1, step_size=0.1, n_leapfrog=5)
"""What moves the particles of an estimate of ``log Z``."""

__all__ = ["EBM", "EBMConfig", "Given", "contrastive_step"]

Given = tuple[Array, ...]
"""What a conditional model is given beside ``x``, one row for each example; empty for any other."""


@config
class EBMConfig(Config):
    """An energy, the chains that sample from it, and what it is trained on.

    Example:
        >>> EBMConfig(input_dim=2, mcmc=MCMCConfig(n_steps=20), sample_buffer=SampleBufferConfig(capacity=512)).shape
        (2,)
    """

    input_dim: PositiveInt | None = None
    """How many numbers an example has; or give ``input_shape``."""
    input_shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    """Shape of an example."""
    energy_network: EnergyField = EnergyNetworkConfig()
    """The energy: `mlp`, `conv`, `resnet`, `quadratic`, `product`, `mixture`, or a dict of its `kind` and fields."""
    mcmc: MCMCConfig = MCMCConfig()
    """The chains of training, and of samples where ``generation`` is not given."""
    generation: MCMCConfig | None = None
    """The chains of samples: longer ones, annealed ones, say."""
    sample_buffer: SampleBufferConfig | None = None
    """Chains of contrastive divergence that go on from step to step, and that samples start from. None: from the data."""
    objective: ObjectiveField = ContrastiveDivergenceConfig()
    """`contrastive_divergence`, `denoising_score_matching`, `sliced_score_matching` or `noise_contrastive`, or a dict of it."""
    reference: ReferenceField = GaussianReferenceConfig()
    """A known distribution as wide as the data, `gaussian` or `uniform`: chains start from it."""
    tilted: bool = False
    """The network tilts the reference, ``E(x) = f(x) - log q(x)``, instead of being the whole energy: far away from the data,
    where nothing is learned, the density falls off as the reference does."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the network computes in. None follows the parameters and the input. Energies and losses stay in float32."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        if (self.input_dim is None) == (self.input_shape is None):
            raise ValueError(
                f"input_dim is {self.input_dim} and input_shape {self.input_shape}; give one of them, the shape of an example"
            )
        if self.sample_buffer is not None and not isinstance(self.objective, ContrastiveDivergenceConfig):
            raise ValueError(
                f"a sample_buffer is given, but the objective {type(self.objective).__name__} runs no chains; "
                "leave the buffer out, or use the objective 'contrastive_divergence'"
            )
        if self.tilted and isinstance(self.reference, UniformReferenceConfig):
            low, high = self.reference.low, self.reference.high
            for name, chains in (("mcmc", self.mcmc), ("generation", self.generation)):
                if chains is None or chains.sampler != "langevin":
                    continue  # they stay inside: no step to an infinite energy is accepted
                if chains.bounds is not None and low <= chains.bounds[0] and chains.bounds[1] <= high:
                    continue
                raise ValueError(
                    f"the model tilts a uniform reference, outside of which its energy is infinite, and {name} has Langevin "
                    f"chains with bounds {chains.bounds}; give it bounds within [{low}, {high}], or sampler 'mala' or 'hmc'"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self.input_shape if self.input_shape is not None else (self.input_dim or 0,)


class EBM(nnx.Module):
    """An energy-based model.

    Training is by :meth:`objectives`, which also moves the sample buffer: calling the model changes nothing.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`EBMConfig`.

    Example:
        >>> config = EBMConfig(input_dim=2, mcmc=MCMCConfig(n_steps=5), sample_buffer=SampleBufferConfig(capacity=16))
        >>> model = EBM(config, rngs=nnx.Rngs(0))
        >>> x = jnp.zeros((4, 2))
        >>> sorted(model.loss_fn({"x": x}, model(x)))
        ['acceptance', 'energy', 'loss', 'negative_energy']
        >>> model.energy(x).shape, model.score(x).shape, model.generate(3).shape
        ((4,), (4, 2), (3, 2))
    """

    given_names: ClassVar[tuple[str, ...]] = ()
    """Arrays of a batch beside ``x`` that the model takes."""

    def __init__(self, config: EBMConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, EBMConfig):
            raise InvalidTypeError(f"{type(self).__name__} takes an EBMConfig, got {type(config).__name__}: {config!r}")
        self.config, self.shape = config, config.shape
        self.objective, self.reference = create_objective(config.objective), create_reference(config.reference)
        self.network = self._build_network(rngs)
        learns_z = isinstance(config.objective, NoiseContrastiveConfig)
        self.log_partition = nnx.Param(jnp.zeros(()), logical_axes=()) if learns_z else None
        self.buffer = self._build_buffer(rngs)
        self.rngs = rngs.fork()

    def _build_buffer(self, rngs: nnx.Rngs) -> SampleBuffer | None:
        kept = self.config.sample_buffer
        return None if kept is None else SampleBuffer(kept, self.reference.sample(rngs.params(), kept.capacity, self.shape))

    # A conditional model is this one with `given`, its condition, beside x: it overrides these two.

    def _build_network(self, rngs: nnx.Rngs) -> Any:
        kinds = {"dtype": self.config.dtype, "param_dtype": self.config.param_dtype, "rngs": rngs}
        return create_energy(self.config.energy_network, self.shape, **kinds)

    def _network_energy(self, x: Float[Array, "N ..."], given: Given) -> Float[Array, "N"]:
        del given
        return self.network(x)[:, 0]

    def _energy(self, x: Float[Array, "N ..."], given: Given) -> Float[Array, "N"]:
        x = checked(x, self.shape)
        energies = self._network_energy(x, given)
        energies = energies.astype(jnp.promote_types(energies.dtype, jnp.float32))
        return energies - self.reference.log_prob(x) if self.config.tilted else energies

    def _pure_energy(self, *, fixed: bool) -> Callable[[Array, Given], Array]:
        """``E(x, given)`` as a pure function; ``fixed``: with parameters that no gradient reaches, as chains want it."""
        graph, state = nnx.split(self)
        state = jax.tree.map(jax.lax.stop_gradient, nnx.as_pure(state)) if fixed else nnx.as_pure(state)
        return lambda x, given: nnx.merge(graph, state)._energy(x, given)

    def _energy_function(self, given: Given = ()) -> Energy:
        """``E`` as chains want it."""
        energy = self._pure_energy(fixed=True)
        return lambda x: energy(x, given)

    def __call__(self, x: Float[Array, "N ..."], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """What the loss is made of: the energies of ``x``, and what the objective sets against them.

        Args:
            x: ``(N, ...)``.
            rngs: stream ``sample`` draws chains and noise; the model's own by default.

        Returns:
            ``energy`` ``(N,)``, and as the objective has it: ``negatives`` ``(N, ...)`` with their ``negative_energy``, or the
            ``score_error`` ``(N,)``, or the log ratios.

        Raises:
            InvalidInputError: ``x`` is not a batch of examples of the model's shape, or larger than the sample buffer.
        """
        return self._outputs(x, (), draw_key(self, rngs))

    def _outputs(self, x: Float[Array, "N ..."], given: Given, key: Array) -> dict[str, Array]:
        problem = Problem(
            self._pure_energy(fixed=False),
            self._pure_energy(fixed=True),
            given,
            self.reference,
            self.config.mcmc,
            self.buffer,
            None if self.log_partition is None else self.log_partition[...],
        )
        return self.objective.outputs(problem, checked(x, self.shape), key)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> Losses:
        """The objective's scalars, ``loss`` among them, of what the model made of ``batch["x"]``."""
        del batch  # the outputs hold all of it
        return dict(self.objective.losses(outputs))

    def remember(self, outputs: Mapping[str, Array]) -> None:
        """Move on what a step leaves behind, in place: the buffer's chains go on from the negatives of this forward pass."""
        if self.buffer is not None:
            self.buffer.write(outputs["slots"], outputs["negatives"], outputs.get("negative_condition"))
        if isinstance(self.network, Renews):
            self.network.renew()

    def objectives(self) -> Sequence[Objective]:
        """One: forward pass, loss, and the buffer moved."""
        return (Objective(contrastive_step),)

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` within what chains are kept to, and within a reference that has an end where the objective asks for it.

        See :class:`artifex.core.protocols.DeclaresValues`.
        """
        del batch
        config, spans = self.config, []
        if config.mcmc.bounds is not None and isinstance(config.objective, ContrastiveDivergenceConfig):
            spans.append(config.mcmc.bounds)
        needs_reference = config.tilted or isinstance(config.objective, NoiseContrastiveConfig)
        if needs_reference and isinstance(config.reference, UniformReferenceConfig):
            spans.append((config.reference.low, config.reference.high))
        if not spans:
            return {}
        low, high = max(low for low, _ in spans), min(high for _, high in spans)
        return {"x": Interval(low, high, slack=1e-6 * (high - low))}

    def energy(self, x: Float[Array, "N ..."]) -> Float[Array, "N"]:
        """``E(x)``, minus the log density up to a constant, float32.

        Raises:
            InvalidInputError: ``x`` is not a batch of examples of the model's shape.
        """
        return self._energies(x, ())

    @compiled_method()
    def _energies(self, x: Float[Array, "N ..."], given: Given) -> Float[Array, "N"]:
        return self._energy(x, given)

    def score(self, x: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        """``-grad E(x)``, the gradient of the log density."""
        return self._scores(x, ())

    @compiled_method()
    def _scores(self, x: Float[Array, "N ..."], given: Given) -> Float[Array, "N ..."]:
        return -gradient(self._energy_function(given))(checked(x, self.shape))

    def generate(
        self, n_samples: int = 1, *, n_steps: int | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """Chains from the sample buffer, or from the reference where there is none.

        Args:
            n_samples: how many.
            n_steps: length of the chains; by default the config's.
            rngs: stream ``sample``; the model's own by default.
        """
        return self._generate(n_samples, (), n_steps=n_steps, rngs=rngs)

    @compiled_method(static=("n_samples", "n_steps"))
    def _generate(
        self, n_samples: int, given: Given, *, n_steps: int | None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        check_at_least(1, n_samples=n_samples)
        start = self._start(n_samples, given, draw_key(self, rngs))
        return self._run(start, given, draw_key(self, rngs), n_steps=n_steps).x

    def _start(self, n_samples: int, given: Given, key: Array) -> Float[Array, "n_samples ..."]:
        """Where chains of samples start."""
        del given  # unlike a conditional model's, this one's chains are all alike
        if self.buffer is None:
            return self.reference.sample(key, n_samples, self.shape)
        return self.buffer.sample(key, n_samples)

    def _run(self, x: Array, given: Given, key: Array, *, n_steps: int | None, trace: bool = False) -> Chains:
        mcmc = self.config.generation or self.config.mcmc
        return sample_chains(mcmc, self._energy_function(given), x, key, n_steps=n_steps, trace=trace)

    def run_chains(
        self, x: Float[Array, "N ..."], *, n_steps: int | None = None, trace: bool = False, rngs: nnx.Rngs | None = None
    ) -> Chains:
        """Chains that start from ``x``: to refine or to repair it, or to look at how the chains fare.

        Args:
            x: ``(N, ...)``.
            n_steps: length of the chains; by default the config's.
            trace: keep all states.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            The last states ``x``, the ``acceptance`` of each chain, and the ``trace`` ``(N, T, ...)`` if it was asked for.
        """
        return self._chains(x, (), n_steps=n_steps, trace=trace, rngs=rngs)

    @compiled_method(static=("n_steps", "trace"))
    def _chains(
        self, x: Float[Array, "N ..."], given: Given, *, n_steps: int | None, trace: bool, rngs: nnx.Rngs | None = None
    ) -> Chains:
        return self._run(checked(x, self.shape), given, draw_key(self, rngs), n_steps=n_steps, trace=trace)

    def estimate_log_partition(
        self,
        *,
        method: Literal["ais", "smc"] = "ais",
        n_particles: int = 1000,
        n_levels: int | None = None,
        mcmc: MCMCConfig = PARTITION_CHAINS,
        rngs: nnx.Rngs | None = None,
    ) -> LogPartition:
        """``log Z`` by annealed runs from the reference, ``log f_b = (1 - b) log q - b E``.

        ``Z`` is the integral of ``exp(-E)`` over all that the reference covers: everything where it is Gaussian, its box
        alone where it is uniform.

        Args:
            method: annealed importance sampling, or tempered sequential Monte Carlo, which chooses its levels itself.
            n_particles: how many runs.
            n_levels: of annealed importance sampling, 1000 by default.
            mcmc: the chain that moves the particles at every level; an exact one.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: levels are given to sequential Monte Carlo, the chain is unadjusted Langevin, or a number is out
                of range.
            InvalidTypeError: ``mcmc`` is no :class:`~artifex.ebm.MCMCConfig`.
        """
        return self._estimated((), method=method, n_particles=n_particles, n_levels=n_levels, mcmc=mcmc, rngs=rngs)

    def _estimated(self, given: Given, *, mcmc: Any, **asked: Any) -> LogPartition:
        if not isinstance(mcmc, MCMCConfig):
            raise InvalidTypeError(f"mcmc takes an MCMCConfig, MCMCConfig(sampler='hmc') say, got {mcmc!r}")
        return self._partition(given, mcmc=mcmc, **asked)

    @compiled_method(static=("method", "n_particles", "n_levels", "mcmc"))
    def _partition(
        self,
        given: Given,
        *,
        method: Literal["ais", "smc"],
        n_particles: int,
        n_levels: int | None,
        mcmc: MCMCConfig,
        rngs: nnx.Rngs | None = None,
    ) -> LogPartition:
        return estimate_from_reference(
            self._energy_function(given),
            self.reference,
            self.shape,
            draw_key(self, rngs),
            method=method,
            n_particles=n_particles,
            n_levels=n_levels,
            mcmc=mcmc,
        )


def contrastive_step(model: EBM, batch: Batch, rngs: nnx.Rngs, step: Array) -> Losses:
    """Forward pass and loss, and the sample buffer moved: what a training step descends.

    Raises:
        InvalidInputError: the batch has a condition, and the model takes none.
    """
    del step
    if "condition" in batch and "condition" not in model.given_names:
        raise InvalidInputError(
            f"the batch has a condition, but {type(model).__name__} takes none; "
            "use a conditional model, or leave 'condition' out of the data"
        )
    given = {name: batch[name] for name in model.given_names if name in batch}
    outputs = model(batch["x"], rngs=rngs, **given)
    losses = model.loss_fn(batch, outputs)
    model.remember(outputs)
    return losses
