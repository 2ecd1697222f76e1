"""Data as people have them: constant channels, rows that are no numbers, one condition for many, double precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from artifex.core import create_model
from artifex.flow import (
    ConditionalFlowConfig,
    ContinuousFlowConfig,
    FlowMatchingConfig,
    GlowConfig,
    MAFConfig,
)
from artifex.flow.bijections import ActNorm, Standardize

RNG = np.random.default_rng(0)
CONSTANTS = [0.0, 0.1, -1000.1, 1e-8, 3e7]
"""Most are no binary fractions: in float32 the mean of many is off by roundings, and their deviation above zero."""


def with_a_constant(value: float) -> jax.Array:
    """Two channels: a normal one of a size that no threshold may take for a constant, and one that is the same everywhere."""
    return jnp.stack([1e-7 * jnp.float32(RNG.normal(size=(999,))), jnp.full(999, value)], axis=-1)


@pytest.mark.parametrize("value", CONSTANTS)
def test_a_constant_channel_is_moved_to_zero_and_keeps_its_scale(value: float) -> None:
    x = with_a_constant(value)
    act, standard = ActNorm(2), Standardize((2,))
    for y in (act.initialize(x), standard.initialize(x)):
        np.testing.assert_allclose(y[:, 1], 0.0, atol=1e-5 * abs(value))  # roundings of a mean of 999
        np.testing.assert_allclose(y[:, 0].std(), 1.0, rtol=1e-4)
    assert float(act.log_scale[1]) == float(standard.log_scale[1]) == 0.0


def test_training_with_a_constant_channel_stays_sane() -> None:
    """A corner of an image that is always black, as of digits: at first its scale was a million."""
    x = jnp.float32(RNG.uniform(size=(64, 4, 4, 2))).at[..., 1].set(0.3)
    config = GlowConfig(input_shape=(4, 4, 2), num_scales=1, num_steps=2, network={"hidden_channels": 8}, dequantization=None)
    model = create_model(config, rngs=nnx.Rngs(0))
    model.initialize({"x": x}, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss, gradient = nnx.value_and_grad(lambda m: m.loss_fn({"x": x}, m(x, rngs=nnx.Rngs(1)))["loss"])(model)
        optimizer.update(model, gradient)
        return loss

    losses = np.array([step(model, optimizer) for _ in range(10)])
    assert np.isfinite(losses).all()
    assert np.abs(losses).max() < 200  # 32 elements, a few nats each
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "condition"])
@pytest.mark.parametrize("kind", [ContinuousFlowConfig, FlowMatchingConfig])
def test_a_row_that_is_no_number_spoils_itself_alone(kind: type, where: str, bad: float) -> None:
    model = create_model(kind(input_dim=2, hidden_dims=(8,), condition_dim=1), rngs=nnx.Rngs(0))
    given = {"x": RNG.normal(size=(5, 2)).astype(np.float32), "condition": RNG.normal(size=(5, 1)).astype(np.float32)}
    others = np.arange(5) != 2
    alone = model.log_prob(given["x"][others], condition=given["condition"][others])
    given[where][2, 0] = bad
    together = np.asarray(model.log_prob(given["x"], condition=given["condition"]))
    np.testing.assert_allclose(together[others], alone, atol=1e-3)  # two solutions to tolerances of 1e-5 a step
    assert not np.isfinite(together[2])


@pytest.mark.parametrize("far", [1e20, 3e38])
def test_a_row_that_overflows_spoils_itself_alone(far: float) -> None:
    model = create_model(ContinuousFlowConfig(input_dim=2, hidden_dims=(8,)), rngs=nnx.Rngs(0))
    x = RNG.normal(size=(5, 2)).astype(np.float32)
    alone = model.log_prob(x[1:])
    x[0, 0] = far
    np.testing.assert_allclose(model.log_prob(x)[1:], alone, atol=1e-3)


def test_one_condition_serves_a_whole_batch() -> None:
    """In densities as in samples."""
    x, one = jnp.float32(RNG.normal(size=(4, 2))), jnp.array([[0.3, -1.0, 2.0]])
    each = jnp.repeat(one, 4, axis=0)
    flow = MAFConfig(input_dim=2, num_transforms=1)
    for config in (flow.replace(condition_dim=3), ConditionalFlowConfig(flow=flow, condition_dim=3, embedding={})):
        model = create_model(config, rngs=nnx.Rngs(0))
        for method in (model.log_prob, lambda x, model=model, **given: model.forward(x, **given)[0]):
            np.testing.assert_allclose(method(x, condition=one), method(x, condition=each), rtol=1e-6)


def test_parameters_in_double_precision_take_its_being_enabled() -> None:
    with pytest.raises(ValueError, match="jax_enable_x64"):
        MAFConfig(input_dim=2, param_dtype="float64")
    with jax.enable_x64(True):
        model = create_model(MAFConfig(input_dim=2, num_transforms=1, param_dtype="float64"), rngs=nnx.Rngs(0))
        assert {p.dtype for p in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype("float64")}
        x = jnp.asarray(RNG.normal(size=(4, 2)))
        assert model.log_prob(x).dtype == jnp.float64
        z, log_det = model.forward(x)
        back, back_log_det = model.inverse(z)
        np.testing.assert_allclose(back, x, atol=1e-12)
        np.testing.assert_allclose(log_det, -back_log_det, atol=1e-12)
