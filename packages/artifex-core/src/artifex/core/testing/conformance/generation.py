"""Checks of ``generate``: what it gives, and that it is one program, compiled once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.testing.conformance.subject import Subject, finite

_COMPILING = "/jax/core/compile/"


def samples(subject: Subject) -> None:
    """``generate(n)`` gives ``n`` finite examples like those of the batch."""
    x, n = subject.batch["x"], subject.case.n_samples
    made = subject.generate(subject.model())
    assert isinstance(made, jax.Array), f"generate gives a {type(made).__name__} instead of a jax.Array"
    wanted = (n, *subject.example_shape)
    assert made.shape == wanted, f"generate({n}) gives shape {made.shape} instead of {wanted}"
    for kind in (jnp.floating, jnp.integer):
        assert jnp.issubdtype(made.dtype, kind) == jnp.issubdtype(x.dtype, kind), f"x is {x.dtype}, samples are {made.dtype}"
    assert finite(made), "generate gives values that are not finite"
    if not subject.case.sampling:
        graph, *state = subject.parts()
        one = jax.eval_shape(lambda state: nnx.merge(graph, *state).generate(), state)
        assert one.shape == (1, *subject.example_shape), f"generate() gives shape {one.shape}: n_samples has to default to 1"


def generates_in_one_program(subject: Subject) -> None:
    """``generate`` hands the device one program, and neither traces nor compiles when it is called again."""
    graph, state = nnx.split(subject.model())

    def run(state: Any, key: jax.Array) -> jax.Array:
        return subject.generate(nnx.merge(graph, state), rngs=nnx.Rngs(key))

    jaxpr = jax.make_jaxpr(run)(nnx.as_pure(state), subject.key())
    # What it takes to draw a key is scalar. All else has to happen inside a single jit.
    steps = [eqn for eqn in jaxpr.jaxpr.eqns if any(math.prod(var.aval.shape) > 1 for var in eqn.outvars)]
    names = [eqn.primitive.name for eqn in steps]
    assert names in (["jit"], ["pjit"]), (
        f"generate runs {len(names)} programs, {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}, instead of one: "
        "decorate it with artifex.core.compilation.compiled_method"
    )
    model, rngs = subject.model(), nnx.Rngs(subject.key())
    for streams in (None, rngs):
        subject.generate(model, rngs=streams)
        with compilations() as events:
            jax.block_until_ready(subject.generate(model, rngs=streams))
        assert not events, f"called again, generate traces or compiles anew, {len(events)} steps of it: {sorted(set(events))}"


@contextmanager
def compilations() -> Iterator[list[str]]:
    """A list that gains the name of everything that JAX traces, lowers or compiles meanwhile."""
    events: list[str] = []
    listeners = _listeners()
    listeners.append(events)
    try:
        yield events
    finally:
        listeners[:] = [other for other in listeners if other is not events]


@cache
def _listeners() -> list[list[str]]:
    """Where JAX's monitoring reports to: registered once, since it cannot be taken back."""
    listeners: list[list[str]] = []

    def report(event: str, duration_secs: float, **kwargs: Any) -> None:
        del duration_secs, kwargs
        if event.startswith(_COMPILING):
            for events in listeners:
                events.append(event.removeprefix(_COMPILING))

    jax.monitoring.register_event_duration_secs_listener(report)
    return listeners
