r"""Scaled dot-product attention, in the form that XLA runs fastest on the CPU.

Vaswani et al. 2017, "Attention Is All You Need" (arXiv:1706.03762), equation 1, for each head, with keys and values that
several heads may share (Ainslie et al. 2023, "GQA", arXiv:2305.13245):

.. math:: o_l = \sum_s \frac{e^{a_{ls}}}{\sum_{s'} e^{a_{ls'}}} v_s, \qquad a_{ls} = \frac{q_l \cdot k_s}{\sqrt D} + b_{ls}

The sum in the denominator is divided by after the product with the values: ``L D`` divisions instead of ``L S``. Of long causal
sequences, blocks of queries meet the keys up to the end of the block: with four, three eighths of all products are left out.

Shapes: ``B`` batch, ``L`` queries, ``S`` keys, ``H`` heads, ``G`` groups of heads with keys of their own, ``D`` size of a head.
"""

from __future__ import annotations

import math
from itertools import pairwise

import jax
import jax.numpy as jnp

from artifex.core.errors import InvalidInputError

__all__ = ["attention"]

BLOCKS, LEAST = 4, 64
"""Blocks of queries of a causal sequence, at most, and the least length of one."""


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> jax.Array:
    """Attention ``softmax(q k^T / sqrt(D) + bias) v`` (arXiv:1706.03762, equation 1), its softmax in float32.

    A query that may see no key gets zeros. The values of masked keys are multiplied by zero, which a NaN survives: put numbers
    in padded places.

    Args:
        q: ``(B, L, H, D)``.
        k: ``(B, S, G, D)``; ``G`` divides ``H``, and head ``h`` uses the keys of group ``h // (H / G)``.
        v: ``(B, S, G, E)``; ``E`` is mostly ``D``.
        mask: booleans, true where a query may see a key, broadcast to ``(B, H, L, S)``.
        bias: added to the logits, broadcast to ``(B, H, L, S)``.
        causal: query ``l`` sees keys up to ``l + S - L``: the last query sees all of them.
        scale: of the products, in place of ``1 / sqrt(D)``.

    Returns:
        ``(B, L, H, E)``, of the type of ``v``.

    Raises:
        InvalidInputError: the shapes do not go together.

    Example:
        >>> x = jnp.ones((2, 5, 4, 8))
        >>> attention(x, x[:, :, :2], x[:, :, :2], causal=True).shape
        (2, 5, 4, 8)
    """
    _check(q, k, v)
    length = q.shape[1]
    square = isinstance(length, int) and k.shape[1] == length  # a length that is left open in an export is no number
    blocks = min(BLOCKS, length // LEAST) if causal and square else 1
    if blocks < 2:
        return _attention(q, k, v, mask, bias, causal, scale)
    ends = [length * i // blocks for i in range(blocks + 1)]
    parts = [
        _attention(q[:, a:b], k[:, :b], v[:, :b], _part(mask, a, b), _part(bias, a, b), causal, scale)
        for a, b in pairwise(ends)
    ]
    return jnp.concatenate(parts, axis=1)


def _part(given: jax.Array | None, start: int, end: int) -> jax.Array | None:
    """Of a mask or a bias, the rows of queries ``start`` to ``end`` and the columns of keys before ``end``."""
    if given is None:
        return None
    given = _four_axes(jnp.asarray(given))
    given = given if given.shape[2] == 1 else given[:, :, start:end]
    return given if given.shape[3] == 1 else given[..., :end]


def _attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None,
    bias: jax.Array | None,
    causal: bool,
    scale: float | None,
) -> jax.Array:
    (batch, length, heads, size), (_, keys, groups, _) = q.shape, k.shape
    each = heads // groups
    q = q.transpose(0, 2, 1, 3).reshape(batch, groups, each * length, size)  # (B, G, H/G L, D)
    k, v = k.transpose(0, 2, 3, 1), v.transpose(0, 2, 1, 3)  # (B, G, D, S), (B, G, S, E)
    logits = jnp.matmul(q, k, preferred_element_type=jnp.promote_types(q.dtype, jnp.float32))
    logits = logits.reshape(batch, heads, length, keys) * (1 / math.sqrt(size) if scale is None else scale)
    weights = _exponentials(logits, _additive(mask, bias, causal, length, keys, logits))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    out = jnp.matmul(weights.astype(v.dtype).reshape(batch, groups, each * length, keys), v)  # (B, G, H/G L, E)
    out = out.reshape(batch, heads, length, v.shape[-1]) / jnp.where(total == 0, 1, total)
    return out.astype(v.dtype).transpose(0, 2, 1, 3)


def _additive(
    mask: jax.Array | None, bias: jax.Array | None, causal: bool, length: int, keys: int, logits: jax.Array
) -> jax.Array | None:
    """What is added to the logits: the bias, and minus infinity at what may not be seen."""
    seen = None if mask is None else _four_axes(jnp.asarray(mask, bool))
    if causal:
        order = _four_axes(jnp.arange(keys)[None] <= jnp.arange(length)[:, None] + keys - length)
        seen = order if seen is None else seen & order
    if bias is not None:
        bias = _four_axes(bias.astype(logits.dtype))
    if seen is None:
        return bias
    return jnp.where(seen, jnp.zeros((1, 1, 1, 1), logits.dtype) if bias is None else bias, -jnp.inf)


def _four_axes(a: jax.Array) -> jax.Array:
    return a.reshape((1,) * (4 - a.ndim) + a.shape)


def _exponentials(logits: jax.Array, additive: jax.Array | None) -> jax.Array:
    """The softmax's numerators, the largest of a row 1; all 0 in a row that sees nothing."""
    if additive is None:
        return jnp.exp(logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True)))
    logits = logits + additive
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    return jnp.exp(logits - jnp.where(jnp.isneginf(largest), 0, largest))


def _check(q: jax.Array, k: jax.Array, v: jax.Array) -> None:
    if any(a.ndim != 4 for a in (q, k, v)):
        raise InvalidInputError(f"attention takes (batch, length, heads, size), got q {q.shape}, k {k.shape}, v {v.shape}")
    fits = q.shape[0] == k.shape[0] == v.shape[0] and k.shape[1:3] == v.shape[1:3] and q.shape[-1] == k.shape[-1]
    if not fits or q.shape[2] % k.shape[2]:
        raise InvalidInputError(
            f"q {q.shape}, k {k.shape} and v {v.shape} do not go together: they need one batch, q and k one size of a head, "
            "k and v one length and one number of heads that divides the queries'"
        )
