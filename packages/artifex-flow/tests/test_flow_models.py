"""Flows as models: densities that integrate to one, samples that follow them, conditions, bases, refusals."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from flax import nnx

from artifex.core import create_model
from artifex.core.errors import InvalidInputError
from artifex.core.storage import load_model, save_model
from artifex.flow import (
    Flow,
    IAFConfig,
    MAFConfig,
    Mixture,
    MixtureConfig,
    NeuralSplineFlowConfig,
    Normal,
    NormalConfig,
    RealNVPConfig,
    StudentT,
    StudentTConfig,
    Uniform,
    UniformConfig,
)

SMALL = {"input_dim": 2, "num_transforms": 2, "hidden_dims": (8,)}
CONFIGS = {
    "maf": MAFConfig(**SMALL),
    "maf_random": MAFConfig(**SMALL | {"ordering": "random"}),
    "maf_student_t": MAFConfig(**SMALL, base={"kind": "student_t", "degrees_of_freedom": 8.0}),
    "maf_mixture": MAFConfig(**SMALL, base={"kind": "mixture", "components": 3}),
    "iaf": IAFConfig(**SMALL),
    "nsf": NeuralSplineFlowConfig(**SMALL),
    "nsf_coupling": NeuralSplineFlowConfig(**SMALL, layer="coupling"),
    "nsf_uniform": NeuralSplineFlowConfig(**SMALL, bound=2.0, base={"kind": "uniform", "low": -2.0, "high": 2.0}),
    "real_nvp": RealNVPConfig(input_dim=2, num_coupling_layers=2, coupling_network={"hidden_dims": (8,)}),
}


def moved(config) -> Flow:
    """A flow away from its start, as after some training."""
    model = create_model(config, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(1)
    move = lambda p: np.float32(p + 0.1 * rng.normal(size=p.shape))  # noqa: E731
    nnx.update(model, jax.tree.map(move, nnx.state(model, nnx.Param)))
    return model


@pytest.mark.daily("iaf", "maf", "maf_mixture", "nsf_coupling", "real_nvp")
@pytest.mark.parametrize("name", CONFIGS)
def test_density_integrates_to_one_and_samples_follow_it(name: str) -> None:
    model = moved(CONFIGS[name])
    edges = np.linspace(-15.0, 15.0, 601)  # a grid of 0.05: fine beside the features of so small a flow
    middle = (edges[:-1] + edges[1:]) / 2
    grid = jnp.asarray(np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2), jnp.float32)
    mass = np.exp(np.asarray(model.log_prob(grid), np.float64)).reshape(600, 600) * 0.05**2
    assert abs(mass.sum() - 1) < 5e-3
    # the share of samples in each of a few boxes: within five standard deviations of its probability
    x, n = np.asarray(model.sample(20_000, rngs=nnx.Rngs(2))), 20_000
    cuts = [-16.0, *np.round(np.quantile(x[:, 0], [0.25, 0.5, 0.75]), 1), 16.0]  # edges of the grid
    for axis in (0, 1):
        counts = np.histogram(x[:, axis], cuts)[0] / n
        marginal = mass.sum(axis=1 - axis)
        expected = [marginal[(middle > low) & (middle < high)].sum() for low, high in pairwise(cuts)]
        tolerance = 5 * np.sqrt(np.maximum(expected, 1 / n) / n) + 5e-3
        assert np.all(np.abs(counts - expected) < tolerance)


@pytest.mark.daily("iaf", "maf", "maf_mixture", "nsf_coupling", "real_nvp")
@pytest.mark.parametrize("name", CONFIGS)
def test_samples_come_with_their_density(name: str) -> None:
    model = moved(CONFIGS[name])
    x, log_prob = model.sample_and_log_prob(64, rngs=nnx.Rngs(3))

    @jax.jit
    def again(x: jax.Array) -> tuple[jax.Array, ...]:
        z, log_det = model.forward(x)
        return model.log_prob(x), model.base.log_prob(z) + log_det, model.inverse(z)[0]

    of_x, of_z, back = again(x)
    np.testing.assert_allclose(log_prob, of_x, atol=2e-4)  # the sum of some twenty rounded terms, inverted
    np.testing.assert_allclose(log_prob, of_z, atol=2e-4)
    np.testing.assert_allclose(back, x, atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "ordering"),
    [("autoregressive", "random"), ("autoregressive", [[2, 0, 3, 1], [1, 3, 2, 0]]), ("coupling", "random")],
)
def test_orderings_are_the_same_when_a_model_is_loaded(ordering, layer: str, tmp_path) -> None:
    config = NeuralSplineFlowConfig(**SMALL | {"input_dim": 4}, bins=3, layer=layer, ordering=ordering)
    model, x = moved(config), jnp.array([[0.3, -1.0, 2.0, 0.7]])
    save_model(model, tmp_path)
    assert float(load_model(tmp_path).log_prob(x)[0]) == float(model.log_prob(x)[0])
    nnx.eval_shape(lambda: create_model(config, rngs=nnx.Rngs(0)))
    if layer == "autoregressive" and ordering != "random":
        assert [list(made.network.order) for made in model.bijection.bijections] == ordering


def test_a_condition_changes_the_density_and_is_checked() -> None:
    model = moved(MAFConfig(**SMALL, condition_dim=3))
    x, condition = jnp.zeros((4, 2)), jax.random.normal(jax.random.key(0), (4, 3))
    assert len(set(np.asarray(model.log_prob(x, condition=condition)).tolist())) == 4
    given, log_prob = model.sample_and_log_prob(4, condition=condition, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(model.log_prob(given, condition=condition), log_prob, atol=2e-4)
    with pytest.raises(InvalidInputError, match=r"got none, expected one of shape \(4, 3\)"):
        model.log_prob(x)
    with pytest.raises(InvalidInputError, match="no condition_dim"):
        moved(CONFIGS["maf"]).log_prob(x, condition=condition)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (jnp.zeros((4, 3)), r"expected \(batch, 2\)"),
        (jnp.zeros(2), r"add a batch axis: x\[None\]"),
        (jnp.zeros((4, 2), jnp.int32), "dequantisation"),
    ],
)
def test_bad_input_is_refused(x: jax.Array, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        create_model(CONFIGS["real_nvp"], rngs=nnx.Rngs(0)).log_prob(x)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RealNVPConfig(input_dim=1), "at least 2 elements"),
        (lambda: NeuralSplineFlowConfig(input_dim=1, layer="coupling"), "use layer 'autoregressive'"),
        (lambda: NeuralSplineFlowConfig(input_dim=2, bins=-1), "bins"),
        (lambda: MAFConfig(input_dim=2, activation="rellu"), "relu"),
        (lambda: MAFConfig(input_dim=2, ordering=[[0, 1]]), "expected 5 orders"),
        (lambda: MAFConfig(input_dim=2, num_transforms=1, ordering=[[1, 2]]), "places 0 to 1"),
        (lambda: UniformConfig(low=1.0, high=0.0), "lower end first"),
    ],
)
def test_bad_configs_are_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_biases_count_as_often_as_the_config_says() -> None:
    """A third of the last hidden width unless it says so: the same flow as one whose biases are that many times as large."""
    model, plain = (create_model(MAFConfig(**SMALL, bias_gain=gain), rngs=nnx.Rngs(0)) for gain in (None, 1.0))
    for ours, theirs in zip(model.bijection.bijections, plain.bijection.bijections, strict=True):
        bias = jax.random.normal(jax.random.key(0), ours.network.head.bias.shape)
        ours.network.head.bias[...], theirs.network.head.bias[...] = bias, bias * 8 / 3
    x = jax.random.normal(jax.random.key(1), (20, 2))
    np.testing.assert_allclose(model.log_prob(x), plain.log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(model.inverse(x)[0], plain.inverse(x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.nightly
def test_what_depends_on_nothing_is_learned_as_fast_as_the_rest() -> None:
    """The parameters of a first element are biases alone; counted once, 400 steps leave 0.33 nat."""
    model = create_model(NeuralSplineFlowConfig(input_dim=1, num_transforms=1), rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adam(2e-3)

    def draw(key: jax.Array) -> jax.Array:
        which, noise = jax.random.split(key)
        return jnp.where(jax.random.bernoulli(which, shape=(512, 1)), 1.0, -1.0) + 0.1 * jax.random.normal(noise, (512, 1))

    def step(carry, key):
        params, state = carry
        grads = jax.grad(lambda params: -jnp.mean(nnx.merge(graph, params, rest).log_prob(draw(key))))(params)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(jax.random.key(1), 400)
    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, keys))((params, optimizer.init(params)))
    nnx.update(model, params)
    x = jax.vmap(draw)(jax.random.split(jax.random.key(2), 40)).reshape(-1, 1)
    entropy = np.log(2) + 0.5 * np.log(2 * np.pi * np.e * 0.1**2)  # the modes do not overlap
    assert -np.mean(model.log_prob(x)) - entropy < 0.1


@pytest.mark.parametrize("x", [np.full((1, 2), 1e30, np.float32), np.full((1, 2), -3e4, np.float32)])
@pytest.mark.parametrize("name", ["maf", "maf_student_t", "nsf", "nsf_uniform", "real_nvp"])
def test_far_out_the_density_is_a_number_or_zero(name: str, x: np.ndarray) -> None:
    log_prob = moved(CONFIGS[name]).log_prob(jnp.asarray(x))
    assert np.all(np.isfinite(log_prob) | np.isneginf(log_prob))


def test_bases_against_scipy() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)) * 3
    log_df, mean, log_scale = np.log([2.0, 5.0, 30.0]), np.array([1.0, 0.0, -2.0]), np.array([0.5, 0.0, -1.0])
    normal = Normal(NormalConfig(learned=True), (3,), rngs=nnx.Rngs(0))
    student = StudentT(StudentTConfig(learned=True), (3,), rngs=nnx.Rngs(0))
    student.log_df[...] = jnp.asarray(log_df, jnp.float32)
    for base in (normal, student):
        base.scaling.mean[...], base.scaling.log_scale[...] = jnp.asarray(mean), jnp.asarray(log_scale)
    scale, z = np.exp(log_scale), jnp.asarray(x, jnp.float32)
    np.testing.assert_allclose(normal.log_prob(z), scipy.stats.norm.logpdf(x, mean, scale).sum(1), rtol=1e-5)
    expected = scipy.stats.t.logpdf(x, np.exp(log_df), mean, scale).sum(1)
    np.testing.assert_allclose(student.log_prob(z), expected, rtol=1e-5)
    mixture = Mixture(MixtureConfig(components=2), (3,), rngs=nnx.Rngs(0))
    mixture.logits[...] = jnp.log(jnp.array([0.3, 0.7]))
    mixture.log_scales[...] = jnp.asarray(np.stack([log_scale, -log_scale]), jnp.float32)
    parts = [
        np.log(weight) + scipy.stats.norm.logpdf(x, m, s).sum(1)
        for weight, m, s in zip((0.3, 0.7), np.asarray(mixture.means[...]), (scale, 1 / scale), strict=True)
    ]
    np.testing.assert_allclose(mixture.log_prob(z), np.logaddexp(*parts), rtol=1e-4)
    uniform = Uniform(UniformConfig(low=-1.0, high=3.0), (3,), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(uniform.log_prob(z), scipy.stats.uniform.logpdf(x, -1, 4).sum(1), rtol=1e-6)


@pytest.mark.parametrize("config", [NormalConfig(), StudentTConfig(degrees_of_freedom=6.0), UniformConfig(low=-1.0, high=3.0)])
def test_bases_draw_from_their_density(config) -> None:
    base = {NormalConfig: Normal, StudentTConfig: StudentT, UniformConfig: Uniform}[type(config)](
        config, (1,), rngs=nnx.Rngs(0)
    )
    x = np.sort(np.asarray(base.sample(jax.random.key(0), 4000))[:, 0])
    grid = np.linspace(-60, 60, 240_001)
    cumulative = np.cumsum(np.exp(np.asarray(base.log_prob(jnp.asarray(grid, jnp.float32)[:, None])))) * (grid[1] - grid[0])
    distance = np.max(np.abs(np.interp(x, grid, cumulative) - np.arange(1, 4001) / 4000))
    assert distance < 1.95 / np.sqrt(4000)  # Kolmogorov-Smirnov: one true sampler in a thousand fails
