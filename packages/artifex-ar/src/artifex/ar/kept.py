"""A transformer's next token from the keys and values that are kept of those before it.

Shapes: ``B = batch, S = inputs of a prompt, T = new tokens, V = vocabulary, G = heads with keys of their own, D =
size of a head``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from artifex.ar.attention import attend_last
from artifex.ar.conditioning import Given
from artifex.ar.stacks import unstacked

__all__ = ["KeptStep"]


class KeptStep:
    """One token through all blocks, from the keys and values of those before it.

    The blocks are taken apart before the loop: inside one, a scan over stacked layers would copy the weights of each at each
    token, which is most of what a token costs.
    """

    def __init__(self, model: Any, classes: Given, positions: Int[Array, "B S"]):
        self.model, self.classes, self.positions = model, classes, positions
        self.blocks = list(unstacked(model.blocks, model.config.num_layers))

    def __call__(self, cache: Any, token: Int[Array, "B"], i: Int[Array, ""]) -> tuple[Any, Float[Array, "B V"]]:
        model, inputs = self.model, self.positions.shape[1]
        position = self.positions[:, -1:] + 1 + i  # (B, 1)
        h = model._embedded(token[:, None], position, None, self.classes)
        place = inputs + i
        ahead = jnp.arange(cache[0][0].shape[2])[None] <= place
        began = jnp.pad(self.positions >= 0, ((0, 0), (0, cache[0][0].shape[2] - inputs)), constant_values=True)
        made = []
        for block, (keys, values) in zip(self.blocks, cache, strict=True):
            q, k, v = block.queries_keys_values(h, position)
            at = (0, 0, place, 0)
            keys = jax.lax.dynamic_update_slice(keys, jnp.swapaxes(k, 1, 2).astype(keys.dtype), at)
            values = jax.lax.dynamic_update_slice(values, jnp.swapaxes(v, 1, 2).astype(values.dtype), at)
            attended = attend_last(q[:, 0], keys, values, ahead & began)
            h = block.finish(h, attended[:, None], lambda x, _: x)
            made.append((keys, values))
        return made, model._logits(h)[:, 0]
