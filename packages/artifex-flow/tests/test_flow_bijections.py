"""Every bijection against its own Jacobian by automatic differentiation, and against its own inverse."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections import (
    ActNorm,
    AdditiveTransformer,
    AffineTransformer,
    Bijection,
    Chain,
    Coupling,
    Exp,
    Flatten,
    Inverse,
    LULinear,
    MaskedAutoregressive,
    Permutation,
    Planar,
    Radial,
    Rescale,
    Sigmoid,
    Softplus,
    SplineTransformer,
    Split,
    Squeeze,
    Tanh,
)
from artifex.flow.layers import within_reach

TRANSFORMERS = {
    "affine": AffineTransformer(),
    "additive": AdditiveTransformer(),
    "spline": SplineTransformer(bins=5, bound=3.0),
}
VECTOR, IMAGE = (5,), (4, 2, 4)
Made = tuple[Bijection, tuple[int, ...], int]


def makers() -> dict[str, Callable[[nnx.Rngs], Made]]:
    """Bijection, shape of an example, width of the condition."""
    table: dict[str, Callable[[nnx.Rngs], Made]] = {
        "actnorm": lambda rngs: (ActNorm(4), IMAGE, 0),
        "lu": lambda rngs: (LULinear(5, rngs=rngs), VECTOR, 0),
        "lu_random": lambda rngs: (LULinear(4, random=True, rngs=rngs), IMAGE, 0),
        "permutation": lambda rngs: (Permutation((3, 0, 4, 1, 2)), VECTOR, 0),
        "planar": lambda rngs: (Planar(5, rngs=rngs), VECTOR, 0),
        "radial": lambda rngs: (Radial(5, rngs=rngs), VECTOR, 0),
        "squeeze": lambda rngs: (Squeeze(), IMAGE, 0),
        "flatten": lambda rngs: (Flatten(IMAGE), IMAGE, 0),
        "split": lambda rngs: (Split(IMAGE, Chain([ActNorm(2), Flatten((4, 2, 2))]), aside=LULinear(4, rngs=rngs)), IMAGE, 0),
        "rescale": lambda rngs: (Rescale(0.5, 2.0), VECTOR, 0),
        "inverse": lambda rngs: (Inverse(Planar(5, rngs=rngs)), VECTOR, 0),
        "chain": lambda rngs: (Chain([Radial(5, rngs=rngs), Permutation((4, 3, 2, 1, 0)), Planar(5, rngs=rngs)]), VECTOR, 0),
        **{made.__name__.lower(): lambda rngs, made=made: (made(), VECTOR, 0) for made in (Exp, Sigmoid, Softplus, Tanh)},
    }
    for name, t in TRANSFORMERS.items():
        table[f"coupling_{name}"] = lambda rngs, t=t: (Coupling((1, 0, 0, 1, 0), t, (8,), rngs=rngs), VECTOR, 0)
        table[f"autoregressive_{name}"] = lambda rngs, t=t: (
            MaskedAutoregressive((2, 0, 1, 4, 3), t, (8, 8), rngs=rngs),
            VECTOR,
            0,
        )
    t = TRANSFORMERS["spline"]
    table["coupling_conditional"] = lambda rngs: (Coupling((1, 0, 0, 1, 0), t, (8,), n_condition=3, rngs=rngs), VECTOR, 3)
    table["autoregressive_conditional"] = lambda rngs: (
        MaskedAutoregressive((2, 0, 1, 4, 3), t, (8,), n_condition=3, rngs=rngs),
        VECTOR,
        3,
    )
    table["coupling_reach"] = lambda rngs: (
        Coupling((1, 0, 0, 1, 0), AffineTransformer(), (8,), reach=1.0, rngs=rngs),
        VECTOR,
        0,
    )
    table["autoregressive_reach"] = lambda rngs: (
        MaskedAutoregressive((2, 0, 1, 4, 3), AffineTransformer(), (8,), n_condition=3, reach=1.0, rngs=rngs),
        VECTOR,
        3,
    )
    table["autoregressive_narrow"] = lambda rngs: (MaskedAutoregressive((2, 0, 1, 4, 3), t, (2, 8), rngs=rngs), VECTOR, 0)
    return table


MAKERS = makers()
SATURATING = ("sigmoid", "tanh")
"""Far out their values have forgotten where they came from."""
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}


def examples(name: str, dtype: str) -> tuple[Bijection, jax.Array, tuple[jax.Array, ...]]:
    """A bijection with random parameters, a batch that meets every part of a spline, and its condition, if any."""
    bijection, shape, width = MAKERS[name](nnx.Rngs(0))
    rng = np.random.default_rng(1)
    move = lambda p: jnp.asarray(np.float32(p + 0.5 * rng.normal(size=p.shape)))  # noqa: E731
    nnx.update(bijection, jax.tree.map(move, nnx.state(bijection, nnx.Param)))
    x = np.float32((0.5 if name in SATURATING else 2.0) * rng.normal(size=(6, *shape)))
    condition = (np.float32(rng.normal(size=(6, width))),) if width else ()
    return in_dtype(bijection, dtype), jnp.asarray(x, dtype), tuple(jnp.asarray(c, dtype) for c in condition)


def in_dtype(bijection: Bijection, dtype: str) -> Bijection:
    graph, state = nnx.split(bijection)
    floats = lambda v: jnp.issubdtype(v.dtype, jnp.floating)  # noqa: E731
    cast = jax.tree.map(lambda v: jnp.asarray(np.asarray(v, dtype)) if floats(v) else v, state)
    return nnx.merge(graph, cast)


def there_and_back(bijection: Bijection, x: jax.Array, *condition: jax.Array) -> tuple[jax.Array, ...]:
    y, log_det = bijection.forward(x, *condition)
    return y, log_det, *bijection.inverse(y, *condition)


@pytest.mark.daily(
    "actnorm",
    "autoregressive_additive",
    "autoregressive_reach",
    "autoregressive_spline",
    "chain",
    "coupling_affine",
    "coupling_conditional",
    "coupling_spline",
    "exp",
    "flatten",
    "inverse",
    "lu",
    "permutation",
    "planar",
    "radial",
    "rescale",
    "sigmoid",
    "softplus",
    "split",
    "squeeze",
    "tanh",
)
@pytest.mark.parametrize("name", MAKERS)
def test_log_determinant_is_that_of_the_jacobian_and_inverse_undoes_forward(name: str) -> None:
    """In float64, where the Jacobian is taken, and in float32: one program of each, since the time goes into compiling."""
    with jax.enable_x64(True):
        exact, exact_x, exact_condition = examples(name, "float64")

        def one(x: jax.Array, *c: jax.Array) -> jax.Array:
            return exact.forward(x[None], *(v[None] for v in c))[0].ravel()

        @jax.jit
        def all_in_float64(x: jax.Array, *c: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
            return jax.vmap(jax.jacrev(one))(x, *c), there_and_back(exact, x, *c)

        jacobian, in_float64 = all_in_float64(exact_x, *exact_condition)
        expected = np.linalg.slogdet(np.asarray(jacobian).reshape(len(exact_x), exact_x[0].size, exact_x[0].size))[1]
        bijection, x, condition = examples(name, "float32")
        in_float32 = jax.jit(lambda x, *c: there_and_back(bijection, x, *c))(x, *condition)
        for dtype, (y, log_det, back, inverse_log_det) in {"float64": in_float64, "float32": in_float32}.items():
            assert log_det.dtype == y.dtype == dtype
            np.testing.assert_allclose(log_det, expected, rtol=0, atol=TOLERANCES[dtype])
            np.testing.assert_allclose(back, exact_x, rtol=0, atol=10 * TOLERANCES[dtype])
            np.testing.assert_allclose(inverse_log_det, -log_det, rtol=0, atol=10 * TOLERANCES[dtype])


@pytest.mark.daily("autoregressive_affine", "planar", "radial")
@pytest.mark.parametrize("name", ["autoregressive_affine", "autoregressive_conditional", "planar", "radial"])
def test_inverse_has_the_derivatives_of_an_inverse(name: str) -> None:
    with jax.enable_x64(True):
        bijection, x, condition = examples(name, "float64")
        given = tuple(c[:1] for c in condition)

        @jax.jit
        def jacobians(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            y = bijection.forward(x, *given)[0]
            there = jax.jacrev(lambda x: bijection.forward(x, *given)[0][0])(x)
            return there[:, 0], jax.jacrev(lambda y: bijection.inverse(y, *given)[0][0])(y)[:, 0]

        there, back = map(np.asarray, jacobians(x[:1]))
        np.testing.assert_allclose(back @ there, np.eye(5), atol=1e-9)


@pytest.mark.parametrize("hidden", [(), (3,), (16,), (16, 16), (2, 9)])
@pytest.mark.parametrize("width", [0, 2])
def test_every_element_depends_on_those_before_it_and_no_others(hidden: tuple[int, ...], width: int) -> None:
    order = (3, 0, 5, 1, 4, 2)
    layer = MaskedAutoregressive(order, AffineTransformer(), hidden, n_condition=width, activation="tanh", rngs=nnx.Rngs(0))
    x, condition = jax.random.normal(jax.random.key(0), (8, 6)), jax.random.normal(jax.random.key(1), (8, width))

    def one(x: jax.Array, c: jax.Array) -> jax.Array:
        return layer.forward(x[None], c[None] if width else None)[0][0]

    by_x, by_condition = jax.jit(jax.vmap(jax.jacrev(one, argnums=(0, 1))))(x, condition)
    places = np.array(order)
    np.testing.assert_array_equal(np.any(np.asarray(by_x) != 0, axis=0), places[None] <= places[:, None])
    assert np.all(np.any(np.asarray(by_condition) != 0, axis=0))


def test_the_first_batch_leaves_actnorm_with_mean_zero_and_variance_one() -> None:
    layer = ActNorm(3)
    x = jax.random.normal(jax.random.key(0), (16, 4, 4, 3)) * jnp.array([1.0, 5.0, 0.1]).reshape(1, 1, 1, 3) + 2.0
    layer.initialize(x)
    y, _ = layer.forward(x)
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1.0, atol=1e-5)


def test_a_map_onto_an_interval_gives_no_density_outside_it() -> None:
    y = jnp.array([[0.5], [0.0], [1.5], [-3.0]])
    x, log_det = Sigmoid().inverse(y)
    assert np.all(np.isfinite(x))
    np.testing.assert_array_equal(np.isneginf(log_det), [False, True, True, True])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Permutation((0, 0, 1)), "every number from 0 to 2"),
        (lambda: Coupling((1, 1), AffineTransformer(), (4,), rngs=nnx.Rngs(0)), "some have to be transformed"),
        (lambda: MaskedAutoregressive((0, 2), AffineTransformer(), (4,), rngs=nnx.Rngs(0)), "places 0 to 1"),
        (lambda: SplineTransformer(bins=1), "at least 2 bins"),
        (lambda: Squeeze().forward(jnp.zeros((1, 3, 4, 1))), "3 x 4"),
        (lambda: Rescale(0.0, -1.0), "positive"),
    ],
)
def test_bad_input_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        make()


def test_what_networks_see_is_smooth_and_monotone_and_plain_within_reach() -> None:
    """``r + m e / (m + e)`` of ``e = |x| - r`` has the slope ``m^2 / (m + e)^2``, one at ``e = 0``: no jump; here ``m = 2``."""
    x = jnp.linspace(-50.0, 50.0, 20_001)
    seen = within_reach(x, 6.0)
    slope = jax.jit(jax.vmap(jax.grad(lambda x: within_reach(x, 6.0))))(x)
    np.testing.assert_array_equal(jnp.where(jnp.abs(x) <= 6, seen - x, 0), 0)
    assert np.all(np.diff(seen) > 0)
    beyond = np.maximum(np.abs(x) - 6, 0)
    np.testing.assert_allclose(slope, 4 / (2 + beyond) ** 2, rtol=1e-5)
    np.testing.assert_allclose(seen, np.sign(x) * (np.minimum(np.abs(x), 6) + 2 * beyond / (2 + beyond)), rtol=1e-6)
    assert within_reach(jnp.float32(3e38), 6.0) == 8
    curvature = jax.jit(jax.vmap(jax.grad(jax.grad(lambda x: within_reach(x, 6.0)))))
    np.testing.assert_allclose(curvature(jnp.array([5.0, 6.0, 8.0, -8.0])), [0, 0, -0.125, 0.125], rtol=1e-6)


@pytest.mark.parametrize("kind", ["coupling", "autoregressive"])
def test_a_reach_changes_nothing_within_it(kind: str) -> None:
    """The same weights with and without: equal where all elements are within reach, and another bijection beyond."""

    def layer(reach: float | None) -> Bijection:
        sizes = {"hidden_dims": (8,), "activation": "tanh", "reach": reach, "rngs": nnx.Rngs(0)}
        if kind == "coupling":
            made = Coupling((True, False, True), AffineTransformer(), **sizes)
        else:
            made = MaskedAutoregressive((1, 2, 0), AffineTransformer(), **sizes)
        params = nnx.state(made, nnx.Param)
        nnx.update(made, jax.tree.map(lambda p: p + np.sin(np.arange(p.size, dtype=np.float32)).reshape(p.shape), params))
        return made

    x = 2.5 * jax.random.normal(jax.random.key(0), (64, 3))
    near = np.all(np.abs(x) <= 3, axis=1)
    assert 10 < near.sum() < 54
    bounded, free = layer(3.0), layer(None)
    (y, log_det), (expected, expected_log_det) = (jax.jit(layer.forward)(x) for layer in (bounded, free))
    np.testing.assert_array_equal(y[near], expected[near])
    np.testing.assert_array_equal(log_det[near], expected_log_det[near])
    assert np.any(y[~near] != expected[~near])
    np.testing.assert_allclose(jax.jit(bounded.inverse)(y)[0], x, rtol=0, atol=1e-4)
