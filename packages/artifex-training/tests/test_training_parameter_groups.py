"""Groups of parameters in a whole training: rates of their own, and frozen ones that nothing is spent on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.storage import flat_weights
from artifex.training import Objective, Trainer, TrainerConfig
from artifex.training.loaders import as_loader
from artifex.training.parameter_groups import frozen_names

X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)


class Layers(nnx.Module):
    """Three linear layers, two of them in a list."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.inner = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
        self.head = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        for layer in self.inner:
            x = layer(x)
        return {"x": self.head(x)}

    def generate(self, n_samples=1, *, rngs=None):
        return self.head(jnp.ones((n_samples, 4)))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"]) ** 2)}


def weights(model):
    return {name: np.asarray(value) for name, value in flat_weights(model).items()}


def trained(groups=(), *, steps=1, model=None, **optimizer):
    """How far each parameter has moved, and the trainer."""
    model = model or Layers()
    before = weights(model)
    optimizer = {"optimizer_type": "sgd", "learning_rate": 0.1, "groups": groups} | optimizer
    trainer = Trainer(model, TrainerConfig(steps=steps, batch_size=16, optimizer=optimizer), seed=0)
    trainer.fit(X)
    return {name: value - before[name] for name, value in weights(model).items()}, trainer


def test_each_group_has_its_rate_and_the_first_that_covers_a_parameter_has_it():
    groups = [
        {"parameters": "**.bias", "learning_rate": 0.4},
        {"parameters": ["inner.1", "head"], "learning_rate": 0.01},
    ]
    moved, plain = trained(groups)[0], trained()[0]
    rates = {name: 0.4 if name.endswith("bias") else 0.1 if name == "inner.0.kernel" else 0.01 for name in plain}
    assert set(rates.values()) == {0.4, 0.1, 0.01}
    for name, rate in rates.items():
        np.testing.assert_allclose(moved[name], plain[name] * rate / 0.1, rtol=2e-4, atol=1e-7)  # differences of order 1e-2


def test_frozen_parameters_stay_and_cost_no_state_and_no_gradient():
    groups = [{"parameters": "inner.*", "frozen": True}]
    moved, trainer = trained(groups, steps=3, optimizer_type="adamw", weight_decay=0.1, decay_mask="all")
    assert {name for name, by in moved.items() if np.abs(by).max() > 0} == {"head.kernel", "head.bias"}
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(trainer.state.opt)]
    assert any("head.kernel" in name for name in names)
    assert not any("inner" in name for name in names)
    plain = trained(steps=1)[1]
    assert matrix_products(trainer) == 4  # three layers forward, and the head's own gradient
    assert matrix_products(plain) == 8  # all three forward, three gradients of kernels, two of inputs


def matrix_products(trainer):
    """How many a step has."""
    batch = {"x": jax.ShapeDtypeStruct((16, 4), jnp.float32)}
    plan = trainer.plan
    return str(jax.make_jaxpr(plan.program.step)(plan.shapes, batch, plan.parts.shapes.frozen)).count("dot_general[")


def test_the_function_that_tells_what_is_frozen():
    names = list(weights(Layers()))
    config = TrainerConfig(steps=1, optimizer={"groups": [{"parameters": "head.bias", "frozen": True}]})
    assert frozen_names(config, [Objective(None)], names) == {"head.bias"}
    assert frozen_names(TrainerConfig(steps=1), [Objective(None)], names) == set()
    two = [Objective(None, "a", "head"), Objective(None, "b", "inner")]
    config = TrainerConfig(steps=1, optimizers={"b": {"groups": [{"parameters": "inner.0", "frozen": True}]}})
    assert frozen_names(config, two, names) == {"inner.0.kernel", "inner.0.bias"}
    both = [Objective(None, "a"), Objective(None, "b")]  # what one of them moves is not frozen
    assert frozen_names(config, both, names) == set()


def test_where_there_are_lora_factors_they_alone_are_trained():
    names = ["a.kernel", "a.lora_a", "a.lora_b", "b.bias"]
    assert frozen_names(TrainerConfig(steps=1), [Objective(None)], names) == {"a.kernel", "b.bias"}


def test_frozen_parameters_may_be_coarse():
    model = Layers()
    model.inner[0].kernel = nnx.Param(model.inner[0].kernel[...].astype(jnp.bfloat16))
    with pytest.raises(InvalidInputError, match=r"parameter inner.0.kernel is bfloat16, too coarse"):
        trained(model=model)
    trained([{"parameters": "inner", "frozen": True}], model=model)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([{"parameters": "hed", "frozen": True}], r"training.optimizer.groups.0: 'hed' names nothing; did you mean 'head'"),
        (
            [{"parameters": "head", "frozen": True}, {"parameters": "head.bias", "learning_rate": 0.1}],
            r"groups.1: all that 'head.bias' names is in training.optimizer.groups.0 already.*put group 1 before group 0",
        ),
        ([{"parameters": "**", "frozen": True}], "every parameter is frozen, and nothing is left to train"),
    ],
)
def test_groups_that_cannot_be_meant(groups, message):
    with pytest.raises(InvalidInputError, match=message):
        trained(groups)


def test_groups_of_an_objective_are_checked_against_its_own_parameters():
    objectives = [
        Objective(lambda model, batch, rngs, step: model.loss_fn(batch, model(batch["x"])), name, name)
        for name in ("inner", "head")
    ]
    groups = [{"parameters": "inner.0", "frozen": True}]
    config = TrainerConfig(steps=1, batch_size=16, optimizer={"groups": groups})  # shared: one of the two has it
    model = Layers()
    before = weights(model)
    Trainer(model, config, seed=0, objectives=objectives).fit(X)
    same = {name for name, value in weights(model).items() if np.array_equal(value, before[name])}
    assert same == {"inner.0.kernel", "inner.0.bias"}
    config = TrainerConfig(steps=1, batch_size=16, optimizers={"head": {"groups": groups}})
    with pytest.raises(InvalidInputError, match=r"training.optimizers.head.groups.0: 'inner.0' names nothing"):
        Trainer(Layers(), config, seed=0, objectives=objectives).fit(X)


def test_a_dry_plan_of_groups_needs_no_arrays():
    config = TrainerConfig(steps=1, batch_size=16, optimizer={"groups": [{"parameters": "inner", "frozen": True}]})
    trainer = Trainer(Layers(), config, seed=0)
    trainer.memory(as_loader(X, batch_size=16, seed=0))
    assert trainer.plan.parts.shapes.frozen.keys() == {f"inner.{i}.{name}" for i in range(2) for name in ("kernel", "bias")}
