"""The model under test, and the ways in which the checks call it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import plugins
from artifex.core.factory import create_model
from artifex.core.protocols import AdversarialModelProtocol, Batch, TrainableGenerativeModelProtocol
from artifex.core.testing.conformance.case import Case

__all__ = ["N_DEVICES", "Objective", "Subject", "by_path", "close"]

N_DEVICES = 8
"""How many devices the sharding checks use."""

Objective = Callable[..., Mapping[str, jax.Array]]
"""``objective(model, batch, rngs, inputs=batch)``: the scalars of one loss. ``inputs`` is the batch that the network is given,
where that is not the one which its outputs are measured against."""


class Subject:
    """A case's model, made as often as the checks need it.

    Args:
        case: what to test.
    """

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def entry(self) -> Any:
        """What the installed plugins say of the model."""
        return plugins.registry().entry_of_config("model", type(self.case.config))

    @cached_property
    def model_class(self) -> type:
        """The model's class."""
        return plugins.resolve(self.entry.model)

    def model(self) -> Any:
        """A new model, always with the same parameters and streams."""
        return create_model(self.case.config, rngs=nnx.Rngs(self.case.seed))

    def key(self, i: int | jax.Array = 0) -> jax.Array:
        """The ``i``-th key of noise, none of them the model's own."""
        return jax.random.fold_in(jax.random.key(self.case.seed), i + 1)

    @cached_property
    def batch(self) -> dict[str, jax.Array]:
        """The case's batch, repeated until every device can have an equal share."""
        n = len(self.case.batch["x"])
        wanted = -(-n // N_DEVICES) * N_DEVICES
        return {key: value[np.arange(wanted) % n] for key, value in self.case.batch.items()}

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

    def forward(self, model: Any, batch: Batch, rngs: nnx.Rngs) -> Any:
        """``model(x)``, with those arrays of the batch that it takes."""
        names = _parameters(type(model).__call__)
        return model(batch["x"], rngs=rngs, **{key: value for key, value in batch.items() if key != "x" and key in names})

    def generate(self, model: Any, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Some samples; without ``rngs`` the model's own streams serve."""
        streams = {} if rngs is None else {"rngs": rngs}
        return model.generate(self.case.n_samples, **streams, **self.case.sampling)

    def gradient(self, name: str) -> Callable[..., Any]:
        """``f(params, rest, batch, key) -> ((loss, terms), gradients)`` of an objective, compiled; see :meth:`parts`."""
        if name not in self._gradients:
            graph, objective = self.parts()[0], self.objectives[name]

            def loss(params: Any, rest: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, Any]:
                terms = dict(objective(nnx.merge(graph, params, rest), batch, nnx.Rngs(key)))
                return terms["loss"], terms

            self._gradients[name] = jax.jit(jax.value_and_grad(loss, has_aux=True))
        return self._gradients[name]

    @cached_property
    def _gradients(self) -> dict[str, Callable[..., Any]]:
        return {}

    def parts(self) -> tuple[Any, Any, Any]:
        """Structure, parameters and everything else of a new model."""
        graph, params, rest = nnx.split(self.model(), nnx.Param, ...)
        return graph, nnx.as_pure(params), nnx.as_pure(rest)

    def moved(self, params: Any) -> Any:
        """``params`` a small random step away: a layer that starts at zero hides what comes before it."""
        leaves, structure = jax.tree.flatten(params)
        keys = jax.random.split(self.key(100), len(leaves))
        away = [p + 0.05 * jax.random.normal(k, jnp.shape(p), p.dtype) for p, k in zip(leaves, keys, strict=True)]
        return jax.tree.unflatten(structure, away)

    def moved_model(self) -> Any:
        """A new model with its parameters moved."""
        graph, params, rest = self.parts()
        return nnx.merge(graph, self.moved(params), rest)

    @cached_property
    def unsharded(self) -> dict[str, Any]:
        """``((loss, terms), gradients)`` of each objective on one device."""
        _, params, rest = self.parts()
        return {name: self.gradient(name)(params, rest, self.batch, self.key()) for name in self.objectives}


def _descended(
    subject: Subject, model: Any, batch: Batch, rngs: nnx.Rngs, inputs: Batch | None = None
) -> Mapping[str, jax.Array]:
    step = {"step": jnp.asarray(subject.case.step)} if "step" in _parameters(type(model).loss_fn) else {}
    return model.loss_fn(batch, subject.forward(model, batch if inputs is None else inputs, rngs), **step)


def _adversarial(method: str, model: Any, batch: Batch, rngs: nnx.Rngs, inputs: Batch | None = None) -> Mapping[str, jax.Array]:
    return getattr(model, method)(batch if inputs is None else inputs, rngs=rngs)


def _parameters(method: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(method).parameters


def by_path(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a tree under dotted names, keys of random streams as their bits."""
    return {
        ".".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path): np.asarray(_bits(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _bits(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key) else leaf


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
