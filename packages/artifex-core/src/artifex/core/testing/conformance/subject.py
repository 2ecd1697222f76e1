"""The model under test, and the ways in which the checks call it.

Nearly all of a suite's time is compilation, so the checks share what they compile: one training step for each objective serves
whatever looks at losses, gradients, the state that a step leaves, precision and placement. What the checks need beside the
model is done by NumPy, which compiles nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import plugins
from artifex.core.factory import create_model
from artifex.core.protocols import AdversarialModelProtocol, Batch, TrainableGenerativeModelProtocol
from artifex.core.testing.conformance.case import Case

__all__ = ["N_DEVICES", "Objective", "Step", "Stepped", "Subject", "by_path", "close", "finite", "host", "taken"]

N_DEVICES = 8
"""How many devices the sharding checks use."""

Objective = Callable[[Any, Batch, Batch, nnx.Rngs], tuple[Mapping[str, jax.Array], Mapping[str, jax.Array]]]
"""``objective(model, batch, inputs, rngs)``: the scalars of one loss, and the outputs of the forward pass if there was one. The
network is given ``inputs``; its outputs are measured against ``batch``."""


class Stepped(NamedTuple):
    """What a training step makes."""

    terms: Mapping[str, jax.Array]
    """Scalars of the objective."""
    outputs: Mapping[str, jax.Array]
    """Of the forward pass, if there was one."""
    model_state: Any
    """Everything of the model that is no parameter, as the step leaves it."""
    gradients: Any
    """Of the loss with respect to the parameters."""


class Step:
    """One objective with its gradients, compiled.

    Args:
        graph: the model's structure.
        objective: what to descend.
    """

    def __init__(self, graph: Any, objective: Objective) -> None:
        self.traces = 0
        """How often the step was traced."""

        def loss(params: Any, model_state: Any, batch: Batch, inputs: Batch, key: jax.Array) -> tuple[jax.Array, Any]:
            self.traces += 1
            model = nnx.merge(graph, params, model_state)
            terms, outputs = objective(model, batch, inputs, nnx.Rngs(key))
            return terms["loss"], (dict(terms), dict(outputs), nnx.as_pure(nnx.state(model, nnx.Not(nnx.Param))))

        self._compiled = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=quickly())

    def __call__(self, params: Any, model_state: Any, batch: Batch, key: jax.Array, inputs: Batch | None = None) -> Stepped:
        """Loss and gradients; the network is given ``inputs``, by default the batch."""
        made = self._compiled(params, model_state, batch, batch if inputs is None else inputs, key)
        (_, (terms, outputs, left)), gradients = made
        return Stepped(terms, outputs, left, gradients)


class Subject:
    """A case's model, made as often as the checks need it.

    Args:
        case: what to test.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self._steps: dict[str, Step] = {}

    @cached_property
    def entry(self) -> Any:
        """What the installed plugins say of the model."""
        return plugins.registry().entry_of_config("model", type(self.case.config))

    @cached_property
    def model_class(self) -> type:
        """The model's class."""
        return plugins.resolve(self.entry.model)

    def build(self) -> Any:
        """A model made from the config, always of the same seed."""
        return create_model(self.case.config, rngs=nnx.Rngs(self.case.seed))

    def model(self) -> Any:
        """A new model as :meth:`build` makes it: a copy of the first one, which takes no time."""
        return nnx.merge(*self.parts())

    def parts(self) -> tuple[Any, Any, Any]:
        """Structure, parameters and everything else of a new model."""
        return self._parts

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        graph, params, model_state = nnx.split(self.build(), nnx.Param, ...)
        return graph, nnx.as_pure(params), nnx.as_pure(model_state)

    def key(self, i: int = 0) -> jax.Array:
        """The ``i``-th key of noise, none of them the model's own."""
        return jax.random.key((1_000_003 * (self.case.seed + 1) + i) % 2**31)

    @cached_property
    def batch(self) -> dict[str, jax.Array]:
        """The case's batch, repeated until every device can have an equal share."""
        n = len(self.case.batch["x"])
        return self.rows(np.arange(-(-n // N_DEVICES) * N_DEVICES) % n)

    def rows(self, which: np.ndarray) -> dict[str, jax.Array]:
        """Some examples of the case's batch."""
        return {key: jnp.asarray(np.asarray(value)[which]) for key, value in self.case.batch.items()}

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.batch["x"].shape[1:]

    @cached_property
    def objectives(self) -> dict[str, Objective]:
        """One objective, or two of an adversarial model."""
        model = self.model()
        if isinstance(model, AdversarialModelProtocol):
            return {part: partial(_adversarial, f"{part}_objective") for part in ("generator", "discriminator")}
        assert isinstance(model, TrainableGenerativeModelProtocol), "the model has no objective: see the check 'protocols'"
        return {"": partial(_descended, self)}

    def objective(self, name: str, model: Any) -> dict[str, jax.Array]:
        """The scalars of an objective for the batch, not compiled."""
        return dict(self.objectives[name](model, self.batch, self.batch, nnx.Rngs(self.key()))[0])

    def forward(self, model: Any, batch: Batch, rngs: nnx.Rngs) -> Any:
        """``model(x)``, with those arrays of the batch that it takes."""
        return model(batch["x"], rngs=rngs, **taken(model.__call__, batch))

    def generate(self, model: Any, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Some samples; without ``rngs`` the model's own streams serve."""
        streams = {} if rngs is None else {"rngs": rngs}
        return model.generate(self.case.n_samples, **streams, **self.case.sampling)

    def step(self, name: str) -> Step:
        """The step of an objective, the same at every call."""
        if name not in self._steps:
            self._steps[name] = Step(self.parts()[0], self.objectives[name])
        return self._steps[name]

    def stepped(self, name: str) -> Stepped:
        """One step of an objective from where the model starts."""
        _, params, model_state = self.parts()
        return self.step(name)(params, model_state, self.batch, self.key())

    def moved(self, params: Any) -> Any:
        """``params`` a small random step away: a layer that starts at zero hides what comes before it."""
        noise = np.random.default_rng((self.case.seed, 1))
        away = jax.tree.map(lambda p: np.asarray(p + 0.05 * noise.normal(size=p.shape), p.dtype), host(params))
        return jax.device_put(away)

    def moved_model(self) -> Any:
        """A new model with its parameters moved."""
        graph, params, model_state = self.parts()
        return nnx.merge(graph, self.moved(params), model_state)


def quickly() -> dict[str, Any] | None:
    """Have the CPU's compiler leave out what only makes a program faster: a third of the time, for a program that runs once.

    What XLA does (differentiated, divided, fused) is the same.
    """
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def _descended(
    subject: Subject, model: Any, batch: Batch, inputs: Batch, rngs: nnx.Rngs
) -> tuple[Mapping[str, jax.Array], Mapping[str, jax.Array]]:
    step = {"step": jnp.asarray(subject.case.step)} if "step" in _parameters(type(model).loss_fn) else {}
    outputs = subject.forward(model, inputs, rngs)
    return model.loss_fn(batch, outputs, **step), outputs


def _adversarial(
    method: str, model: Any, batch: Batch, inputs: Batch, rngs: nnx.Rngs
) -> tuple[Mapping[str, jax.Array], Mapping[str, jax.Array]]:
    del batch
    return getattr(model, method)(inputs, rngs=rngs), {}


def taken(method: Any, batch: Batch) -> dict[str, jax.Array]:
    """Those arrays of the batch beside ``x`` that a method takes: a condition, say."""
    return {key: value for key, value in batch.items() if key != "x" and key in _parameters(method)}


def _parameters(method: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(method).parameters


def by_path(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a tree under dotted names, keys of random streams as their bits."""
    return {
        ".".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path): np.asarray(_bits(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def host(tree: Any) -> Any:
    """A tree's arrays as NumPy has them, but for keys of random streams."""
    return jax.tree.map(lambda leaf: leaf if _is_key(leaf) else np.asarray(leaf), tree)


def finite(value: Any) -> bool:
    """Whether every element of an array is a finite number."""
    array = np.asarray(_bits(value))
    return bool(np.all(np.isfinite(array)))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)


def _bits(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def close(got: Any, wanted: Any, what: str, *, tolerance: float = 1e-4) -> None:
    """Assert that two trees agree to ``tolerance`` of each array's largest element.

    One part in ten thousand is a thousand roundings of float32: programs that add in another order stay far below, and a term
    that is missing or counted twice lies far above.
    """
    a, b = by_path(got), by_path(wanted)
    assert a.keys() == b.keys(), f"{what}: {sorted(a)} in one and {sorted(b)} in the other"
    for path, value in b.items():
        scale = float(np.max(np.abs(value), initial=0.0))
        wrong = float(np.max(np.abs(a[path].astype(np.float64) - value.astype(np.float64)), initial=0.0))
        assert a[path].shape == value.shape, f"{what}: {path} has shape {a[path].shape} in one and {value.shape} in the other"
        assert wrong <= tolerance * scale + 1e-6, f"{what}: {path} differs by {wrong:.3g}, its largest element is {scale:.3g}"
