"""Mistakes that are made: each is one clear error, or the right result; never a wrong one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.value_ranges import check_values
from artifex.ebm import (
    EBM,
    JEM,
    RBM,
    ConditionalEBM,
    ConditionalEBMConfig,
    ConvEnergyConfig,
    DeepEBM,
    DeepEBMConfig,
    EBMConfig,
    EnergyNetworkConfig,
    JEMConfig,
    MCMCConfig,
    RBMConfig,
)
from artifex.ebm.samplers import hmc, langevin, mala

NETWORK, CHAIN = EnergyNetworkConfig(hidden_dims=(8,)), MCMCConfig(n_steps=2)
X = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def model() -> EBM:
    return EBM(EBMConfig(input_dim=2, energy_network=NETWORK, mcmc=CHAIN), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def jem() -> JEM:
    return JEM(JEMConfig(input_dim=2, n_classes=3, energy_network=NETWORK, mcmc=CHAIN, generative_weight=0.0), rngs=nnx.Rngs(0))


def test_numbers_that_cannot_be_are_said(model: EBM):
    rbm = RBM(RBMConfig(input_dim=4, n_hidden=3), rngs=nnx.Rngs(0))
    for call, message in (
        (lambda: model.generate(2.5), "n_samples is 2.5; it has to be an integer of at least 1"),
        (lambda: model.generate("2"), "n_samples is '2'"),
        (lambda: model.generate(True), "n_samples is True"),
        (lambda: model.generate(2, n_steps=2.5), "n_steps is 2.5; a chain takes an integer number of steps"),
        (lambda: model.generate(2, n_steps=0), "n_steps is 0"),
        (lambda: rbm.generate(2.5), "n_samples is 2.5"),
        (lambda: model.estimate_log_partition(n_particles=0), "n_particles is 0; it has to be an integer of at least 2"),
        (lambda: model.estimate_log_partition(n_particles=1), "n_particles is 1"),
        (lambda: model.estimate_log_partition(n_levels=0), "n_levels is 0; it has to be an integer of at least 1"),
        (lambda: rbm.estimate_log_partition(n_levels=-3), "n_levels is -3"),
        (lambda: rbm.estimate_log_partition(n_particles=1, method="smc"), "n_particles is 1"),
        (lambda: model.estimate_log_partition(method="aiss"), "method is 'aiss'"),
        (lambda: model.estimate_log_partition(method="smc", n_levels=4), "sequential Monte Carlo chooses its levels"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()
    with pytest.raises(InvalidTypeError, match="mcmc takes an MCMCConfig"):
        model.estimate_log_partition(mcmc={"sampler": "hmc"})


def test_an_energy_is_one_number_for_each_example():
    """A column would be set against a row, every proposal against every chain."""
    x = jnp.zeros((3, 2))
    for energy, shape in (
        (lambda x: jnp.sum(x**2), r"\(\)"),
        (lambda x: jnp.sum(x**2, axis=1, keepdims=True), r"\(3, 1\)"),
    ):
        for sampler in (langevin, mala, hmc):
            with pytest.raises(InvalidInputError, match=f"of shape .3, 2. has shape {shape}, expected .3,.: one number"):
                sampler(energy, x, KEY, n_steps=2, step_size=0.1)


@pytest.mark.parametrize("sampler", [langevin, mala, hmc])
@pytest.mark.parametrize("step", [-0.1, 0.0, float("nan")])
def test_steps_have_a_length(sampler: Any, step: float):
    with pytest.raises(InvalidInputError, match=f"step_size is {step}; it has to be a number above 0"):
        sampler(lambda x: jnp.sum(x**2, axis=1), jnp.zeros((2, 2)), KEY, n_steps=2, step_size=step, **_warm(sampler))


def _warm(sampler: Any) -> dict[str, int]:
    return {} if sampler is langevin else {"n_warmup": 1}


def test_labels_are_a_class_for_each_example(jem: JEM):
    """A column of labels would be set against every example's logits."""
    x, labels = jnp.asarray(X), np.array([0, 2, 1, 0])
    outputs = jem(x)
    logits = np.asarray(jem.logits(x), np.float64)
    wanted = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(4), labels])
    assert_allclose(jem.loss_fn({"x": x, "label": jnp.asarray(labels)}, outputs)["loss"], wanted, rtol=1e-5)
    for bad, message in (
        (labels[:, None], r"label is int.* of shape \(4, 1\), expected integer class labels below 3 of shape \(4,\)"),
        (labels.astype(np.float32), "label is float32"),
        (np.eye(3, dtype=np.float32)[labels], r"label is float32 of shape \(4, 3\)"),
        (labels + 1, "label holds classes from 1 to 3, expected 0 to 2"),
        (labels[:2], r"of shape \(2,\), expected"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            jem.loss_fn({"x": x, "label": jnp.asarray(bad)}, outputs)


def test_the_trainer_learns_which_values_a_model_takes(model: EBM, jem: JEM):
    assert model.value_ranges({"x": X}) == {}
    assert jem.value_ranges({"x": X}) == {"label": range(3)}
    rbm = RBM(RBMConfig(input_dim=4, n_hidden=3), rngs=nnx.Rngs(0))
    deep = DeepEBM(DeepEBMConfig(input_shape=(4, 4, 1), energy_network=ConvEnergyConfig(hidden_dims=(4,))), rngs=nnx.Rngs(0))
    for taker in (rbm, deep):  # binary units; chains that are kept to [0, 1]
        ranges = taker.value_ranges({"x": X})
        check_values({"x": np.array([[0.0, 1.0]])}, ranges, "it")
        with pytest.raises(DataError, match=r"write \(x \+ 1\) / 2"):
            check_values({"x": np.array([[-1.0, 1.0]])}, ranges, "it")
        with pytest.raises(DataError, match=r"astype\(np.float32\) / 255"):
            check_values({"x": np.array([[0.0, 255.0]])}, ranges, "it")
    boxed = EBMConfig(
        input_dim=2, energy_network=NETWORK, objective="noise_contrastive", reference={"kind": "uniform", "low": -2.0}
    )
    with pytest.raises(DataError, match="takes numbers from -2 to 1"):
        check_values({"x": X + 3}, EBM(boxed, rngs=nnx.Rngs(0)).value_ranges({"x": X}), "it")
    gaussian = RBM(RBMConfig(input_dim=4, n_hidden=3, visible_units="gaussian"), rngs=nnx.Rngs(0))
    assert gaussian.value_ranges({"x": X}) == {}


def test_a_conditional_model_chooses_classes_and_takes_lists():
    made = ConditionalEBMConfig(input_dim=2, n_classes=3, energy_network=NETWORK, mcmc=CHAIN)
    model = ConditionalEBM(made, rngs=nnx.Rngs(0))
    assert_array_equal(model.conditions_for(5), [0, 1, 2, 0, 1])
    assert model.value_ranges({"x": X, "label": X}) == {"label": range(3)}
    assert model.value_ranges({"x": X, "condition": X}) == {"condition": range(3)}
    classes = [0, 1, 2, 0]
    assert_allclose(model.energy(X.tolist(), condition=classes), model.energy(X, condition=np.array(classes)), rtol=1e-6)
    turns, asked = (model.generate(4, rngs=nnx.Rngs(1), **given) for given in ({}, {"condition": classes}))
    assert_array_equal(turns, asked)


@pytest.mark.parametrize(
    "fields",
    [
        {"reference": {"kind": "gaussian", "scale": float("inf")}},
        {"reference": {"kind": "gaussian", "mean": float("nan")}},
        {"reference": {"kind": "uniform", "low": float("nan")}},
        {"mcmc": {"bounds": [float("nan"), 1.0]}},
    ],
)
def test_numbers_of_configs_are_finite(fields: dict[str, Any]):
    with pytest.raises(ValueError, match="finite number"):
        EBMConfig.from_dict({"input_dim": 2, **fields})


def test_what_is_learned_of_log_z_knows_its_axes():
    model = EBM(EBMConfig(input_dim=2, energy_network=NETWORK, objective="noise_contrastive"), rngs=nnx.Rngs(0))
    assert model.log_partition is not None
    assert model.log_partition.get_metadata()["logical_axes"] == ()
