"""Modules as pure functions, differentiated inside other gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.errors import TraceContextError

from artifex.core.errors import InvalidTypeError
from artifex.core.pure import functional


class Layers(nnx.Module):
    """Draws, and keeps running averages."""

    def __init__(self, rngs):
        self.up, self.down = nnx.Linear(3, 16, rngs=rngs), nnx.Linear(16, 1, rngs=rngs)
        self.norm, self.dropout = nnx.BatchNorm(16, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.down(self.dropout(jnp.tanh(self.norm(self.up(x)))))

    def energy(self, x, scale=1.0):
        return scale * self(x)[:, 0]


X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)


def test_the_literal_form_is_what_flax_refuses():
    model = Layers(nnx.Rngs(0))
    with pytest.raises(TraceContextError):
        jax.grad(lambda x: model(x).sum())(X)


def test_a_module_is_differentiated_and_changes_nothing_but_its_streams():
    model = Layers(nnx.Rngs(0))
    before = model.norm.mean[...].copy()
    call = functional(model)
    assert jax.grad(lambda x: call(x).sum())(X).shape == X.shape
    assert jax.vmap(jax.grad(lambda x: call(x[None]).sum()))(X).shape == X.shape
    np.testing.assert_array_equal(model.norm.mean[...], before)


def test_one_function_draws_one_noise_and_the_next_another():
    model, twin = Layers(nnx.Rngs(0)), Layers(nnx.Rngs(0))
    one, other = functional(model), functional(model)
    np.testing.assert_array_equal(one(X), one(X))
    assert not np.array_equal(one(X), other(X))
    assert not np.array_equal(one(X), model(X))
    np.testing.assert_array_equal(one(X), functional(twin)(X))


def test_methods_take_their_arguments():
    model = nnx.view(Layers(nnx.Rngs(0)), deterministic=True, use_running_average=True)
    np.testing.assert_allclose(functional(model.energy)(X, scale=2.0), 2 * model(X)[:, 0], rtol=1e-6)


def test_streams_of_several_keys_are_each_drawn_from():
    stream = nnx.Rngs(noise=0).noise.split(3)
    keys = stream.key[...]

    class Holder(nnx.Module):
        def __init__(self):
            self.stream = stream

        def __call__(self):
            return jax.random.key_data(self.stream.key[...])

    made = functional(Holder())
    expected = jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys)
    np.testing.assert_array_equal(made(), jax.random.key_data(expected))


def test_second_order_gradients_reach_the_parameters():
    r"""For ``f(x) = a . tanh(W x)`` the slope is :math:`W^T (a (1 - \tanh^2))`; its square's gradient against differences."""
    graph, params, others = nnx.split(Layers(nnx.Rngs(0)), nnx.Param, ...)
    params, others = nnx.as_pure(params), nnx.as_pure(others)

    @jax.jit
    def penalty(params):
        model = nnx.merge(graph, params, others)
        call = functional(model)
        return jnp.mean(jnp.sum(jax.grad(lambda x: call(x).sum())(X) ** 2, axis=-1))

    gradient = jax.grad(penalty)(params)
    direction = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)
    step = 1e-2
    ahead, behind = (penalty(jax.tree.map(lambda p, d, s=sign * step: p + s * d, params, direction)) for sign in (1, -1))
    slope = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
    # central differences: the step squared, times a third derivative of about the slope's own size
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-2)


def test_only_modules_are_taken():
    with pytest.raises(InvalidTypeError, match="takes a module or a bound method of one, got function"):
        functional(lambda x: x)
