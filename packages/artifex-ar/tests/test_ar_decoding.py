"""What reshapes logits, against NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from artifex.ar import decoding


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 3, 11)).astype(np.float32) * 2


def kept(made: jax.Array, logits: np.ndarray) -> np.ndarray:
    """Which tokens stay; those that do keep their logits."""
    stays = np.isfinite(np.asarray(made))
    assert_array_equal(np.asarray(made)[stays], logits[stays])
    return stays


@pytest.mark.parametrize("k", [1, 4, 11, 50])
def test_top_k_keeps_the_likeliest(logits: np.ndarray, k: int):
    rank = np.argsort(np.argsort(-logits, axis=-1), axis=-1)
    assert_array_equal(kept(decoding.top_k(jnp.asarray(logits), k), logits), rank < k)


@pytest.mark.parametrize("p", [1e-6, 0.3, 0.9, 1.0])
def test_top_p_keeps_the_fewest_that_reach_it(logits: np.ndarray, p: float):
    stays = kept(decoding.top_p(jnp.asarray(logits), p), logits)
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    for row, keep in zip(probabilities.reshape(-1, 11), stays.reshape(-1, 11), strict=True):
        assert row[keep].sum() >= p - 1e-6
        assert keep.sum() == 1 or row[keep].sum() - row[keep].min() < p
        assert keep.all() or row[keep].min() > row[~keep].max()


@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
def test_min_p_keeps_what_is_near_the_likeliest(logits: np.ndarray, p: float):
    ratio = np.exp(logits - logits.max(axis=-1, keepdims=True))
    assert_array_equal(kept(decoding.min_p(jnp.asarray(logits), p), logits), ratio >= p)


def test_the_loop_ends_when_every_row_has():
    """Each row counts up; they stop at 3 and at 5, and nothing is computed after that."""
    steps = []

    def step(cache, token, i):
        jax.debug.callback(lambda i: steps.append(int(i)), i)
        return cache, jax.nn.one_hot(token + 1, 10)

    made = decoding.decode(
        jax.nn.one_hot(jnp.array([1, 2]), 10),
        step,
        (),
        lambda logits, key: jnp.argmax(logits, axis=-1),
        n_tokens=8,
        stop_tokens=(3, 5),
        fill_token=9,
        key=jax.random.key(0),
    )
    jax.effects_barrier()
    assert_array_equal(made, [[1, 2, 3, 9, 9, 9, 9, 9], [2, 3, 9, 9, 9, 9, 9, 9]])
    assert sorted(steps) == [0, 1]
