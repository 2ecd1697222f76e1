"""Where formulas, types and structures end: far out, at bounds, in half precision, after saving; and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from artifex.core import create_model
from artifex.core.errors import InvalidInputError
from artifex.core.storage import load_model, save_model
from artifex.flow import (
    ContinuousFlowConfig,
    Flow,
    FlowMatchingConfig,
    IAFConfig,
    MAFConfig,
    NeuralSplineFlowConfig,
    RealNVPConfig,
    StudentT,
    StudentTConfig,
    UniformConfig,
)
from artifex.flow.bijections import (
    AffineTransformer,
    Coupling,
    MaskedAutoregressive,
    Permutation,
    Planar,
    Radial,
    SplineTransformer,
    Standardize,
)
from artifex.flow.bijections.affine import soft_clip
from artifex.flow.bijections.spline import _knots, find_bin

SMALL = {"input_dim": 3, "num_transforms": 2, "hidden_dims": (8,)}
CONFIGS = {
    "maf": MAFConfig(**SMALL),
    "iaf": IAFConfig(**SMALL),
    "nsf": NeuralSplineFlowConfig(**SMALL, bins=4),
    "nsf_coupling": NeuralSplineFlowConfig(**SMALL, bins=4, layer="coupling"),
    "real_nvp": RealNVPConfig(input_dim=3, num_coupling_layers=2, coupling_network={"hidden_dims": (8,)}),
}


def moved(config, by: float = 0.5) -> Flow:
    """A flow away from its start."""
    model = create_model(config, rngs=nnx.Rngs(0))
    noise = np.random.default_rng(1)
    move = lambda p: (p + by * noise.normal(size=p.shape)).astype(p.dtype)  # noqa: E731
    nnx.update(model, jax.tree.map(move, nnx.state(model, nnx.Param)))
    return model


@pytest.mark.parametrize("config", [CONFIGS["maf"], CONFIGS["nsf_coupling"]])
def test_a_flow_of_random_orders_comes_back_from_disk_as_the_same_density(config, tmp_path) -> None:
    model = moved(config.replace(input_dim=6, ordering="random", ordering_seed=3))
    loaded = load_model(save_model(model, tmp_path), rngs=nnx.Rngs(9))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)), jnp.float32)
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))


def test_random_orders_differ_between_layers_and_seeds_and_need_no_values() -> None:
    config = MAFConfig(input_dim=8, num_transforms=3, ordering="random")
    orders = {made.order_of(i) for made in (config, config.replace(ordering_seed=1)) for i in range(3)}
    assert len(orders) == 6
    abstract = nnx.eval_shape(lambda: create_model(config, rngs=nnx.Rngs(0)))
    assert [layer.network.order for layer in abstract.bijection.bijections] == [config.order_of(i) for i in range(3)]


def test_a_flow_of_given_orders_has_their_dependences() -> None:
    orders = ((2, 0, 1), (2, 0, 1))
    model = moved(MAFConfig(**SMALL, activation="tanh", ordering=[list(order) for order in orders]))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    jacobian = jax.jit(jax.vmap(jax.jacfwd(lambda x: model.bijection.forward(x[None])[0][0])))(x)
    places = np.array(orders[0])
    np.testing.assert_array_equal(np.any(np.asarray(jacobian) != 0, axis=0), places[None] <= places[:, None])


@pytest.mark.parametrize("seed", range(10))
def test_random_coupling_layers_touch_every_element(seed: int) -> None:
    config = NeuralSplineFlowConfig(
        input_dim=5, num_transforms=2, hidden_dims=(), layer="coupling", ordering="random", ordering_seed=seed
    )
    model = nnx.eval_shape(lambda: create_model(config, rngs=nnx.Rngs(0)))
    passes = np.array([layer.mask for layer in model.bijection.bijections])
    assert not np.any(np.all(passes, axis=0))


@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_a_spline_stays_within_its_bound(way: str) -> None:
    rng = np.random.default_rng(0)
    parameters = jnp.asarray(3 * rng.normal(size=(200, 23, 50)), jnp.float32)
    x = jnp.asarray(5 - np.abs(rng.normal(size=(200, 50))) * 1e-6, jnp.float32)
    y, _ = jax.jit(getattr(SplineTransformer(), way))(x, parameters)
    assert float(jnp.max(y)) <= 5.0


@pytest.mark.parametrize("bins", [2, 3, 8, 11])
def test_knots_lose_less_to_rounding_than_a_running_sum_from_one_end(bins: int) -> None:
    """A round trip through a flow stretches what knots lose; the same weights, summed from one end, lose more."""
    spline = SplineTransformer(bins=bins)
    free = 3 * np.random.default_rng(0).normal(size=(bins, 20_000)).astype(np.float32)

    def running(weights: np.ndarray) -> np.ndarray:
        shares = weights * (2 * spline.bound / np.sum(weights, axis=0))
        return np.cumsum(np.concatenate([np.full_like(weights[:1], -spline.bound), shares[:-1]]), axis=0)

    upper, _ = spline.limits
    found, factor = _knots([jnp.asarray(row) for row in free], upper / 2, spline.bound)
    weights = np.exp(np.asarray(soft_clip(jnp.asarray(free), upper / 2), np.float64))
    exact = running(weights)
    np.testing.assert_allclose(factor, 2 * spline.bound / weights.sum(axis=0), rtol=1e-6)
    lost = np.abs(np.stack(found)[1:-1] - exact[1:])
    assert np.all(np.abs(np.stack(found)[[0, -1]]) == spline.bound)
    assert np.max(lost) < 8 * 2**-24 * spline.bound  # of exponentials, sums and a product; from one end 8 bins lose 8.6
    if bins > 3:
        plain = running(np.asarray(jnp.exp(soft_clip(jnp.asarray(free), upper / 2))))
        assert np.mean(lost) < 0.7 * np.mean(np.abs(plain[1:] - exact[1:]))


@pytest.mark.parametrize("by_y", [False, True])
@pytest.mark.parametrize("bins", [2, 3, 8])
def test_the_derivative_that_is_written_out_is_that_of_automatic_differentiation(bins: int, by_y: bool) -> None:
    with jax.enable_x64(True):
        spline = SplineTransformer(bins=bins, min_slope=0.5, max_slope=8.0)
        rng = np.random.default_rng(0)
        at = jnp.asarray(rng.uniform(-5, 5, 200))
        parameters, moves = (jnp.asarray(rng.normal(size=(spline.n_parameters, 200))) for _ in range(2))
        ours = jax.jvp(lambda p: find_bin(spline, by_y, at, p), [parameters], [moves])[1]
        expected = jax.jvp(lambda p: find_bin.fun(spline, by_y, at, p), [parameters], [moves])[1]
        for name, a, b in zip(ours._fields, ours, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-13, err_msg=name)


@pytest.mark.nightly
def test_steep_bins_between_flat_knots_are_inverted_to_numbers() -> None:
    """A point rounded beyond its bin gave the logarithm of a negative number in one of five thousand."""
    spline = SplineTransformer()
    rng = np.random.default_rng(0)
    parameters = jnp.asarray(30 * rng.normal(size=(spline.n_parameters, 50_000)), jnp.float32)  # ten such points
    y = jnp.asarray(rng.uniform(-5, 5, 50_000), jnp.float32)
    single, double = _both(spline.inverse, y, parameters)
    assert np.all(np.isfinite(single))
    assert np.all(np.isfinite(double))


def _both(way: Callable, x: jax.Array, parameters: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points and log derivatives as they come where derivatives are taken, and where not."""
    taken, _ = jax.jit(lambda x: jax.jvp(lambda x: way(x, parameters), [x], [x]))(x)
    return jnp.stack(taken), jnp.stack(jax.jit(way)(x, parameters))


@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_a_spline_rounds_once_where_no_derivatives_are_taken(way: str) -> None:
    """Its numbers are those of float64, rounded; where derivatives are taken they are off by some tens of roundings more."""
    spline = SplineTransformer()
    rng = np.random.default_rng(0)
    x, parameters = (a.astype(np.float32) for a in (rng.uniform(-5, 5, (20_000,)), 2 * rng.normal(size=(23, 20_000))))
    single, double = _both(getattr(spline, way), jnp.asarray(x), jnp.asarray(parameters))
    with jax.enable_x64(True):
        exact = np.stack(jax.jit(getattr(spline, way))(jnp.asarray(x, jnp.float64), jnp.asarray(parameters, jnp.float64)))
    assert double.dtype == jnp.float32
    np.testing.assert_array_equal(double, exact.astype(np.float32))
    np.testing.assert_allclose(single[0], exact[0], atol=2e-3)
    assert np.quantile(np.abs(single[0] - exact[0]), 0.9) > 4 * np.quantile(np.abs(double[0] - exact[0]), 0.9)


@pytest.mark.nightly
def test_a_spline_takes_points_and_parameters_of_different_types() -> None:
    """Points in float32 and parameters in float64: one type comes out, whether derivatives are taken or not."""
    with jax.enable_x64(True):
        x, parameters = jnp.ones(3, jnp.float32), jnp.ones((23, 3), jnp.float64)
        forward = SplineTransformer().forward
        assert forward(x, parameters)[0].dtype == jax.jvp(lambda p: forward(x, p)[0], [parameters], [parameters])[0].dtype
        assert jax.grad(jax.jit(lambda p: forward(x, p)[0].sum()))(parameters).dtype == jnp.float64
    np.testing.assert_allclose(forward(0.3, jnp.zeros((23, 1)))[0], 0.3, rtol=1e-6)


@pytest.mark.nightly
@pytest.mark.parametrize("layer", ["autoregressive", "coupling"])
def test_training_computes_in_float32(layer: str) -> None:
    """Where derivatives are taken, and with them in a step of training, no number is of float64."""
    model = create_model(NeuralSplineFlowConfig(input_dim=2, num_transforms=2, layer=layer), rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params: nnx.State, x: jax.Array) -> jax.Array:
        return -jnp.mean(nnx.merge(graph, params, rest).log_prob(x))

    x = jnp.zeros((4, 2))
    assert "f64" not in jax.jit(jax.grad(loss)).lower(params, x).as_text()
    assert "f64" in jax.jit(loss).lower(params, x).as_text()


def test_a_spline_keeps_to_its_slopes() -> None:
    """Between ``m`` and ``M`` at the knots, whatever the parameters; heights differ by a factor ``m``, widths by ``1 / M``."""
    spline = SplineTransformer(bins=4, min_slope=0.5, max_slope=8.0)
    parameters = jnp.asarray([100.0, -100, 100, 100, -100, 100, 100, 100, 1e9, -1e9, 0])[:, None]
    part = find_bin(spline, False, jnp.array([-4.9]), parameters)
    np.testing.assert_allclose(part.log_d1, np.log(8), rtol=1e-5)
    np.testing.assert_allclose((part.x1 - part.x0) * (3 + 1 / 8) / 10, 1, rtol=0.05)  # three wide and one narrow
    np.testing.assert_allclose((part.y1 - part.y0) * (1 + 3 / 0.5) / 10, 1, rtol=0.05)  # one low and three high
    np.testing.assert_allclose(find_bin(spline, False, jnp.array([1.0]), parameters).log_d0, np.log(0.5), rtol=1e-5)


@pytest.mark.parametrize("far", [1e19, -1e30, 3e38])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_overflows_has_density_zero(name: str, far: float) -> None:
    log_prob = moved(CONFIGS[name]).log_prob(jnp.full((1, 3), far))
    assert not np.any(np.isnan(log_prob))


def test_parameters_that_are_no_numbers_are_not_hidden() -> None:
    model = moved(CONFIGS["real_nvp"])
    model.bijection.bijections[0].network.layers[0].kernel[...] *= jnp.nan
    assert np.isnan(model.log_prob(jnp.ones((1, 3)))).all()


def test_far_out_a_planar_map_has_a_gradient() -> None:
    layer = Planar(2, rngs=nnx.Rngs(0))
    layer.w[...] = jnp.ones(2)
    gradient = jax.grad(lambda x: layer.forward(x)[1].sum())(jnp.array([[50.0, 50.0], [-300.0, 50.0], [0.3, 0.0]]))
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient[2])


def test_a_radial_map_that_nearly_collapses_keeps_its_determinant() -> None:
    with jax.enable_x64(True):
        layers = [Radial(2, param_dtype=dtype, rngs=nnx.Rngs(0)) for dtype in ("float32", "float64")]
        found = []
        for layer, dtype in zip(layers, ("float32", "float64"), strict=True):
            layer.b[...], layer.center[...] = jnp.asarray(-20.0, dtype), jnp.zeros(2, dtype)  # all but 2e-9 is taken away
            x = jnp.array([[0.0, 0.0], [1e-9, 0.0], [1e-3, 0.0], [1e6, 0.0]], dtype)
            found.append(np.asarray(layer.forward(x)[1], np.float64))
    # at the centre the map is a scaling by log(1 + e^b) in both directions
    np.testing.assert_allclose(found[1][0], 2 * np.log(np.log1p(np.exp(-20.0))), rtol=1e-12)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("df", [0.5, 19.9, 20.1, 1e3, 1e5, 1e7])
def test_student_t_of_many_degrees_of_freedom(df: float) -> None:
    x = np.array([[0.0], [0.5], [3.0], [-40.0]])
    base = StudentT(StudentTConfig(degrees_of_freedom=df), (1,), rngs=nnx.Rngs(0))
    expected = scipy.stats.t.logpdf(x, df)[:, 0]
    np.testing.assert_allclose(base.log_prob(jnp.asarray(x, jnp.float32)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["iaf", "nsf_coupling"])
def test_inputs_in_half_precision_are_worked_on_in_float32(name: str) -> None:
    model, x = moved(CONFIGS[name], by=0.1), jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.bfloat16)
    np.testing.assert_array_equal(model.log_prob(x), model.log_prob(x.astype(jnp.float32)))


@pytest.mark.daily("iaf", "maf")
@pytest.mark.parametrize("name", CONFIGS)
def test_half_precision_is_for_networks(name: str) -> None:
    half = create_model(CONFIGS[name].replace(dtype="bfloat16", param_dtype="bfloat16"), rngs=nnx.Rngs(0))
    assert {p.dtype for p in jax.tree.leaves(nnx.state(half, nnx.Param))} == {jnp.dtype("bfloat16")}
    graph, state = nnx.split(half)
    x = jnp.zeros((4, 3))
    jaxpr = jax.make_jaxpr(lambda state, x: nnx.merge(graph, state).bijection.forward(x))(nnx.as_pure(state), x)
    products = [line for line in str(jaxpr).splitlines() if "dot_general" in line]
    assert products
    assert all("bf16" in line.split("=")[0] for line in products)
    for made in (half.forward, half.inverse, half.log_prob):
        assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(made, x.astype(jnp.bfloat16)))} == {jnp.dtype("float32")}


def test_networks_in_half_precision_are_inverted() -> None:
    half = create_model(CONFIGS["iaf"].replace(dtype="bfloat16"), rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    np.testing.assert_allclose(half.inverse(half.forward(x)[0])[0], x, atol=0.02)  # the networks round to a part in 256


def test_a_condition_may_be_a_list_and_has_to_be_of_floats() -> None:
    model = moved(MAFConfig(**SMALL, condition_dim=2))
    x = jnp.zeros((1, 3))
    np.testing.assert_array_equal(
        model.log_prob(x, condition=[[1.0, 2.0]]), model.log_prob(x, condition=jnp.array([[1.0, 2.0]]))
    )
    with pytest.raises(InvalidInputError, match="one-hot"):
        model.log_prob(x, condition=jnp.array([[1, 2]]))
    with pytest.raises(InvalidInputError, match=r"condition\[None\]"):
        model.log_prob(x, condition=jnp.array([1.0, 2.0]))
    with pytest.raises(InvalidInputError, match=r"shape \(\), expected"):
        model.sample(3, condition=1.0)
    with pytest.raises(InvalidInputError, match=r"2\.5"):
        model.sample(2.5, condition=jnp.ones((1, 2)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Permutation((0.2, 1.7)), "every number from 0 to 1"),
        (lambda: Permutation((1, 0)).forward(jnp.ones((1, 3))), "expected 2 elements"),
        (lambda: Coupling((1, 0), AffineTransformer(), (), rngs=nnx.Rngs(0)).forward(jnp.ones((1, 3))), "expected 2 elements"),
        (
            lambda: MaskedAutoregressive((1, 0), AffineTransformer(), (), rngs=nnx.Rngs(0)).inverse(jnp.ones((1, 3))),
            "expected 2 elements",
        ),
        (lambda: MaskedAutoregressive((0.2, 1.7), AffineTransformer(), (), rngs=nnx.Rngs(0)), "places 0 to 1"),
        (lambda: AffineTransformer(min_scale=2.0), "between 0 and 1"),
        (lambda: AffineTransformer(max_scale=1.0), "a finite number above 1"),
        (lambda: SplineTransformer(bound=float("inf")), "finite bound"),
        (lambda: SplineTransformer(min_slope=1e-8), "bins vanish"),
        (lambda: SplineTransformer(max_slope=0.5), "slopes from 1e-6 to below 1"),
        (lambda: Standardize((2,)).initialize(jnp.ones((1, 2))), "at least two"),
        (lambda: Standardize((2,)).initialize(jnp.array([[1.0, 2.0], [jnp.nan, 0.0]])), "not finite"),
    ],
)
def test_bad_input_of_bijections_is_refused(make, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: NeuralSplineFlowConfig(input_dim=2, bound=float("inf")), "finite"),
        (lambda: UniformConfig(low=-float("inf")), "finite"),
        (lambda: StudentTConfig(degrees_of_freedom=float("inf")), "finite"),
        (lambda: NeuralSplineFlowConfig(input_dim=4, num_transforms=1, layer="coupling"), "untouched"),
        (lambda: NeuralSplineFlowConfig(input_dim=2, num_transforms=2, layer="coupling", ordering=((0, 1), (1, 0))), "random"),
        (lambda: MAFConfig(input_dim=2, reach=0.0), "reach"),
        (lambda: MAFConfig(input_dim=2, num_transforms=2, ordering=((0, 1),)), "expected 2 orders"),
        (lambda: MAFConfig(input_dim=2, num_transforms=1, ordering=((0, 0),)), "places 0 to 1"),
    ],
)
def test_bad_configs_are_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_standardisation_is_that_of_numpy_and_leaves_constants_alone() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 100.0, 0.0] + [0.0, 1e3, 7.0]
    layer = Standardize((3,))
    y = layer.initialize(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(y[:, :2], ((x - x.mean(0)) / x.std(0).clip(1e-9))[:, :2], atol=2e-4)
    np.testing.assert_array_equal(y[:, 2], 0.0)
    _, log_det = layer.forward(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(log_det, -np.log(x.std(0)[:2]).sum(), rtol=1e-5)
    np.testing.assert_allclose(layer.inverse(y)[0], x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("base", ["normal", "student_t", "mixture", {"kind": "uniform", "low": -3.0, "high": 3.0}])
def test_bases_draw_in_float32_whatever_their_parameters_are_kept_in(base) -> None:
    """Half precision would know some hundred values, and no tails."""
    model = create_model(MAFConfig(input_dim=1, num_transforms=1, base=base, param_dtype="bfloat16"), rngs=nnx.Rngs(0))
    drawn = model.base.sample(jax.random.key(0), 10_000)
    assert drawn.dtype == jnp.float32
    assert len(np.unique(drawn)) > 9000


@pytest.mark.parametrize("kind", [ContinuousFlowConfig, FlowMatchingConfig])
def test_velocities_take_the_types_that_the_config_asks_for(kind: type) -> None:
    config = kind(
        input_dim=2, hidden_dims=(8,), dtype="bfloat16", param_dtype="bfloat16", solver={"method": "heun", "steps": 4}
    )
    model, x = create_model(config, rngs=nnx.Rngs(0)), jnp.ones((3, 2))
    assert {p.dtype for p in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype("bfloat16")}
    log_prob = model.log_prob(x)
    assert log_prob.dtype == jnp.float32
    plain = create_model(config.replace(dtype=None, param_dtype="float32"), rngs=nnx.Rngs(0)).log_prob(x)
    np.testing.assert_allclose(log_prob, plain, atol=0.02)  # untrained, nearly the base; networks round to a part in 256
