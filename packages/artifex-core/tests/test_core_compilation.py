"""Compiled methods: one trace, the eager numbers, fresh draws, an untouched model."""

import re
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from artifex.core.compilation import compiled_method, convolution_options, draw_key
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn.convolution import conv

TRACES = {"generate": 0, "log_prob": 0}


class Walk(nnx.Module):
    """A random walk of learned scale, a counter of calls and a batch norm: state that sampling must leave alone."""

    def __init__(self, width=2, *, rngs, keep=True):
        self.width = width
        self.scale = nnx.Param(jnp.linspace(1.0, 2.0, width))
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        if keep:
            self.rngs = rngs

    @compiled_method(static=("n_samples", "n_steps"))
    def generate(
        self, n_samples: int = 1, *, n_steps: int = 3, temperature: float = 1.0, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        TRACES["generate"] += 1

        def step(x, key):
            return x + temperature * self.scale[None] * jax.random.normal(key, x.shape), None

        x, _ = jax.lax.scan(step, jnp.zeros((n_samples, self.width)), jax.random.split(rngs.sample(), n_steps))
        return self.norm(x) * 0 + x

    @compiled_method()
    def log_prob(self, x: jax.Array) -> jax.Array:
        TRACES["log_prob"] += 1
        return jnp.sum(jax.scipy.stats.norm.logpdf(x, 0.0, self.scale[None]), axis=-1)


@pytest.fixture
def model():
    TRACES.update(generate=0, log_prob=0)
    jax.clear_caches()
    return Walk(rngs=nnx.Rngs(0))


def test_traced_once_for_equal_shapes(model):
    for temperature in (0.1, 0.2, 0.3):
        model.generate(4, temperature=temperature)
        model.generate(n_samples=4, n_steps=3, temperature=temperature, rngs=nnx.Rngs(1))
    Walk(rngs=nnx.Rngs(7)).generate(4, temperature=0.5)  # another model of the same structure
    assert TRACES["generate"] == 1
    model.generate(5)
    model.generate(4, n_steps=4)
    assert TRACES["generate"] == 3
    for _ in range(2):
        model.log_prob(jnp.ones((3, 2)))
    assert TRACES["log_prob"] == 1


def test_equals_the_eager_method(model):
    key = nnx.Rngs(3).sample()
    eager = Walk.generate.__wrapped__(model, 4, temperature=0.5, rngs=nnx.Rngs(key))
    np.testing.assert_allclose(model.generate(4, temperature=0.5, rngs=nnx.Rngs(3)), eager, rtol=1e-6, atol=1e-6)
    x = jnp.ones((3, 2))
    np.testing.assert_allclose(model.log_prob(x), Walk.log_prob.__wrapped__(model, x), rtol=1e-6)


def test_draws(model):
    assert not np.array_equal(model.generate(4), model.generate(4))
    np.testing.assert_array_equal(model.generate(4, rngs=nnx.Rngs(5)), model.generate(4, rngs=nnx.Rngs(5)))
    np.testing.assert_array_equal(Walk(rngs=nnx.Rngs(0)).generate(4), Walk(rngs=nnx.Rngs(0)).generate(4))
    caller = nnx.Rngs(5)
    first = model.generate(4, rngs=caller)
    assert int(caller.default.count[...]) == 1
    assert not np.array_equal(first, model.generate(4, rngs=caller))
    named = nnx.Rngs(0, sample=9)
    model.generate(rngs=named)
    assert (int(named.sample.count[...]), int(named.default.count[...])) == (1, 0)


def test_sampling_leaves_the_model_as_it_was(model):
    model.train()
    before = jax.tree.map(jnp.copy, nnx.as_pure(nnx.state(model, nnx.Not(nnx.RngState))))
    model.generate(4)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.as_pure(nnx.state(model, nnx.Not(nnx.RngState))))


def test_within_jit_grad_and_vmap(model):
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    x = jnp.array([[0.5, -1.0], [2.0, 0.3]])

    def total(params):
        return jnp.sum(nnx.merge(graph, params, rest).log_prob(x))

    gradient = nnx.as_pure(jax.jit(jax.grad(total))(params))["scale"]
    scale = np.asarray(model.scale[...])
    np.testing.assert_allclose(gradient, np.sum(np.asarray(x) ** 2 / scale**3 - 1 / scale, axis=0), rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(model.log_prob)(x[:, None])[:, 0], model.log_prob(x), rtol=1e-6)
    keys = jax.random.split(jax.random.key(0), 3)
    many = jax.vmap(lambda key: model.generate(2, rngs=nnx.Rngs(key)))(keys)
    for sample, key in zip(many, keys, strict=True):
        np.testing.assert_allclose(sample, model.generate(2, rngs=nnx.Rngs(key)), rtol=1e-6, atol=1e-6)
    inner = nnx.jit(lambda model: model.generate(2))(model)  # the streams of the merged copy advance, as nnx.jit hands back
    assert inner.shape == (2, 2)


def test_follows_a_sharded_state():
    mesh = jax.make_mesh((8,), ("tensor",), axis_types=(AxisType.Auto,))
    model = Walk(16, rngs=nnx.Rngs(0))
    alone = model.generate(4, rngs=nnx.Rngs(2)), model.log_prob(jnp.ones((3, 16)))
    model.scale[...] = jax.device_put(model.scale[...], NamedSharding(mesh, PartitionSpec("tensor")))
    spread = model.generate(4, rngs=nnx.Rngs(2)), model.log_prob(jnp.ones((3, 16)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), spread, alone)


def test_errors(model):
    with pytest.raises(InvalidTypeError, match="hashable"):
        model.generate([4])
    with pytest.raises(InvalidTypeError, match=r"nnx\.Rngs\(sample=key\)"):
        model.generate(rngs=jax.random.key(0))
    with pytest.raises(InvalidInputError, match="Walk keeps no streams"):
        Walk(rngs=nnx.Rngs(0), keep=False).generate()
    with pytest.raises(InvalidInputError, match="only params"):
        model.generate(rngs=nnx.Rngs(params=0))
    with pytest.raises(TypeError, match="n_sample"):
        compiled_method(static=("n_sample",))(lambda self, n_samples: None)
    with pytest.raises(TypeError, match="colour"):
        model.generate(colour=1)


def test_a_model_made_from_a_params_stream_alone_draws_from_what_it_keeps_of_it():
    model = Walk(rngs=nnx.Rngs(params=3))
    coming = nnx.clone(model).rngs.params
    assert [draw_key(model, None) == coming() for _ in range(3)] == [True] * 3
    assert not jnp.array_equal(model.generate(2), model.generate(2))


def test_draw_key_of_another_stream(model):
    rngs = nnx.Rngs(dropout=1)
    assert jnp.array_equal(draw_key(model, rngs, "dropout"), nnx.Rngs(dropout=1).dropout())


def test_threads_that_draw_from_one_model_draw_different_keys(model):
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: draw_key(model, None), range(400)))
    assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys}) == 400


def test_options_of_convolutions_are_for_the_cpu_of_jax_0_10_alone():
    assert convolution_options("cpu", (0, 10, 2)) is not None
    assert [convolution_options(platform, (0, 10, 2)) for platform in ("cuda", "tpu")] == [None, None]
    assert convolution_options("cpu", (0, 12, 0)) is None


def test_a_method_is_compiled_with_the_options_unless_it_is_part_of_something_else(monkeypatch):
    monkeypatch.setattr("artifex.core.compilation.convolution_options", lambda platform: {"no_such_option": platform})

    class Model(nnx.Module):
        @compiled_method()
        def twice(self, x):
            return 2 * x

    model = Model()
    assert jax.jit(model.twice)(1.0) == 2
    assert jax.grad(model.twice)(1.0) == 2
    assert jnp.array_equal(jax.vmap(model.twice)(jnp.ones(3)), 2 * jnp.ones(3))
    assert jax.jvp(model.twice, (1.0,), (3.0,))[1] == 6
    assert jax.eval_shape(model.twice, 1.0).shape == ()
    with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option"):
        model.twice(1.0)


def test_a_convolution_under_the_options_is_the_same_function():
    """XLA accepts them and leaves a convolution to itself; values and gradients, odd sizes and strides too."""
    for sizes, channels, outputs, stride in [((7, 5), 20, 17, 1), ((8, 9), 17, 20, 2)]:
        keys = jax.random.split(jax.random.key(0))
        x, kernel = (
            jax.random.normal(keys[0], (3, *sizes, channels)),
            jax.random.normal(keys[1], (3, 3, channels, outputs)) / 13,
        )

        def value(x, kernel, stride=stride):
            return jnp.sum(jnp.sin(conv(x, kernel, stride)))

        step = jax.value_and_grad(value, (0, 1))
        optioned = jax.jit(step, compiler_options=convolution_options("cpu")).lower(x, kernel).compile()
        if jax.__version_info__[:2] == (0, 10):
            assert "ynn_fusion" in jax.jit(conv).lower(x, kernel).compile().as_text()
            assert "conv_general_dilated" in optioned.as_text()
            assert not re.search(r"ynn_fusion.*conv_general_dilated", optioned.as_text())
        # float32, sums of at most 9 * 20 products of order one, and of 3 * 72 of those in the kernel's gradient
        for found, wanted in zip(jax.tree.leaves(optioned(x, kernel)), jax.tree.leaves(jax.jit(step)(x, kernel)), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-5)
