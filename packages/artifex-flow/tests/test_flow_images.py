"""Flows on images: masks, layers and models against autodiff Jacobians, exact masses, what data give them, refusals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from artifex.core import create_model, load_model, save_model
from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import DataInitialized
from artifex.core.value_ranges import check_values
from artifex.flow import (
    ConvNetConfig,
    GlowConfig,
    ImageFlow,
    ImageRealNVPConfig,
    RealNVPConfig,
    UniformDequantizationConfig,
    VariationalDequantizationConfig,
)
from artifex.flow.bijections import (
    ActNorm,
    AffineTransformer,
    Bijection,
    Chain,
    ChannelCoupling,
    CheckerboardCoupling,
    Flatten,
    Split,
    Squeeze,
)
from artifex.flow.bijections.image_coupling import checkerboard

TINY = {"hidden_channels": 4, "activation": "tanh"}
SHAPE = (4, 4, 1)
CONFIGS = {
    "glow": GlowConfig(input_shape=SHAPE, num_steps=1, network=TINY, dequantization=None),
    "glow_conditional": GlowConfig(
        input_shape=SHAPE, num_scales=1, num_steps=2, network=TINY, dequantization=None, condition_dim=3
    ),
    "real_nvp": ImageRealNVPConfig(input_shape=SHAPE, num_coupling_layers=2, network=TINY, dequantization=None, alpha=None),
    "real_nvp_logit": ImageRealNVPConfig(
        input_shape=(2, 4, 2), num_coupling_layers=2, network=TINY, dequantization=None, alpha=0.05
    ),
}
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}


def moved(config, amount: float = 0.2) -> ImageFlow:
    """A flow away from its start, as after some training."""
    model = create_model(config, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(1)
    move = lambda p: np.float32(p + amount * rng.normal(size=p.shape))  # noqa: E731
    nnx.update(model, jax.tree.map(move, nnx.state(model, nnx.Param)))
    return model


def in_dtype(model: ImageFlow, dtype: str) -> ImageFlow:
    graph, state = nnx.split(model)
    cast = jax.tree.map(lambda v: v.astype(dtype) if jnp.issubdtype(v.dtype, jnp.floating) else v, state)
    return nnx.merge(graph, cast)


def examples(config) -> tuple[jax.Array, jax.Array | None]:
    """Images in the support, and their conditions, if any."""
    keys = jax.random.split(jax.random.key(2))
    x = jax.random.normal(keys[0], (4, *config.shape), "float32")
    x = x if config.alpha is None else jax.nn.sigmoid(x)
    width = config.condition_dim
    return x, None if width is None else jax.random.normal(keys[1], (4, width), "float32")


def there_and_back(model: ImageFlow, x: jax.Array, condition: jax.Array | None) -> tuple[jax.Array, ...]:
    """Through the flow and through its inverse, as one program."""

    @jax.jit
    def run(x: jax.Array, condition: jax.Array | None) -> tuple[jax.Array, ...]:
        z, log_det = model.forward(x, condition=condition)
        return z, log_det, *model.inverse(z, condition=condition)

    return run(x, condition)


@pytest.mark.daily("glow_conditional", "real_nvp_logit")
@pytest.mark.parametrize("name", CONFIGS)
def test_log_determinant_is_that_of_the_jacobian_and_inverse_undoes_forward(name: str) -> None:
    with jax.enable_x64(True):
        start = moved(CONFIGS[name])
        exact = in_dtype(start, "float64")
        x, condition = examples(CONFIGS[name])

        def one(x: jax.Array, *c: jax.Array) -> jax.Array:
            return exact.bijection.forward(x[None], *(v[None] for v in c))[0].ravel()

        given = () if condition is None else (condition.astype("float64"),)
        jacobian = jax.jit(jax.vmap(jax.jacrev(one)))(x.astype("float64"), *given)
        expected = np.linalg.slogdet(np.asarray(jacobian).reshape(len(x), x[0].size, x[0].size))[1]
        for dtype, tolerance in TOLERANCES.items():
            model, at = in_dtype(start, dtype), x.astype(dtype)
            given = None if condition is None else condition.astype(dtype)
            z, log_det, back, inverse_log_det = there_and_back(model, at, given)
            assert z.dtype == log_det.dtype == dtype
            np.testing.assert_allclose(log_det, expected, rtol=0, atol=tolerance)
            np.testing.assert_allclose(back, at, rtol=0, atol=tolerance)
            np.testing.assert_allclose(inverse_log_det, -expected, rtol=0, atol=tolerance)


def test_a_checkerboard_is_one() -> None:
    expected = np.array([[1, 0, 1], [0, 1, 0]], bool)
    np.testing.assert_array_equal(checkerboard(2, 3), expected)
    np.testing.assert_array_equal(checkerboard(2, 3, odd=True), ~expected)


def steering(layer: Bijection, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which elements pass unchanged, and which have a say in an element of others."""
    params = nnx.state(layer, nnx.Param)
    keys = iter(jax.random.split(jax.random.key(0), len(jax.tree.leaves(params))))
    nnx.update(layer, jax.tree.map(lambda p: p + jax.random.normal(next(keys), p.shape), params))
    x = jax.random.normal(jax.random.key(1), shape)
    jacobian = np.asarray(jax.jit(jax.jacrev(lambda x: layer.forward(x[None])[0][0]))(x)).reshape(x.size, x.size)
    passes = np.all(jacobian == np.eye(x.size), axis=1)
    others = jacobian * (1 - np.eye(x.size))
    return passes.reshape(shape), np.any(others != 0, axis=0).reshape(shape)


@pytest.mark.parametrize("odd", [False, True])
def test_of_a_checkerboard_layer_every_other_position_steers_the_rest(odd: bool) -> None:
    layer = CheckerboardCoupling(2, AffineTransformer(), ConvNetConfig(**TINY), odd=odd, rngs=nnx.Rngs(0))
    passes, steers = steering(layer, (3, 4, 2))
    expected = np.repeat(checkerboard(3, 4, odd=odd)[..., None], 2, axis=-1)
    np.testing.assert_array_equal(passes, expected)
    np.testing.assert_array_equal(steers, expected)


@pytest.mark.parametrize("second", [False, True])
def test_of_a_channel_layer_one_half_of_the_channels_steers_the_other(second: bool) -> None:
    layer = ChannelCoupling(4, AffineTransformer(), ConvNetConfig(**TINY), second_steers=second, rngs=nnx.Rngs(0))
    passes, steers = steering(layer, (2, 2, 4))
    expected = np.broadcast_to(np.array([not second, not second, second, second]), (2, 2, 4))
    np.testing.assert_array_equal(passes, expected)
    np.testing.assert_array_equal(steers, expected)


@pytest.mark.parametrize(
    "config",
    [
        GlowConfig(input_shape=(2, 2, 1), num_scales=1, num_steps=2, network=TINY, dequantization=None),
        ImageRealNVPConfig(input_shape=(1, 2, 1), num_scales=1, network=TINY, dequantization=None, alpha=0.1),
    ],
    ids=["glow", "real_nvp_logit"],
)
def test_density_integrates_to_one(config) -> None:
    model, d = moved(config, 0.1), int(np.prod(config.shape))
    u = scipy.stats.qmc.Sobol(d, seed=0).random(2**14)
    if config.alpha is None:  # points of a heavy-tailed density around the flow's
        wide = scipy.stats.t(df=6, scale=1.3)
        x, log_q = wide.ppf(u), wide.logpdf(wide.ppf(u)).sum(axis=1)
    else:  # all over the interval that the flow never leaves
        margin = config.alpha / (1 - 2 * config.alpha)
        x, log_q = u * (1 + 2 * margin) - margin, -d * np.log1p(2 * margin)
    log_prob = np.asarray(model.log_prob(jnp.asarray(x.reshape(-1, *config.shape), jnp.float32)), np.float64)
    assert abs(np.mean(np.exp(log_prob - log_q)) - 1) < 5e-3


@pytest.mark.parametrize("name", ["glow_conditional", "real_nvp_logit"])
def test_samples_come_with_their_density(name: str) -> None:
    config = CONFIGS[name]
    model, condition = moved(config, 0.1), None if config.condition_dim is None else jnp.ones((1, 3))
    y, log_prob = model.sample_and_log_prob(8, condition=condition, rngs=nnx.Rngs(3))
    given = None if condition is None else jnp.repeat(condition, 8, axis=0)
    np.testing.assert_allclose(model.log_prob(y, condition=given), log_prob, atol=2e-4)  # sixteen rounded terms, inverted


def test_the_first_batch_leaves_every_actnorm_with_mean_zero_and_variance_one() -> None:
    first, inner, aside = ActNorm(1), ActNorm(2), ActNorm(4)
    layers = Chain([first, Squeeze(), Split((2, 2, 4), Chain([inner, Flatten((2, 2, 2))]), aside=aside)])
    x = 3.0 + 0.1 * jax.random.normal(jax.random.key(0), (16, 4, 4, 1)) * jnp.arange(1.0, 5.0).reshape(1, 1, 4, 1)
    made = layers.initialize(x)  # all three, each given what the ones before it make of the batch
    np.testing.assert_allclose(made, layers.forward(x)[0], atol=1e-5)
    inputs = [x, Squeeze().forward(first.forward(x)[0])[0]]
    inputs.append(aside.forward(inputs[1])[0][..., :2])
    for layer, given in zip((first, aside, inner), inputs, strict=True):
        y = np.asarray(layer.forward(given)[0])
        np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0.0, atol=1e-5)
        np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1.0, atol=1e-5)


def test_a_model_starts_from_its_first_batch_and_remembers_that_it_did(tmp_path) -> None:
    noise = UniformDequantizationConfig(levels=4)
    config = GlowConfig(
        input_shape=SHAPE, num_scales=1, num_steps=1, network=TINY, dequantization=noise, condition_dim=2, alpha=0.01
    )
    model = create_model(config, rngs=nnx.Rngs(0))
    assert isinstance(model, DataInitialized)
    assert not model.initialized
    x = jax.random.randint(jax.random.key(0), (64, *SHAPE), 0, 2) / 3  # the darker half of four levels
    batch = {"x": x, "condition": jnp.ones((64, 2))}
    model.initialize(batch, rngs=nnx.Rngs(1))
    assert model.initialized
    assert load_model(save_model(model, tmp_path)).initialized
    # the same draw of noise; a rotation and a coupling that starts as nearly the identity leave mean zero and variance one
    z = np.asarray(model(x, condition=batch["condition"], rngs=nnx.Rngs(1))["z"])
    assert np.abs(z.mean()) < 0.02
    assert np.abs(z.std() - 1) < 0.02


def test_integers_and_intensities_are_the_same_images() -> None:
    config = GlowConfig(
        input_shape=SHAPE, num_scales=1, num_steps=1, network=TINY, dequantization=UniformDequantizationConfig(levels=17)
    )
    model = moved(config)
    k = jax.random.randint(jax.random.key(0), (3, *SHAPE), 0, 17)
    one, other = (model.log_prob(x, rngs=nnx.Rngs(0)) for x in (k, k.astype(jnp.float32) / 16))
    np.testing.assert_array_equal(one, other)


def test_generated_images_lie_on_the_levels_and_samples_between_them() -> None:
    config = ImageRealNVPConfig(input_shape=SHAPE, num_scales=1, network=TINY, dequantization={"kind": "uniform", "levels": 5})
    model = moved(config)
    x, y = model.generate(16, rngs=nnx.Rngs(1)), model.sample(16, rngs=nnx.Rngs(1))
    assert set(np.unique(x)) <= set(np.float32([0, 0.25, 0.5, 0.75, 1]))
    assert len(np.unique(x)) == 5
    inside = (y >= 0) & (y < 1)
    np.testing.assert_array_equal(np.floor(5 * y[inside]), 4 * x[inside])


@pytest.mark.nightly
def test_more_noise_tightens_the_bound() -> None:
    config = GlowConfig(
        input_shape=(2, 2, 1),
        num_scales=1,
        num_steps=2,
        network=TINY,
        dequantization=VariationalDequantizationConfig(levels=2, num_layers=2, network=ConvNetConfig(**TINY)),
    )
    model = moved(config, 0.2)
    space = jnp.asarray(np.stack(np.meshgrid(*[[0, 1]] * 4), -1).reshape(-1, 2, 2, 1))
    one = np.stack([model.log_prob(space, rngs=nnx.Rngs(i)) for i in range(64)]).mean(axis=0)
    many = np.asarray(model.log_prob(space, n_samples=2000, rngs=nnx.Rngs(0)))
    assert np.all(one < many)
    # what many draws give is the mass that the flow's own samples have in each cell, but for the mass outside the cube
    y = np.asarray(model.sample(40_000, rngs=nnx.Rngs(1))).reshape(-1, 4)
    inside = np.all((y >= 0) & (y < 1), axis=1)
    keys = np.asarray(space).reshape(-1, 4) @ [8, 4, 2, 1]
    counts = np.bincount((np.floor(2 * y[inside]) @ [8, 4, 2, 1]).astype(int), minlength=16)[keys] / len(y)
    # five standard deviations of the counts; a tenth for the importance weights of 2000 draws
    assert np.all(np.abs(counts - np.exp(many)) < 5 * np.sqrt(np.exp(many) / len(y)) + 0.1 * np.exp(many))


def made(**changes) -> ImageFlow:
    small = {"input_shape": SHAPE, "num_scales": 1, "num_steps": 1, "network": TINY}
    return create_model(GlowConfig(**small | changes), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: made().log_prob(jnp.zeros((2, 4, 4, 3))), r"expected \(batch, 4, 4, 1\)"),
        (lambda: made().log_prob(jnp.zeros(SHAPE)), r"add a batch axis: x\[None\]"),
        (lambda: made().log_prob(jnp.full((2, *SHAPE), 17.0)), r"takes intensities in \[0, 1\]"),
        (lambda: made().log_prob(jnp.full((2, *SHAPE), 256)), r"takes integers in 0..255"),
        (lambda: made().log_prob(jnp.full((2, *SHAPE), -1)), "from -1 to -1"),
        (lambda: made()(jnp.full((2, *SHAPE), jnp.nan)), "from nan to nan"),
        (lambda: made(dequantization=None).log_prob(jnp.zeros((2, *SHAPE), jnp.int32)), "dequantisation first"),
        (lambda: made().log_prob(jnp.zeros((2, *SHAPE)), n_samples=0), "n_samples is 0"),
        (lambda: made().log_prob(jnp.zeros((2, *SHAPE)), condition=jnp.zeros((2, 3))), "no condition_dim"),
        (lambda: made().initialize({"x": jnp.zeros((2, 4, 5, 1))}), r"expected \(batch, 4, 4, 1\)"),
        (lambda: ChannelCoupling(3, AffineTransformer(), ConvNetConfig(), rngs=nnx.Rngs(0)), "squeeze first"),
    ],
)
def test_bad_input_is_refused(ask, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        ask()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GlowConfig(input_shape=(28, 28, 1), num_scales=3), r"multiples of 8; choose fewer scales"),
        (lambda: GlowConfig(input_shape=(5, 4, 1), num_scales=1), "images of 5 x 4 would be halved 1 times"),
        (lambda: ImageRealNVPConfig(input_shape=(6, 6, 1), num_scales=3), "halved 2 times"),
        (lambda: ImageRealNVPConfig(input_shape=(1, 1, 3), num_scales=1), "one position at the last of num_scales=1"),
        (lambda: ImageRealNVPConfig(input_shape=(4, 4, 1), num_scales=3), "one position at the last of num_scales=3"),
        (lambda: GlowConfig(input_shape=(4, 4), num_scales=1), "input_shape"),
        (lambda: GlowConfig(input_shape=SHAPE, dequantization={"kind": "uniform", "levels": 1}), "levels"),
        (lambda: GlowConfig(input_shape=SHAPE, dequantization="unifrom"), "uniform"),
        (lambda: GlowConfig(input_shape=SHAPE, alpha=0.5), "alpha"),
        (lambda: RealNVPConfig(input_dim=2, input_shape=SHAPE), "input_shape"),
    ],
)
def test_bad_configs_are_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_compiled_values_outside_the_levels_have_no_mass() -> None:
    model = made(dequantization={"kind": "uniform", "levels": 4})
    x = jnp.zeros((3, *SHAPE)).at[1, 0, 0, 0].set(2.0)
    log_prob = jax.jit(lambda x: model(x, rngs=nnx.Rngs(0))["log_prob"])(x)
    np.testing.assert_array_equal(np.isneginf(log_prob), [False, True, False])


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [GlowConfig, ImageRealNVPConfig])
def test_parameters_in_half_precision_have_the_density_of_the_same_numbers_in_float32(kind: type) -> None:
    """Only the networks' own arithmetic may differ, and with inputs in float32 it does not."""
    sizes = {"input_shape": SHAPE, "num_scales": 1, "network": {"hidden_channels": 4}, "dequantization": None}
    half = create_model(kind(**sizes, param_dtype="bfloat16", base={"kind": "normal", "learned": True}), rngs=nnx.Rngs(0))
    params = nnx.state(half, nnx.Param)
    rng = np.random.default_rng(1)
    nnx.update(half, jax.tree.map(lambda p: np.asarray(p + 0.3 * rng.normal(size=p.shape)).astype(p.dtype), params))
    graph, state = nnx.split(half)
    widen = lambda v: v.astype("float32") if v.dtype == jnp.bfloat16 else v  # noqa: E731
    whole = nnx.merge(graph, jax.tree.map(widen, state))
    x = jax.random.normal(jax.random.key(2), (4, *SHAPE))
    (z, log_det), (expected, expected_log_det) = (jax.jit(model.forward)(x) for model in (half, whole))
    assert z.dtype == log_det.dtype == jnp.float32
    np.testing.assert_allclose(z, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_det, expected_log_det, rtol=0, atol=1e-3)
    np.testing.assert_allclose(half.log_prob(x), whole.log_prob(x), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", [GlowConfig, ImageRealNVPConfig])
def test_far_out_a_density_is_a_number_or_zero(kind: type) -> None:
    model = create_model(kind(input_shape=SHAPE, num_scales=1, dequantization=None), rngs=nnx.Rngs(0))
    scales = jnp.array([1e2, 1e8, 1e20, 1e35, 1e38])[:, None, None, None]
    log_prob = np.asarray(model.log_prob(scales * jax.random.uniform(jax.random.key(0), (5, *SHAPE))))
    assert not np.any(np.isnan(log_prob) | np.isposinf(log_prob)), log_prob


@pytest.mark.parametrize(
    ("changes", "low", "high", "dtype"),
    [
        ({"dequantization": {"kind": "uniform", "levels": 4}}, 0.0, 1.0, "float32"),
        ({"dequantization": {"kind": "uniform", "levels": 4}}, 0, 3, "int32"),
        ({"dequantization": None, "alpha": 0.1}, 0.0, 1.0, "float32"),
    ],
)
def test_the_values_that_a_flow_declares_are_those_that_have_mass(changes, low, high, dtype: str) -> None:
    model = made(**changes)

    @jax.jit
    def log_prob(x: jax.Array) -> jax.Array:
        return model(x, rngs=nnx.Rngs(0))["log_prob"]

    x = jnp.full((4, *SHAPE), low, dtype)
    ranges = model.value_ranges({"x": x})
    step = 1 if dtype == "int32" else 1.01 * ranges["x"].slack
    values = jnp.array([low, high, low - step, high + step], dtype)
    x = x.at[:, 0, 0, 0].set(values)
    np.testing.assert_array_equal(np.isfinite(log_prob(x)), [True, True, False, False])
    check_values({"x": np.asarray(x[:2])}, ranges, "Glow")
    for bad in (2, 3):
        with pytest.raises(DataError, match="'x' of row 0"):
            check_values({"x": np.asarray(x[bad : bad + 1])}, ranges, "Glow")
    assert made(dequantization=None).value_ranges({"x": x}) == {}
