"""Attention against JAX's own, an independent implementation, and at the edges of masks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.core.errors import InvalidInputError
from artifex.core.nn import attention

RNG = np.random.default_rng(0)


def drawn(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("causal", [False, True])
def test_outputs_and_gradients_are_those_of_jax(groups: int, causal: bool) -> None:
    q, k, v = drawn(2, 6, 4, 8), drawn(2, 6, groups, 8), drawn(2, 6, groups, 8)
    bias = drawn(1, 4, 6, 6)
    mask = jnp.asarray(RNG.random((2, 1, 6, 6)) < 0.7) | jnp.eye(6, dtype=bool)[None, None]

    def ours(q, k, v):
        return jnp.sum(jnp.sin(attention(q, k, v, mask=mask, bias=bias, causal=causal)))

    def theirs(q, k, v):
        return jnp.sum(jnp.sin(jax.nn.dot_product_attention(q, k, v, mask=mask, bias=bias, is_causal=causal)))

    for got, wanted in zip(jax.grad(ours, (0, 1, 2))(q, k, v), jax.grad(theirs, (0, 1, 2))(q, k, v), strict=True):
        assert_allclose(got, wanted, atol=2e-6)  # a few roundings of sums over six keys
    assert_allclose(ours(q, k, v), theirs(q, k, v), rtol=1e-5)


@pytest.mark.parametrize(
    "shapes", [((1, 1, 1, 131), (1, 2, 131, 1)), ((2, 1, 131, 131), (131, 131))], ids=["broadcast", "whole"]
)
def test_blocks_of_a_long_causal_sequence_are_the_whole_of_it(shapes) -> None:
    """Two uneven blocks, with masks and biases of every shape that is cut, or is not."""
    q, k, v = drawn(2, 131, 2, 4), drawn(2, 131, 1, 4), drawn(2, 131, 1, 3)
    mask, bias = jnp.asarray(RNG.random(shapes[0]) < 0.8).at[..., 0].set(True), drawn(*shapes[1])

    def ours(q, k, v):
        return jnp.sum(jnp.sin(attention(q, k, v, mask=mask, bias=bias, causal=True)))

    def theirs(q, k, v):  # all at once, in the order of the definition
        logits = jnp.einsum("blhd,bsd->bhls", q, k[:, :, 0]) / 2 + jnp.broadcast_to(bias, (2, 2, 131, 131))
        seen = jnp.tril(jnp.ones((131, 131), bool))[None, None] & mask
        weights = jax.nn.softmax(jnp.where(seen, logits, -jnp.inf))
        return jnp.sum(jnp.sin(jnp.einsum("bhls,bse->blhe", weights, v[:, :, 0])))

    found, wanted = (jax.jit(jax.value_and_grad(f, (0, 1, 2)))(q, k, v) for f in (ours, theirs))
    # gradients of the first keys are sums over 131 queries and two heads: their roundings
    jax.tree.map(lambda got, true: assert_allclose(got, true, rtol=1e-5, atol=1e-5), found, wanted)


def test_the_last_query_sees_every_key() -> None:
    q, k, v = drawn(1, 5, 2, 4), drawn(1, 5, 2, 4), drawn(1, 5, 2, 4)
    assert_allclose(attention(q[:, 3:], k, v, causal=True), attention(q, k, v, causal=True)[:, 3:], atol=1e-6)


def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient() -> None:
    q, k, v = drawn(1, 2, 1, 4), drawn(1, 3, 1, 4), drawn(1, 3, 1, 4)
    mask = jnp.array([[False] * 3, [True] * 3])[None, None]
    out, grads = jax.value_and_grad(lambda q: jnp.sum(attention(q, k, v, mask=mask) ** 2))(q)
    assert_allclose(attention(q, k, v, mask=mask)[:, 0], 0)
    assert np.isfinite(out)
    assert np.all(np.isfinite(grads))
    assert not np.any(grads[:, 0])
    assert np.all(grads[:, 1])


def test_large_logits_stay_finite_and_half_precision_sums_in_float32() -> None:
    q = jnp.full((1, 1, 1, 4), 300.0)
    assert_allclose(attention(q, jnp.concatenate([q, -q], 1), jnp.ones((1, 2, 1, 4))), 1.0)
    x = drawn(1, 64, 2, 8)
    got = attention(x.astype(jnp.bfloat16), x.astype(jnp.bfloat16), x.astype(jnp.bfloat16))
    assert got.dtype == jnp.bfloat16
    assert_allclose(got.astype(jnp.float32), attention(x, x, x), atol=0.05)  # inputs of eight bits


def test_shapes_that_do_not_go_together() -> None:
    with pytest.raises(InvalidInputError, match=r"q \(1, 2, 3, 4\), k \(1, 2, 2, 4\)"):
        attention(jnp.ones((1, 2, 3, 4)), jnp.ones((1, 2, 2, 4)), jnp.ones((1, 2, 2, 4)))
    with pytest.raises(InvalidInputError, match="batch, length, heads, size"):
        attention(jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4)))


def test_no_examples_give_none() -> None:
    x = jnp.zeros((0, 5, 4, 8))
    assert attention(x, x[:, :, :2], x[:, :, :2, :3], causal=True).shape == (0, 5, 4, 3)
