r"""The sample buffer of persistent contrastive divergence.

Tieleman 2008 (ICML, "Training restricted Boltzmann machines using approximations to the likelihood gradient"): chains go on
from where the last step left them. Du & Mordatch 2019 (arXiv:1903.08689): a large buffer of them, a few of which start again.

Row ``i`` of a batch of ``B`` owns a bank of about ``C / B`` slots and draws one of them, uniformly. So no slot is drawn twice in
a step, every slot is drawn as often as any other, and where buffer and batch are divided over the devices of a mesh each device
finds its slots at home.

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
    called ``batch``, and is divided over a mesh's data axis as a batch is.

    Args:
        config: capacity, and how many chains start again.
        chains: what they start from, ``(capacity, ...)``.
    """

    def __init__(self, config: SampleBufferConfig, chains: Float[Array, "C ..."]):
        self.config = config
        self.chains = nnx.Variable(chains, logical_axes=("batch", *(None,) * (chains.ndim - 1)))

    def read(self, key: Array, fresh: Float[Array, "B ..."]) -> tuple[Int[Array, "B"], Float[Array, "B ..."]]:
        """Slots, and the states that chains start from: those of the slots, or ``fresh`` for a few."""
        slot_key, again_key = jax.random.split(key)
        slots = draw_slots(slot_key, fresh.shape[0], self.config.capacity)
        again = jax.random.uniform(again_key, (fresh.shape[0],)) < self.config.reinit_probability
        held = read_slots(self.chains[...], slots)
        return slots, jnp.where(again.reshape(-1, *(1,) * (fresh.ndim - 1)), fresh.astype(held.dtype), held)

    def write(self, slots: Int[Array, "B"], x: Float[Array, "B ..."]) -> None:
        """Keep where the chains of ``slots`` have come to."""
        self.chains[...] = write_slots(self.chains[...], slots, jax.lax.stop_gradient(x))

    def sample(self, key: Array, n: int) -> Float[Array, "n ..."]:
        """``n`` of the kept states; each at most once, unless there are fewer."""
        which = jax.random.choice(key, self.config.capacity, (n,), replace=n > self.config.capacity)
        return self.chains[...][which]
