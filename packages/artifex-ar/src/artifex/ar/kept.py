"""A transformer's keys and values: kept of prompts, and the next token from those before it.

Shapes: ``B = batch, P = prompt, S = inputs of a prompt, T = new tokens, V = vocabulary, G = heads with keys of their own, D =
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

__all__ = ["KeptStep", "kept_of_prompts"]


def kept_of_prompts(
    model: Any, prompt: Int[Array, "B P"], lengths: Int[Array, "B"] | None, classes: Given, n_tokens: int, *, starts: bool
) -> tuple[Float[Array, "B V"], Any, Int[Array, "B S"]]:
    """All prompts at once, each moved to the end of its row, so that the first new token of each has one place.

    Args:
        model: a :class:`artifex.ar.TransformerAR`.
        prompt: tokens.
        lengths: how many of each row count; all where there are none.
        classes: of the rows, for a model that has some.
        n_tokens: ``T``, for which room is left behind the prompts.
        starts: whether the model's start stands before the first token.

    Returns:
        Logits of the next token; of each layer the keys and values, ``(B, G, S + T, D)``; positions, below zero before a row
        begins.
    """
    batch, p = prompt.shape
    inputs = p + starts
    lengths = jnp.full((batch,), p, jnp.int32) if lengths is None else lengths
    positions = jnp.arange(inputs)[None] - (p - lengths)[:, None]  # (B, S)
    place = jnp.clip(positions - starts, 0, max(p - 1, 0))
    before = jnp.take_along_axis(prompt, place, axis=1) if p else jnp.zeros((batch, inputs), prompt.dtype)
    h = model._embedded(before, jnp.maximum(positions, 0), positions == 0 if starts else None, classes)
    seen = (positions >= 0)[:, None, None]
    h, (keys, values) = model._through_blocks(h, jnp.maximum(positions, 0), seen)
    room = ((0, 0), (0, 0), (0, 0), (0, n_tokens), (0, 0))
    kept = [jnp.pad(jnp.swapaxes(a, 2, 3), room) for a in (keys, values)]  # (layers, B, G, S + T, D)
    cache = [(kept[0][i], kept[1][i]) for i in range(model.config.num_layers)]
    return model._logits(h[:, -1:])[:, 0], cache, positions


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
