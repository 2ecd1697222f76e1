"""WaveNet: what a sample sees, and drawing from rings.

Roundings of float32 in networks of a few layers: 1e-5 of numbers of order one.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.ar import WaveNet, WaveNetConfig
from artifex.ar.companding import mu_law, mu_law_inverse
from artifex.core.errors import InvalidInputError
from artifex.core.testing.conformance import lattice

NETWORK = {"length": 14, "num_layers": 2, "num_stacks": 2, "residual_channels": 8, "skip_channels": 8}
CONFIGS = {
    "mu_law": WaveNetConfig(**NETWORK, levels=8),
    "three_taps": WaveNetConfig(**NETWORK, levels=8, kernel_size=3, num_classes=3),
    "logistics": WaveNetConfig(**NETWORK, output="logistics", num_mixtures=2, condition_dim=2),
}


DAILY = pytest.mark.daily("three_taps", "logistics")  # the first of them by mu-law, as the one that is left to the night


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> WaveNet:
    return WaveNet(CONFIGS[request.param], rngs=nnx.Rngs(0))


def signals(n: int = 2) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (n, 14)), jnp.float32)


def given(model: WaveNet, n: int = 2) -> dict[str, np.ndarray]:
    if model.config.condition_dim is not None:
        return {"condition": np.random.default_rng(2).normal(size=(n, 14, 2)).astype(np.float32)}
    return {"condition": np.arange(n) % 3} if model.config.num_classes else {}


@DAILY
def test_a_sample_depends_on_all_of_its_receptive_field_and_on_nothing_else(model: WaveNet):
    """At four signals, since a unit that is cut off may hide something at any one of them."""
    conditions = {name: c[:1] for name, c in given(model).items()}
    gradient = jax.jacrev(lambda x: model(x[None], **conditions)["parameters"][0])
    seen = np.abs(jax.jit(lambda x: jax.lax.map(gradient, x))(signals(4))).sum(axis=(0, 2)) > 0
    field = model.config.receptive_field
    assert field == 1 + 6 * (model.config.kernel_size - 1)
    assert_array_equal(seen, np.tri(14, k=-1, dtype=bool) & ~np.tri(14, k=-field - 1, dtype=bool))


@DAILY
def test_one_by_one_as_all_at_once(model: WaveNet):
    """The rings stand for a forward pass over the whole signal, at every sample."""
    x, conditions = signals(), given(model)
    whole = jax.jit(lambda x: model(x, **conditions)["parameters"])(x)
    of_both = model._conditions(conditions.get("condition"), None, 2, 14)
    assert_allclose(model._parameters_one_by_one(x, of_both), whole, atol=1e-5)


@pytest.mark.parametrize("output", ["mu_law", "logistics"])
def test_probabilities_of_all_signals_add_up_to_one(output: str):
    config = WaveNetConfig(**NETWORK, output=output, levels=4)
    model = WaveNet(config, rngs=nnx.Rngs(0))
    points = lattice(2 * np.arange(4) / 3 - 1, (4,)).points
    points = np.asarray(mu_law_inverse(points, 3)) if output == "mu_law" else points
    assert abs(np.exp(np.asarray(model.log_prob(jnp.asarray(points)), np.float64)).sum() - 1) < 1e-5


@DAILY
def test_a_prefix_stays_and_samples_lie_on_levels(model: WaveNet):
    x, conditions = signals(), given(model)
    made = model.generate(2, prefix=x[:, :5], rngs=nnx.Rngs(0), **conditions)
    assert_allclose(made[:, :5], model.from_levels(model.on_levels(x))[:, :5], atol=1e-6)
    steps = model.config.number_of_levels - 1
    y = (np.asarray(made if model.config.output == "logistics" else mu_law(made, steps), np.float64) + 1) / 2 * steps
    assert_allclose(y, np.round(y), atol=0.02)  # 65536 levels are no more than 256 roundings of float32 apart
    assert np.all(np.abs(made) <= 1)


def test_samples_follow_the_model():
    """Frequencies of all 27 signals of three samples, against their probabilities."""
    config = WaveNetConfig(length=3, num_layers=2, num_stacks=1, residual_channels=8, skip_channels=8, levels=3)
    model = WaveNet(config, rngs=nnx.Rngs(0))
    points = np.asarray(mu_law_inverse(lattice([-1, 0, 1], (3,)).points, 2))
    probabilities = np.exp(np.asarray(model.log_prob(jnp.asarray(points)), np.float64))
    drawn = np.asarray(jnp.round(mu_law(model.generate(20_000, rngs=nnx.Rngs(1)), 2))).astype(int) + 1
    counts = np.bincount(drawn @ [9, 3, 1], minlength=27)
    chi2 = np.sum((counts - 20_000 * probabilities) ** 2 / (20_000 * probabilities))
    assert chi2 < 60  # 26 degrees of freedom: above 60 once in 7000 seeds


def test_companding_is_undone():
    x = jnp.linspace(-1, 1, 101)
    assert_allclose(mu_law_inverse(mu_law(x, 255), 255), x, atol=1e-6)
    assert_allclose(mu_law(jnp.array([0.1, -0.5]), 255), [0.590997, -0.875703], atol=1e-5)  # ITU-T G.711's formula


@pytest.mark.nightly
def test_a_sample_costs_the_same_however_far_back_is_seen():
    """12 layers whose rings hold 252 and 24 570 inputs, in turns: the quickest of seven runs differs by less than a third."""
    models = []
    for layers, stacks in ((6, 2), (12, 1)):
        config = WaveNetConfig(length=500, num_layers=layers, num_stacks=stacks)
        models.append(WaveNet(config, rngs=nnx.Rngs(0)))
        models[-1].generate(4).block_until_ready()

    def seconds(model: WaveNet) -> float:
        start = time.perf_counter()
        model.generate(4).block_until_ready()
        return time.perf_counter() - start

    near, far = np.min([[seconds(model) for model in models] for _ in range(7)], axis=0)
    assert far < 1.33 * near, f"{near:.3f} s with 127 samples seen, {far:.3f} s with 4096"


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        ("mu_law", {"x": np.zeros((2, 3, 1), np.float32)}, r"x is float32 of shape \(2, 3, 1\), expected signals"),
        ("mu_law", {"x": np.zeros((2, 3), np.int16)}, "divide 16-bit samples by 32768"),
        ("mu_law", {"x": np.zeros((2, 3), np.float32), "condition": 1}, "the model has none: set num_classes"),
        ("logistics", {"x": np.zeros((2, 3), np.float32)}, r"pass condition=\.\.\. with features of shape \(2, 3, 2\)"),
        (
            "logistics",
            {"x": np.zeros((2, 3), np.float32), "condition": np.zeros((2, 4, 2), np.float32)},
            r"condition is float32 of shape \(2, 4, 2\), expected features of shape \(2, 3, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_said(kind: str, call: dict, message: str):
    model = WaveNet(CONFIGS[kind], rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=message):
        model(jnp.asarray(call.pop("x")), **call)


def test_sampling_refuses_what_does_not_fit():
    model = WaveNet(CONFIGS["mu_law"], rngs=nnx.Rngs(0))
    for call, message in (
        ({"n_samples": 0}, "n_samples is 0"),
        ({"length": 0}, "length is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"prefix": np.zeros((1, 20))}, r"prefix has shape \(1, 20\), expected \(1, at most 14\)"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            model.generate(**call)
    with pytest.raises(ValueError, match="num_mixtures is 3, but output 'mu_law' has no mixture"):
        WaveNetConfig(length=3, num_mixtures=3)
