r"""The sample buffer of persistent contrastive divergence.

Tieleman 2008 (ICML, "Training restricted Boltzmann machines using approximations to the likelihood gradient"): chains go on
from where the last step left them. Du & Mordatch 2019 (arXiv:1903.08689): a large buffer of them, a few of which start again.

Row ``i`` of a batch of ``B`` owns a bank of about ``C / B`` slots and draws one of them, uniformly. So no slot is drawn twice
in a step, every slot is drawn as often as any other, and where buffer and batch are divided over the devices of a mesh each
device finds its slots at home.

Shapes: ``C = capacity, B = batch, ... = one example``.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.ebm.energies import PositiveInt

__all__ = ["SampleBuffer", "SampleBufferConfig", "draw_slots", "read_slots", "write_slots"]


@config
class SampleBufferConfig(Config):
    """A buffer of chains that go on from step to step.

    Example:
        >>> SampleBufferConfig(capacity=128).reinit_probability
        0.05
    """

    capacity: PositiveInt = 8192
    """How many chains are kept; at least as many as a batch has examples."""
    reinit_probability: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Part of the drawn chains that start again from the reference."""


def draw_slots(key: Array, n: Any, capacity: int) -> Int[Array, "B"]:
    """One slot of each of ``n`` banks that divide the buffer: no slot twice, all equally often.

    Args:
        key: of the draw.
        n: size of the batch.
        capacity: ``C``, at least ``n``.

    Raises:
        InvalidInputError: the buffer is smaller than the batch.

    Example:
        >>> slots = draw_slots(jax.random.key(0), 3, 10)
        >>> [4, 7, 10] > slots.tolist() >= [0, 4, 7]
        True
    """
    if isinstance(n, int) and n > capacity:
        raise InvalidInputError(
            f"the sample buffer keeps {capacity} chains, fewer than the {n} examples of a batch; "
            f"give sample_buffer a capacity of at least {n}"
        )
    if isinstance(n, int) and n == 0:
        return jnp.zeros((0,), jnp.int32)
    row, size, more = jnp.arange(n, dtype=jnp.int32), capacity // n, capacity % n
    starts = row * size + jnp.minimum(row, more)
    return starts + jax.random.randint(key, (n,), 0, jnp.where(row < more, size + 1, size), jnp.int32)


def read_slots(chains: Float[Array, "C ..."], slots: Int[Array, "B"]) -> Float[Array, "B ..."]:
    """The states of ``slots``, as :func:`draw_slots` gave them."""
    n, capacity = slots.shape[0], chains.shape[0]
    if not _divides(n, capacity):
        return chains[slots]
    banks, within = _banks(chains, slots)  # a gather within each row, which stays on its device
    return jnp.take_along_axis(banks, within, axis=1)[:, 0]


def write_slots(chains: Float[Array, "C ..."], slots: Int[Array, "B"], x: Float[Array, "B ..."]) -> Float[Array, "C ..."]:
    """The buffer with ``x`` in ``slots``, as :func:`draw_slots` gave them."""
    n, capacity = slots.shape[0], chains.shape[0]
    x = x.astype(chains.dtype)
    if not _divides(n, capacity):
        return chains.at[slots].set(x)
    banks, within = _banks(chains, slots)
    here = jnp.arange(capacity // n).reshape(1, -1, *(1,) * (chains.ndim - 1)) == within
    return jnp.where(here, x[:, None], banks).reshape(chains.shape)


def _divides(n: Any, capacity: int) -> bool:
    return isinstance(n, int) and n > 0 and capacity % n == 0


def _banks(chains: Array, slots: Array) -> tuple[Array, Array]:
    """``(B, C / B, ...)``, and each row's place in its bank, with axes to match."""
    n, size = slots.shape[0], chains.shape[0] // slots.shape[0]
    within = slots - jnp.arange(n, dtype=slots.dtype) * size
    return chains.reshape(n, size, *chains.shape[1:]), within.reshape(n, 1, *(1,) * (chains.ndim - 1))


class SampleBuffer(nnx.Module):
    """Chains that go on from step to step: a variable of the model, no parameter.

    It is saved with the model and is in every checkpoint, so that a resumed run goes on with the very chains. Its first axis is
    called ``batch``, and is divided over a mesh's data axis as a batch is. Chains of a conditional model keep their condition:
    a slot takes one from the data when its chain starts again.

    Args:
        config: capacity, and how many chains start again.
        chains: what they start from, ``(capacity, ...)``.
        condition: what a condition looks like, ``(capacity,)`` or ``(capacity, width)``; None for a model without.
    """

    def __init__(self, config: SampleBufferConfig, chains: Float[Array, "C ..."], condition: Array | None = None):
        self.config = config
        self.chains = _variable(chains)
        self.condition = None if condition is None else _variable(condition)
        self.filled = None if condition is None else _variable(jnp.zeros(config.capacity, bool))

    def read(
        self, key: Array, fresh: Float[Array, "B ..."], given: tuple[Array, ...] = ()
    ) -> tuple[Int[Array, "B"], Float[Array, "B ..."], tuple[Array, ...]]:
        """Slots, the states that chains start from and their conditions: those of the slots, or fresh ones for a few.

        Args:
            key: of the draw.
            fresh: states to start again from.
            given: the conditions of the batch, where the model has any.
        """
        slot_key, again_key = jax.random.split(key)
        slots = draw_slots(slot_key, fresh.shape[0], self.config.capacity)
        again = jax.random.uniform(again_key, (fresh.shape[0],)) < self.config.reinit_probability
        if self.condition is None or self.filled is None:
            return slots, _where(again, fresh, read_slots(self.chains[...], slots)), ()
        again = again | ~read_slots(self.filled[...], slots)
        held = read_slots(self.condition[...], slots)
        return slots, _where(again, fresh, read_slots(self.chains[...], slots)), (_where(again, given[0], held),)

    def write(self, slots: Int[Array, "B"], x: Float[Array, "B ..."], condition: Array | None = None) -> None:
        """Keep where the chains of ``slots`` have come to."""
        self.chains[...] = write_slots(self.chains[...], slots, jax.lax.stop_gradient(x))
        if self.condition is not None and self.filled is not None and condition is not None:
            self.condition[...] = write_slots(self.condition[...], slots, condition)
            self.filled[...] = write_slots(self.filled[...], slots, jnp.ones(slots.shape, bool))

    def sample(self, key: Array, n: int) -> Float[Array, "n ..."]:
        """``n`` of the kept states; each at most once, unless there are fewer."""
        which = jax.random.choice(key, self.config.capacity, (n,), replace=n > self.config.capacity)
        return self.chains[...][which]

    def sample_of_class(self, key: Array, classes: Int[Array, "n"], fresh: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """A kept state of each class, or a fresh one where there is none."""
        assert self.condition is not None  # only conditional models ask
        assert self.filled is not None
        fits = (self.condition[...][None] == classes[:, None]) & self.filled[...][None]  # (n, C)
        which = jax.random.categorical(key, jnp.where(fits, 0.0, -jnp.inf), axis=-1)
        return _where(jnp.any(fits, axis=-1), self.chains[...][which], fresh)


def _variable(value: Array) -> nnx.Variable[Any]:
    return nnx.Variable(value, logical_axes=("batch", *(None,) * (value.ndim - 1)))


def _where(chosen: Array, new: Array, old: Array) -> Array:
    return jnp.where(chosen.reshape(-1, *(1,) * (old.ndim - 1)), new.astype(old.dtype), old)
