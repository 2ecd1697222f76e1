"""What is remembered of a model is what ``nnx.split`` would find, whatever has happened to it since."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from artifex.core.model_tree import flatten


class Inner(nnx.Module):
    def __init__(self) -> None:
        self.weight = nnx.Param(jnp.ones(2), logical_axes=("embed",))
        self.scale = 3.0


class Model(nnx.Module):
    def __init__(self) -> None:
        self.inner = Inner()
        self.items = nnx.List([Inner(), nnx.Param(jnp.zeros(1))])
        self.rngs = nnx.Rngs(0)
        self.sizes = (1, (2, 3))
        self.nothing = None


class WithArray(Model):
    def __init__(self) -> None:
        super().__init__()
        self.array = nnx.data(jnp.ones(3))


class WithDict(Model):
    def __init__(self) -> None:
        super().__init__()
        self.named = nnx.data({"a": nnx.Param(jnp.ones(1))})


class WithOptions(Model):
    def __init__(self) -> None:
        super().__init__()
        self.options = nnx.data([Inner()])


class Shared(Model):
    def __init__(self) -> None:
        super().__init__()
        self.again = self.inner
        self.weight = self.inner.weight


class Nested(Model):
    def __init__(self) -> None:
        super().__init__()
        self.pair = nnx.Variable((jnp.ones(1), jnp.ones(2)))


class Empty(Model):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nnx.Param(None)
        self.mode = nnx.Variable({}, mode="x")


class Cyclic(Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner.parent = self


class Bound(Model):
    def __init__(self) -> None:
        super().__init__()
        self.hook = self.method

    def method(self) -> None: ...


@dataclasses.dataclass
class Unhashable(nnx.Module):
    inner: Inner

    @classmethod
    def made(cls) -> Unhashable:
        return cls(Inner())


def check(model: nnx.Module) -> None:
    (graph, state), (expected_graph, expected) = flatten(model), nnx.split(model)
    expected = nnx.as_pure(expected)
    assert graph == expected_graph
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    assert all(a is b for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True))


def set_metadata(model: Model) -> None:
    model.inner.weight.set_metadata(logical_axes=("mlp",))


CHANGES: dict[str, Callable[[Model], object]] = {
    "a value": lambda m: m.inner.weight.set_value(jnp.zeros(2)),
    "a value of another shape": lambda m: m.inner.weight.set_value(jnp.zeros(5)),
    "a value that is a tree": lambda m: m.inner.weight.set_value((jnp.zeros(5), jnp.zeros(6))),
    "a number": lambda m: setattr(m.inner, "scale", 4.0),
    "a number of the model itself": lambda m: setattr(m, "sizes", (7,)),
    "a variable": lambda m: setattr(m.inner, "weight", nnx.Param(jnp.ones(2))),
    "a kind of variable": lambda m: setattr(m.inner, "weight", nnx.BatchStat(jnp.ones(2))),
    "a module": lambda m: setattr(m, "inner", Inner()),
    "one more item": lambda m: m.items.append(nnx.Param(jnp.ones(4))),
    "one item fewer": lambda m: m.items.pop(),
    "another order": lambda m: m.items.reverse(),
    "one more attribute": lambda m: setattr(m, "more", "text"),
    "one attribute fewer": lambda m: delattr(m, "nothing"),
    "metadata": set_metadata,
    "a stream": lambda m: m.rngs.sample(),
    "an array where there was none": lambda m: setattr(m, "nothing", nnx.data(jnp.ones(3))),
}


@pytest.mark.parametrize("kind", [Model, WithArray, WithDict, WithOptions, Shared, Nested, Empty])
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_what_split_finds(kind: type[Model], change: str) -> None:
    model = kind()
    check(model)
    check(model)  # as remembered
    CHANGES[change](model)
    check(model)
    check(model)


def test_what_changes_within_containers_is_seen() -> None:
    model = WithOptions()
    check(model)
    model.options.append(Inner())
    check(model)
    model = WithDict()
    check(model)
    model.named["b"] = nnx.Param(jnp.ones(2))
    check(model)


def test_within_a_transformation_the_values_are_its_own() -> None:
    model = Model()
    flatten(model)

    @nnx.jit
    def double(model: Model) -> jax.Array:
        model.inner.weight[...] *= 2
        _, state = flatten(model)
        return state["inner"]["weight"]

    assert double(model).tolist() == [2.0, 2.0]
    check(model)


def test_variables_that_hold_no_array_are_watched() -> None:
    model = Empty()
    check(model)
    model.mode.set_metadata(mode="y")
    check(model)
    model.bias.set_value(jnp.ones(2))
    check(model)
    model.inner.weight.__class__ = nnx.BatchStat
    check(model)
    vars(model)["renamed"] = vars(model).pop("sizes")
    check(model)


def test_a_model_that_cannot_be_hashed() -> None:
    model = Unhashable.made()
    check(model)
    model.inner.weight.set_value(jnp.zeros(3))
    check(model)


@pytest.mark.parametrize("kind", [Model, Cyclic, Bound])
def test_nothing_keeps_a_model_alive(kind: type[Model]) -> None:
    model = kind()
    flatten(model)
    watched = weakref.ref(model)
    del model
    gc.collect()
    assert watched() is None
