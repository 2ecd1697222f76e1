"""Queues of what a dilated layer will need again (Le Paine et al. 2016, "Fast Wavenet Generation Algorithm", arXiv:1611.09482).

Shapes: ``n = signals, C = channels, N = layers, K = kernel size, total = inputs that all layers keep``.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Rings"]


class Rings:
    """What each layer's input was, as far back as its kernel reaches: a ring for each layer, all in one array.

    Args:
        dilations: of each layer.
        taps: earlier inputs that a layer sees, a dilation apart: its kernel's size less one.
    """

    def __init__(self, dilations: tuple[int, ...], taps: int):
        sizes = [taps * d for d in dilations]
        self.total = sum(sizes)
        self.sizes, self.dilations = jnp.asarray(sizes), jnp.asarray(dilations)
        self.starts = jnp.asarray([sum(sizes[:i]) for i in range(len(sizes))])
        self.back = jnp.arange(taps, 0, -1)  # the earliest first

    def start(self, n: int, channels: int, dtype: Any) -> Float[Array, "total n C"]:
        """Zeros: nothing was before the first sample."""
        return jnp.zeros((self.total, n, channels), dtype)

    def read(self, kept: Float[Array, "total n C"], t: Array) -> Float[Array, "N n C*(K-1)"]:
        """Each layer's earlier inputs."""
        when = (t - self.back[None] * self.dilations[:, None]) % self.sizes[:, None]
        taken = kept[self.starts[:, None] + when]  # (N, K - 1, n, C)
        return jnp.moveaxis(taken, 1, 2).reshape(taken.shape[0], taken.shape[2], -1)

    def write(self, kept: Float[Array, "total n C"], t: Array, inputs: Float[Array, "N n C"]) -> Array:
        """With each layer's input now, in the place of its oldest."""
        return kept.at[self.starts + t % self.sizes].set(inputs.astype(kept.dtype), unique_indices=True)
