r"""The conditional energy-based model.

Du & Mordatch 2019 (arXiv:1903.08689), section 4.2; the gradient is that of ``-log p(x | c)``:

    p(x | c) = exp(-E(x, c)) / Z(c)
    grad_w -log p(x | c) = grad_w E(x, c) - E_{p(x~ | c)}[grad_w E(x~, c)]

The condition, a one-hot class or a vector, is put beside the flattened example (``mlp``), or beside an image as constant
channels. A chain of the buffer keeps its condition for as long as it lives.

Shapes: ``N n = examples, C = width of the condition, ... = one example``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.core.checks import check_at_least
from artifex.core.compilation import draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.value_ranges import ValueRange
from artifex.ebm.buffer import SampleBuffer
from artifex.ebm.conditions import Condition, checked_classes, checked_vectors, one_hot
from artifex.ebm.ebm import EBM, PARTITION_CHAINS, EBMConfig, Given
from artifex.ebm.energies import EnergyNetworkConfig, PositiveInt, create_energy
from artifex.ebm.layers import checked
from artifex.ebm.mcmc import MCMCConfig
from artifex.ebm.partition import LogPartition
from artifex.ebm.samplers.chain import Chains

__all__ = ["ConditionalEBM", "ConditionalEBMConfig"]


@config
class ConditionalEBMConfig(EBMConfig):
    """An energy of ``x`` given a class or a vector.

    Example:
        >>> ConditionalEBMConfig(input_dim=2, n_classes=10).condition_width
        10
    """

    n_classes: PositiveInt | None = None
    """The condition is one of this many classes, an integer from 0."""
    condition_dim: PositiveInt | None = None
    """The condition is a vector of this many real numbers."""

    def __post_init__(self) -> None:
        EBMConfig.__post_init__(self)
        if (self.n_classes is None) == (self.condition_dim is None):
            raise ValueError(
                f"n_classes is {self.n_classes} and condition_dim {self.condition_dim}; give one of them: "
                "the number of classes, or the width of the vector that x is conditioned on"
            )

    @property
    def condition_width(self) -> int:
        """``C``: what the network is given beside ``x``."""
        return self.n_classes or self.condition_dim or 0


class ConditionalEBM(EBM):
    """An energy-based model whose every method takes the ``condition`` of each example: labels ``(N,)`` or vectors ``(N, C)``.

    A batch carries it as ``condition``; for a class-conditional model ``label`` does as well.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`ConditionalEBMConfig`.

    Example:
        >>> model = ConditionalEBM(ConditionalEBMConfig(input_dim=2, n_classes=3), rngs=nnx.Rngs(0))
        >>> model.energy(jnp.zeros((4, 2)), condition=jnp.array([0, 1, 2, 2])).shape
        (4,)
    """

    config: ConditionalEBMConfig
    given_names: ClassVar[tuple[str, ...]] = ("condition", "label")

    def __init__(self, config: ConditionalEBMConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, ConditionalEBMConfig):
            raise InvalidTypeError(f"ConditionalEBM takes a ConditionalEBMConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)

    def _flat(self) -> bool:
        """Whether the condition stands beside the flattened example."""
        return len(self.shape) == 1 or isinstance(self.config.energy_network, EnergyNetworkConfig)

    def _build_network(self, rngs: nnx.Rngs) -> Any:
        kinds = {"dtype": self.config.dtype, "param_dtype": self.config.param_dtype, "rngs": rngs}
        width = self.config.condition_width
        wider = (math.prod(self.shape) + width,) if self._flat() else (*self.shape[:-1], self.shape[-1] + width)
        return create_energy(self.config.energy_network, wider, **kinds)

    def _build_buffer(self, rngs: nnx.Rngs) -> SampleBuffer | None:
        kept = self.config.sample_buffer
        if kept is None:
            return None
        chains = self.reference.sample(rngs.params(), kept.capacity, self.shape)
        vectors = jnp.zeros((kept.capacity, self.config.condition_width))
        return SampleBuffer(kept, chains, vectors if self.config.n_classes is None else jnp.zeros(kept.capacity, jnp.int32))

    def _network_energy(self, x: Float[Array, "N ..."], given: Given) -> Float[Array, "N"]:
        (c,) = given
        c = (one_hot(c, self.config.n_classes) if self.config.n_classes else c).astype(x.dtype)
        if self._flat():
            flat = jax.lax.collapse(x, 1) if x.ndim > 2 else x
            return self.network(jnp.concatenate([flat, c], axis=-1))[:, 0]
        channels = jnp.broadcast_to(jnp.expand_dims(c, range(1, x.ndim - 1)), (*x.shape[:-1], c.shape[-1]))
        return self.network(jnp.concatenate([x, channels], axis=-1))[:, 0]

    def _start(self, n_samples: int, given: Given, key: Array) -> Float[Array, "n ..."]:
        fresh_key, kept_key = jax.random.split(key)
        fresh = self.reference.sample(fresh_key, n_samples, self.shape)
        if self.buffer is None or self.config.n_classes is None:  # two vectors are hardly ever the same
            return fresh
        return self.buffer.sample_of_class(kept_key, given[0], fresh)

    def _given(self, condition: Condition | None, n: int) -> Given:
        """The condition of ``n`` examples, alone in a tuple."""
        classes, width = self.config.n_classes, self.config.condition_width
        if condition is None:
            kind = f"class labels below {classes}" if classes else f"vectors of {width} numbers"
            raise InvalidInputError(f"no condition is given; pass condition=... with {kind}, one for each of {n} examples")
        return (checked_classes(condition, n, classes) if classes else checked_vectors(condition, n, width),)

    def __call__(
        self,
        x: Float[Array, "N ..."],
        *,
        condition: Condition | None = None,
        label: Int[Array, "N"] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """What the loss is made of, given the condition.

        Args:
            x: ``(N, ...)``.
            condition: class labels ``(N,)`` or vectors ``(N, C)``.
            label: what data sets call the classes: the condition of a class-conditional model that is given no other.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            What :class:`artifex.ebm.EBM` gives, and the ``negative_condition`` where there is a buffer.

        Raises:
            InvalidInputError: there is no condition, or one that does not fit.
        """
        if condition is None and self.config.n_classes is not None:
            condition = label
        x = checked(x, self.shape)
        return self._outputs(x, self._given(condition, x.shape[0]), draw_key(self, rngs))

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """As of any energy-based model; and the classes, in the array that is taken for the condition."""
        ranges, classes = super().value_ranges(batch), self.config.n_classes
        return {**ranges, "condition" if "condition" in batch else "label": range(classes)} if classes else ranges

    def conditions_for(self, n_samples: int) -> np.ndarray | None:
        """What :meth:`generate` takes where it is given none: classes in turns, 0, 1, 2, ...; None for vectors."""
        return None if self.config.n_classes is None else np.arange(n_samples) % self.config.n_classes

    def energy(self, x: Float[Array, "N ..."], *, condition: Condition | None = None) -> Float[Array, "N"]:
        """``E(x, c)``."""
        x = checked(x, self.shape)
        return self._energies(x, self._given(condition, x.shape[0]))

    def score(self, x: Float[Array, "N ..."], *, condition: Condition | None = None) -> Float[Array, "N ..."]:
        """``-grad_x E(x, c)``."""
        x = checked(x, self.shape)
        return self._scores(x, self._given(condition, x.shape[0]))

    def generate(
        self,
        n_samples: int = 1,
        *,
        condition: Condition | None = None,
        n_steps: int | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n_samples ..."]:
        """Chains given the condition, from states of its class in the buffer, or from the reference.

        Args:
            n_samples: how many.
            condition: one for each sample, or one class for all. Without one, classes take turns: 0, 1, 2, ...; a model
                conditioned on vectors has to be given them.
            n_steps: length of the chains; by default the config's.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        if condition is None:
            condition = self.conditions_for(n_samples)
        return self._generate(n_samples, self._given(condition, n_samples), n_steps=n_steps, rngs=rngs)

    def run_chains(
        self,
        x: Float[Array, "N ..."],
        *,
        condition: Condition | None = None,
        n_steps: int | None = None,
        trace: bool = False,
        rngs: nnx.Rngs | None = None,
    ) -> Chains:
        """Chains that start from ``x``, given the condition: :meth:`artifex.ebm.EBM.run_chains`."""
        x = checked(x, self.shape)
        return self._chains(x, self._given(condition, x.shape[0]), n_steps=n_steps, trace=trace, rngs=rngs)

    def estimate_log_partition(
        self,
        *,
        condition: Condition | None = None,
        method: Literal["ais", "smc"] = "ais",
        n_particles: int = 1000,
        n_levels: int | None = None,
        mcmc: MCMCConfig = PARTITION_CHAINS,
        rngs: nnx.Rngs | None = None,
    ) -> LogPartition:
        """``log Z(c)`` of one condition: :meth:`artifex.ebm.EBM.estimate_log_partition`."""
        check_at_least(2, n_particles=n_particles)
        given = self._given(condition, n_particles)
        return self._estimated(given, method=method, n_particles=n_particles, n_levels=n_levels, mcmc=mcmc, rngs=rngs)
