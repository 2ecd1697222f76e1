"""Parameters that are trained no more."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import Frozen, freeze


class Tied(nnx.Module):
    """One array under two names, and arrays in a list."""

    def __init__(self):
        shared = nnx.Param(jnp.arange(4.0), logical_axes=("vocab",))
        self.embedding, self.head = nnx.Dict(weight=shared), nnx.Dict(weight=shared)
        self.scales = nnx.List([nnx.Param(jnp.ones(2)), nnx.BatchStat(jnp.zeros(2))])


def test_values_metadata_and_ties_stay():
    model = freeze(Tied())
    assert model.embedding.weight is model.head.weight
    assert isinstance(model.head.weight, Frozen)
    assert model.head.weight.get_metadata()["logical_axes"] == ("vocab",)
    np.testing.assert_array_equal(model.head.weight[...], np.arange(4.0))
    assert [type(v) for v in model.scales] == [Frozen, nnx.BatchStat]


def test_no_gradient_is_taken_and_none_is_left_out():
    model = nnx.Sequential(freeze(nnx.Linear(2, 3, rngs=nnx.Rngs(0))), nnx.Linear(3, 1, rngs=nnx.Rngs(1)))
    gradients = nnx.grad(lambda m: m(jnp.ones((4, 2))).sum())(model)
    assert {tuple(map(str, path[:2])) for path, _ in nnx.to_flat_state(gradients)} == {("layers", "1")}


def test_an_abstract_model_is_frozen_as_a_real_one():
    abstract = nnx.eval_shape(lambda: freeze(Tied()))
    assert jax.tree.structure(nnx.state(abstract)) == jax.tree.structure(nnx.state(freeze(Tied())))
