"""Checks of batches whose size is not that of the case: of any number of examples, and of none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import protocols
from artifex.core.protocols import Batch
from artifex.core.testing.conformance.subject import Subject, close, quickly, taken

MAPS: dict[str, type] = {
    "embed_parts": protocols.EmbedsParts,
    "encode": protocols.Encodes,
    "energy": protocols.HasEnergy,
    "log_prob": protocols.HasLogProb,
    "reconstruct": protocols.Reconstructs,
    "score": protocols.HasScore,
}
"""Capabilities that give something for every example of a batch."""

Function = Callable[[Any, Batch, jax.Array], Any]
"""Of the model's state, a batch, and the bits of a key."""


def any_batch_size(subject: Subject) -> None:
    """The forward pass and every capability can be exported for a batch of any size, and give what the model gives."""
    state, bits = nnx.as_pure(nnx.state(subject.model())), jax.random.key_data(subject.key())
    examples = len(subject.batch["x"])
    size = max(1, examples - 1)  # another one than the case's, which was compiled before
    some = {name: array[:size] for name, array in subject.batch.items()}
    (symbol,) = jax.export.symbolic_shape("b")
    any_size = {name: jax.ShapeDtypeStruct((symbol, *a.shape[1:]), a.dtype) for name, a in subject.batch.items()}
    functions, traced = _functions(subject), "nothing"

    def everything(state: Any, batch: Batch, bits: jax.Array) -> Any:  # one program, which is compiled once
        nonlocal traced
        made = {}
        for traced, function in functions.items():  # the error says how far it came
            made[traced] = function(state, batch, bits)
        return made

    try:
        exported = jax.export.export(jax.jit(everything))(_shapes(state), any_size, _shapes(bits))
    except (TypeError, ValueError, jax.errors.JAXTypeError, NotImplementedError) as error:
        raise AssertionError(
            f"{traced} is not the same program for every batch size: {error}\n"
            "write x.shape[0] for len(x), and jax.lax.collapse(x, 1) for x.reshape(len(x), -1)"
        ) from error
    got = jax.jit(exported.call, compiler_options=quickly())(state, some, bits)
    wanted = jax.jit(everything, compiler_options=quickly())(state, some, bits)
    close(got, wanted, f"what is exported for any batch size, and the model as it is, for {size} examples")


def no_examples(subject: Subject) -> None:
    """A batch without examples, which the last part of something may be, gives none and raises nothing."""
    state, bits = nnx.as_pure(nnx.state(subject.model())), jax.random.key_data(subject.key())
    none = {name: array[:0] for name, array in subject.batch.items()}
    for name, function in _functions(subject).items():
        try:
            made = jax.eval_shape(function, state, none, bits)
        except Exception as error:
            raise AssertionError(f"{name} of no examples raises {type(error).__name__}: {error}") from error
        if name in ("embed_parts", "energy", "log_prob", "reconstruct", "score"):
            assert made.shape[0] == 0, f"{name} of no examples has shape {made.shape}"
    for name, objective in subject.objectives.items():
        graph = nnx.graphdef(subject.model())

        def scalars(state: Any, objective: Any = objective, graph: Any = graph) -> Any:
            return objective(nnx.merge(graph, state), none, none, nnx.Rngs(subject.key()))[0]

        try:
            jax.eval_shape(scalars, state)
        except Exception as error:
            raise AssertionError(f"the objective {name!r} of no examples raises {type(error).__name__}: {error}") from error


def _functions(subject: Subject) -> dict[str, Function]:
    """The forward pass and the capabilities, each a pure function, of the model as it is evaluated."""
    evaluated = nnx.view(subject.model(), deterministic=True, use_running_average=True, raise_if_not_found=False)
    graph = nnx.graphdef(evaluated)

    def forward(state: Any, batch: Batch, bits: jax.Array) -> Any:
        return subject.forward(nnx.merge(graph, state), batch, nnx.Rngs(jax.random.wrap_key_data(bits)))

    def mapped(name: str) -> Function:
        def function(state: Any, batch: Batch, bits: jax.Array) -> Any:
            del bits
            method = getattr(nnx.merge(graph, state), name)
            return method(batch["x"], **taken(method, batch))

        return function

    model = subject.model()
    found = {name: mapped(name) for name, protocol in MAPS.items() if isinstance(model, protocol)}
    return {"the forward pass": forward, **found} if isinstance(model, protocols.GenerativeModelProtocol) else found


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), tree)
