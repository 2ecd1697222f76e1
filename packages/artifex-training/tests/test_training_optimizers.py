"""Optimisers and schedules against their formulas and against optax composed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from artifex.training import OptimizerConfig, SchedulerConfig, make_optimizer
from artifex.training.optimizers import learning_rate

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.7])}
GRADS = {"kernel": jnp.array([[0.1, 4.0], [-0.2, 1.0]]), "bias": jnp.array([2.0, -0.1])}


def walk(optimizer, steps=5):
    params, state = PARAMS, optimizer.init(PARAMS)
    for i in range(steps):
        grads = jax.tree.map(lambda g, i=i: g * (i + 1.0), GRADS)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def assert_same(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), a, b)


@pytest.mark.parametrize(
    ("scheduler", "step", "factor"),
    [
        ({}, 70, 1.0),
        ({"warmup_steps": 10}, 4, 0.4),
        ({"scheduler_type": "linear"}, 25, 0.75),
        ({"scheduler_type": "linear", "decay_steps": 50, "end_fraction": 0.2}, 25, 0.6),
        ({"scheduler_type": "linear", "decay_steps": 50, "end_fraction": 0.2}, 90, 0.2),
        ({"scheduler_type": "cosine"}, 25, 0.5 * (1 + np.cos(np.pi / 4))),
        ({"scheduler_type": "cosine", "warmup_steps": 20, "end_fraction": 0.1}, 60, 0.55),
        ({"scheduler_type": "exponential", "end_fraction": 0.01}, 50, 0.1),
        ({"scheduler_type": "exponential"}, 100, 0.01),
        ({"scheduler_type": "inverse_sqrt", "warmup_steps": 16}, 16 + 48, 0.5),
    ],
)
def test_schedule_is_its_formula(scheduler, step, factor):
    config = OptimizerConfig(learning_rate=0.02, scheduler=scheduler)
    np.testing.assert_allclose(learning_rate(config, 100)(step), 0.02 * factor, rtol=1e-6)


def test_optimizer_is_optax_own():
    made = make_optimizer(OptimizerConfig(optimizer_type="sgd", learning_rate=0.1, options={"momentum": 0.9}), 10)
    assert_same(walk(made), walk(optax.sgd(0.1, momentum=0.9)))


@pytest.mark.parametrize("name", ["sgd", "lion", "rmsprop", "rprop", "sm3", "optimistic_adam_v2", "adafactor", "lamb"])
def test_any_optimizer_of_optax_serves(name):
    walked = walk(make_optimizer(OptimizerConfig(optimizer_type=name, learning_rate=1e-2), 10))
    assert all(np.isfinite(leaf).all() for leaf in walked.values())
    assert any(np.abs(walked[key] - PARAMS[key]).max() > 0 for key in PARAMS)


def test_clipping_comes_before_the_optimizer():
    made = make_optimizer(OptimizerConfig(optimizer_type="sgd", learning_rate=1.0, clip_norm=0.5), 10)
    updates, _ = made.update(GRADS, made.init(PARAMS), PARAMS)
    np.testing.assert_allclose(optax.tree.norm(updates), 0.5, rtol=1e-6)
    made = make_optimizer(OptimizerConfig(optimizer_type="sgd", learning_rate=1.0, clip_value=0.5), 10)
    updates, _ = made.update(GRADS, made.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["kernel"], [[-0.1, -0.5], [0.2, -0.5]], rtol=1e-6)


def test_weight_decay_spares_biases_unless_told():
    config = OptimizerConfig(optimizer_type="adamw", weight_decay=0.1)
    matrices = {"kernel": True, "bias": False}
    assert_same(walk(make_optimizer(config, 10)), walk(optax.adamw(1e-3, weight_decay=0.1, mask=matrices)))
    assert_same(walk(make_optimizer(config.replace(decay_mask="all"), 10)), walk(optax.adamw(1e-3, weight_decay=0.1)))


def test_adamw_without_decay_is_adam():
    assert_same(walk(make_optimizer(OptimizerConfig(optimizer_type="adamw"), 10)), walk(optax.adam(1e-3)))


def test_decay_given_to_adam_makes_it_adamw():
    """The definition of decoupled decay: with a schedule too, the decay follows the learning rate."""
    scheduler = SchedulerConfig(scheduler_type="linear", warmup_steps=2)
    made = make_optimizer(OptimizerConfig(weight_decay=0.1, scheduler=scheduler, decay_mask="all"), 10)
    rate = learning_rate(OptimizerConfig(scheduler=scheduler), 10)
    assert_same(walk(made), walk(optax.adamw(rate, weight_decay=0.1)))


SETTINGS = [
    {"clip_norm": 1.0},
    {"clip_value": 0.1},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "decay_mask": "all"},
    {"learning_rate": 0.3},
    {"scheduler": {"scheduler_type": "cosine", "warmup_steps": 3}},
    {"groups": [{"parameters": "kernel", "learning_rate": 0.1}]},
]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lion", "adafactor", "lamb", "novograd", "rprop", "sm3"])
def test_the_state_has_one_structure_whatever_is_set(name):
    """What a run that is resumed may change without its checkpoint no longer fitting."""

    def form(fields):
        state = make_optimizer(OptimizerConfig(optimizer_type=name, **fields), 10).init(PARAMS)
        return [
            (jax.tree_util.keystr(path, simple=True, separator="."), leaf.shape, leaf.dtype)
            for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        ]

    for fields in SETTINGS:
        if name in ("rprop", "sm3") and "scheduler" in fields:
            continue  # which take no schedule
        assert form(fields) == form({})


def test_groups_scale_what_the_optimizer_does_and_clipping_sees_all():
    groups = [{"parameters": "bias", "learning_rate": 2.0}]
    config = OptimizerConfig(optimizer_type="sgd", learning_rate=0.5, groups=groups, clip_norm=1.0, weight_decay=0.1)
    made = make_optimizer(config.replace(decay_mask="all"), 10)
    updates, _ = made.update(GRADS, made.init(PARAMS), PARAMS)
    norm = optax.tree.norm(GRADS)
    for name, rate in [("kernel", 0.5), ("bias", 2.0)]:
        np.testing.assert_allclose(updates[name], -rate * (GRADS[name] / norm + 0.1 * PARAMS[name]), rtol=1e-6)


def test_groups_of_adam_are_adam_at_two_rates():
    made = make_optimizer(OptimizerConfig(groups=[{"parameters": "bias", "learning_rate": 0.02}]), 10)
    walked = walk(made)
    assert_same(walked["kernel"], walk(optax.adam(1e-3))["kernel"])
    assert_same(walked["bias"], walk(optax.adam(0.02))["bias"])


def test_what_is_frozen_is_not_moved_even_by_decay():
    config = OptimizerConfig(weight_decay=0.1, decay_mask="all", groups=[{"parameters": "bias", "frozen": True}])
    walked = walk(make_optimizer(config, 10))
    np.testing.assert_array_equal(walked["bias"], PARAMS["bias"])
    assert np.abs(walked["kernel"] - PARAMS["kernel"]).min() > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer_type": "adamm"}, "optax has no optimiser 'adamm'; did you mean adam"),
        ({"optimizer_type": "chain"}, "optax has no optimiser 'chain'"),
        ({"optimizer_type": "scale_by_rprop"}, "optax has no optimiser 'scale_by_rprop'; did you mean rprop"),
        ({"optimizer_type": "lbfgs"}, "optax.lbfgs cannot be used with these settings"),
        ({"optimizer_type": "rprop", "scheduler": {"scheduler_type": "cosine"}}, "some optimisers take no schedule"),
        ({"options": {"beta1": 0.9}}, "optax.adam has no option 'beta1'; it has b1, b2"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"groups": [{"parameters": "a"}]}, "has a learning_rate or is frozen, one of the two"),
        ({"groups": [{"parameters": "a", "learning_rate": 1.0, "frozen": True}]}, "one of the two"),
        ({"groups": [{"parameters": [], "frozen": True}]}, "groups.0.parameters"),
        ({"scheduler": {"end_fraction": 0.1}}, "a constant schedule does not use it"),
        ({"scheduler": {"scheduler_type": "inverse_sqrt"}}, "takes its time scale from warmup_steps"),
        ({"scheduler": {"scheduler_type": "exponential", "end_fraction": 0}}, "never reaches 0"),
    ],
)
def test_mistakes_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(**fields)
