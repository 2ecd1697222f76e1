"""Checks of what a model computes: shapes, losses, gradients, compilation, precision, storage, exact likelihoods."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.protocols import Batch, GenerativeModelProtocol
from artifex.core.storage import load_model, save_model
from artifex.core.testing.conformance.subject import Subject, by_path, close

DRAWS = 16
BFLOAT16_TOLERANCE = 0.05


def outputs(subject: Subject) -> None:
    """The forward pass gives a dict of finite arrays."""
    model = subject.model()
    if not isinstance(model, GenerativeModelProtocol):
        pytest.skip("not applicable: the model has no forward pass")
    made = subject.forward(model, subject.batch, nnx.Rngs(subject.key()))
    assert isinstance(made, dict), f"the forward pass gives a {type(made).__name__} instead of a dict of arrays"
    assert made, "the forward pass gives no output"
    for name, value in made.items():
        assert isinstance(name, str), f"{name!r}: outputs have strings for names"
        assert isinstance(value, jax.Array), f"output {name!r} is a {type(value).__name__} instead of a jax.Array"
        assert bool(jnp.all(jnp.isfinite(value))), f"output {name!r} has values that are not finite"


def loss_is_finite(subject: Subject) -> None:
    """Every objective gives named, finite float32 scalars, ``loss`` among them."""
    for name, objective in subject.objectives.items():
        terms = objective(subject.model(), subject.batch, nnx.Rngs(subject.key()))
        assert "loss" in terms, f"{_label(name)} has no 'loss' among {sorted(terms)}"
        for term, value in terms.items():
            assert jnp.shape(value) == (), f"{term!r} of {_label(name)} has shape {jnp.shape(value)} instead of being a scalar"
            assert bool(jnp.isfinite(value)), f"{term!r} of {_label(name)} is {float(value)}"
        assert jnp.result_type(terms["loss"]) == jnp.float32, f"{_label(name)} adds up in {jnp.result_type(terms['loss'])}"


def gradient_reaches_every_parameter(subject: Subject) -> None:
    """No parameter is left out by all objectives together, and no gradient is not finite.

    Looked at where the model starts, and a small random step away from there: a layer that starts at zero hides those before.
    """
    _, params, rest = subject.parts()
    reached: set[str] = set()
    for name in subject.objectives:
        for i, at in enumerate((params, subject.moved(params))):
            gradients = by_path(subject.gradient(name)(at, rest, subject.batch, subject.key(i))[1])
            bad = sorted(path for path, g in gradients.items() if not np.all(np.isfinite(g)))
            assert not bad, f"the gradient of {_label(name)} is not finite for {bad}"
            below = f"{name}." if name else ""
            reached |= {path for path, g in gradients.items() if np.any(g) and path.startswith(below)}
    missed = sorted(by_path(params).keys() - reached)
    assert not missed, f"no gradient reaches {', '.join(missed)}"


def jit_equals_eager(subject: Subject) -> None:
    """Compiled and uncompiled, the objectives and the forward pass give the same."""
    graph, state = nnx.split(subject.model())
    functions: dict[str, Any] = {_label(name): objective for name, objective in subject.objectives.items()}
    if isinstance(subject.model(), GenerativeModelProtocol):
        functions["the forward pass"] = subject.forward

    def run(state: Any, batch: Batch, key: jax.Array) -> dict[str, Any]:
        return {label: dict(f(nnx.merge(graph, state), batch, nnx.Rngs(key))) for label, f in functions.items()}

    arguments = (nnx.as_pure(state), subject.batch, subject.key())
    close(jax.jit(run)(*arguments), run(*arguments), "compiled against uncompiled")


def traced_once(subject: Subject) -> None:
    """Further batches of one shape, with the state that the last one left, need no further trace; calls keep the structure."""
    for name, objective in subject.objectives.items():
        model = subject.model()
        before = nnx.graphdef(model)
        objective(model, subject.batch, nnx.Rngs(subject.key()))
        assert nnx.graphdef(model) == before, f"{_label(name)} changes the model's structure: a Python attribute, say"
        traces = []

        @partial(jax.jit, static_argnums=0)
        def run(graph: Any, state: Any, batch: Batch, key: jax.Array, objective: Any = objective, traces: Any = traces) -> Any:
            traces.append(graph)
            model = nnx.merge(graph, state)
            return objective(model, batch, nnx.Rngs(key))["loss"], nnx.as_pure(nnx.state(model))

        state: Any = nnx.as_pure(nnx.state(subject.model()))
        for i in range(3):
            batch = {key: jnp.roll(value, i, axis=0) for key, value in subject.batch.items()}
            _, state = run(before, state, batch, subject.key(i))
        assert len(traces) == 1, f"{_label(name)} is traced {len(traces)} times for three batches of one shape"


def same_seed_same_result(subject: Subject) -> None:
    """Two models of one seed have equal parameters, losses, and samples, from given streams and from their own."""
    one, other = subject.model(), subject.model()
    _same(nnx.as_pure(nnx.state(one)), nnx.as_pure(nnx.state(other)), "parameters")
    for name, objective in subject.objectives.items():
        terms = [dict(objective(m, subject.batch, nnx.Rngs(subject.key()))) for m in (one, other)]
        _same(terms[0], terms[1], f"terms of {_label(name)}")
    a, b = (subject.generate(m, rngs=nnx.Rngs(subject.key())) for m in (one, other))
    _same(a, b, "samples from given streams")
    _same(subject.generate(one), subject.generate(other), "samples from the models' own streams")


def calls_differ(subject: Subject) -> None:
    """Samples differ from call to call, from seed to seed, and within one call, a small step from where the model starts."""
    model, rngs = subject.moved_model(), nnx.Rngs(subject.key())
    _different(subject.generate(model), subject.generate(model), "two calls of generate without rngs")
    _different(subject.generate(model, rngs=rngs), subject.generate(model, rngs=rngs), "two calls with one nnx.Rngs")
    x, y = (subject.generate(model, rngs=nnx.Rngs(subject.key(i))) for i in (1, 2))
    _different(x, y, "two seeds")
    if not subject.case.sampling and subject.case.n_samples > 1:
        assert bool(jnp.any(x != x[:1])), f"all {subject.case.n_samples} samples of one call are equal"


def saved_and_restored(subject: Subject) -> None:
    """Saved and loaded again, the model gives bit for bit the same losses and samples."""
    model = subject.model()
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_model(save_model(model, folder), rngs=nnx.Rngs(subject.case.seed + 1))
    assert type(loaded) is type(model), f"a {type(model).__name__} came back as a {type(loaded).__name__}"
    for name, objective in subject.objectives.items():
        terms = [dict(objective(_evaluated(m), subject.batch, nnx.Rngs(subject.key()))) for m in (model, loaded)]
        _same(terms[0], terms[1], f"terms of {_label(name)} before saving and after loading")
    a, b = (subject.generate(_evaluated(m), rngs=nnx.Rngs(subject.key())) for m in (model, loaded))
    _same(a, b, "samples before saving and after loading")


def _evaluated(model: Any) -> Any:
    """Without dropout, whose own streams are not saved."""
    return nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)


def bfloat16(subject: Subject) -> None:
    """With parameters and inputs in bfloat16 the loss is float32, finite, and near that of float32.

    As in training, scalar parameters stay as they are. A rounding to bfloat16 is one part in 512; the tolerance of one in 20 of
    the largest term lets two dozen of them fall one way. Noise may be drawn in either type, so that the draws may differ:
    averages over 16 are compared, and four standard errors of each are allowed on top.
    """
    graph, params, rest = subject.parts()
    keys = jax.vmap(subject.key)(jnp.arange(DRAWS))
    for name, objective in subject.objectives.items():

        def losses(params: Any, inputs: Batch, objective: Any = objective) -> Any:
            def one(key: jax.Array) -> Any:
                return dict(objective(nnx.merge(graph, params, rest), subject.batch, nnx.Rngs(key), inputs))

            return jax.lax.map(one, keys)

        compiled = jax.jit(losses)
        full = compiled(params, subject.batch)
        half = compiled(jax.tree.map(_halved, params), jax.tree.map(_halved, subject.batch))
        assert half["loss"].dtype == jnp.float32, f"{_label(name)} adds up in {half['loss'].dtype}: convert before summing"
        assert bool(jnp.all(jnp.isfinite(half["loss"]))), f"{_label(name)} is not finite in bfloat16"
        scale = max(float(jnp.max(jnp.abs(value))) for value in full.values())
        error = sum(4 * float(jnp.std(value["loss"])) / DRAWS**0.5 for value in (full, half))
        a, b = float(jnp.mean(half["loss"])), float(jnp.mean(full["loss"]))
        assert abs(a - b) <= BFLOAT16_TOLERANCE * scale + error, f"{_label(name)} is {a:.5g} in bfloat16 and {b:.5g} in float32"


def likelihood_adds_up_to_one(subject: Subject) -> None:
    """``sum_x w(x) p(x) = 1`` over the case's small space, to a thousandth: the midpoint rule's error, and float32's."""
    if subject.case.exact is None:
        pytest.skip("not applicable: the case gives no space ('exact') over which log_prob would add up to one")
    assert "log_prob" in subject.entry.capabilities, "the case gives a space, but the entry declares no capability 'log_prob'"
    points, weights = subject.case.exact
    log_probs = np.asarray(subject.model().log_prob(jnp.asarray(points)), np.float64)
    assert log_probs.shape == weights.shape, f"log_prob of {len(points)} points has shape {log_probs.shape}"
    total = float(np.sum(weights * np.exp(log_probs)))
    assert abs(total - 1) <= 1e-3, f"the probabilities add up to {total:.6g} instead of 1"


def _halved(x: jax.Array) -> jax.Array:
    return x.astype(jnp.bfloat16) if jnp.ndim(x) and jnp.issubdtype(x.dtype, jnp.floating) else x


def _label(name: str) -> str:
    return f"the {name}'s objective" if name else "the objective"


def _same(a: Any, b: Any, what: str) -> None:
    one, other = by_path(a), by_path(b)
    assert one.keys() == other.keys(), f"{what}: {sorted(one)} and {sorted(other)}"
    differ = sorted(path for path, value in one.items() if not np.array_equal(value, other[path]))
    assert not differ, f"{what} are not the same{': ' + ', '.join(differ) if any(differ) else ''}"


def _different(a: Any, b: Any, what: str) -> None:
    assert not np.array_equal(np.asarray(a), np.asarray(b)), f"{what} give equal samples: is there a fixed key?"
