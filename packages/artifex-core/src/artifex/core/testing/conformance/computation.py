"""Checks of what a model computes: shapes, losses, gradients, compilation, precision, storage, exact likelihoods."""

from __future__ import annotations

import inspect
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.objectives import WeightedMean, value_of
from artifex.core.protocols import AdversarialModelProtocol, DeclaresObjectives, GenerativeModelProtocol
from artifex.core.storage import load_model, save_model
from artifex.core.testing.conformance.subject import Subject, by_path, close, finite, taken

DRAWS = 16
BFLOAT16_TOLERANCE = 0.05


def outputs(subject: Subject) -> None:
    """The forward pass gives a dict of finite arrays, the same names, types and shapes however many examples there are."""
    model = subject.model()
    if not isinstance(model, GenerativeModelProtocol):
        pytest.skip("not applicable: the model has no forward pass")
    made = subject.forward(model, subject.batch, nnx.Rngs(subject.key()))
    assert isinstance(made, dict), f"the forward pass gives a {type(made).__name__} instead of a dict of arrays"
    assert made, "the forward pass gives no output"
    for name, value in made.items():
        assert isinstance(name, str), f"{name!r}: outputs have strings for names"
        assert isinstance(value, jax.Array), f"output {name!r} is a {type(value).__name__} instead of a jax.Array"
        assert finite(value), f"output {name!r} has values that are not finite"
    _follow_the_batch(subject, made)


def _follow_the_batch(subject: Subject, made: dict[str, jax.Array]) -> None:
    """An output has the batch's axis first, or none: nothing else can be divided over devices, or joined from parts."""
    n = len(subject.batch["x"])
    graph, *state = subject.parts()

    def run(state: Any, batch: Any, key: jax.Array) -> Any:
        return subject.forward(nnx.merge(graph, *state), batch, nnx.Rngs(key))

    twice = jax.eval_shape(run, state, subject.rows(np.arange(2 * n) % n), subject.key())
    assert twice.keys() == made.keys(), f"outputs {sorted(made)} become {sorted(twice)} with a batch of another size"
    for name, value in made.items():
        wanted = {value.shape, (2 * n, *value.shape[1:])} if value.shape[:1] == (n,) else {value.shape}
        shape, dtype = twice[name].shape, twice[name].dtype
        assert shape in wanted, (
            f"output {name!r} has shape {value.shape} for {n} examples and {shape} for {2 * n}; the batch's axis comes first"
        )
        assert dtype == value.dtype, f"output {name!r} is {value.dtype} for {n} examples and {dtype} for {2 * n}"


def loss_is_finite(subject: Subject) -> None:
    """Every objective gives named, finite float32 scalars, ``loss`` among them, means over examples or with their weights."""
    for name in subject.objectives:
        losses = subject.losses(name, subject.model())
        assert "loss" in losses, f"{_label(name)} has no 'loss' among {sorted(losses)}"
        for term, scalar in losses.items():
            _has_weight(term, scalar, name)
        terms = {term: value_of(scalar) for term, scalar in losses.items()}
        for term, value in terms.items():
            assert jnp.shape(value) == (), f"{term!r} of {_label(name)} has shape {jnp.shape(value)} instead of being a scalar"
            assert finite(value), f"{term!r} of {_label(name)} is {float(value)}"
        assert jnp.result_type(terms["loss"]) == jnp.float32, f"{_label(name)} adds up in {jnp.result_type(terms['loss'])}"


def _has_weight(term: str, scalar: Any, name: str) -> None:
    """A weighted mean has a total for each weight, and no weight below zero."""
    if isinstance(scalar, WeightedMean):
        total, weight = (np.asarray(a) for a in (scalar.total, scalar.weight))
        what = f"{term!r} of {_label(name)}"
        assert total.ndim <= 1, f"{what} has a total of shape {total.shape} instead of a scalar"
        assert total.shape == weight.shape, f"{what} has a total of shape {total.shape} and a weight of shape {weight.shape}"
        assert finite(weight), f"{what} weighs {weight}"
        assert np.all(weight >= 0), f"{what} weighs {weight}, less than nothing"


def gradient_reaches_every_parameter(subject: Subject) -> None:
    """No parameter is left out by all objectives together, and no gradient is not finite.

    Looked at where the model starts, and a small random step away from there: a layer that starts at zero hides those before.
    """
    _, params, state = subject.parts()
    reached: set[str] = set()
    for name in subject.objectives:
        for i, at in enumerate((params, subject.moved(params))):
            gradients = by_path(subject.step(name)(at, state, subject.batch, subject.key(i)).gradients)
            _all_finite(gradients, name)
            reached |= {path for path, g in gradients.items() if np.any(g) and subject.owns(name, path)}
    missed = sorted(by_path(params).keys() - reached)
    assert not missed, f"no gradient reaches {', '.join(missed)}"


def _all_finite(gradients: dict[str, np.ndarray], name: str, where: str = "") -> None:
    bad = sorted(path for path, g in gradients.items() if not finite(g))
    assert not bad, f"the gradient of {_label(name)} is not finite{where} for {bad}"


def jit_equals_eager(subject: Subject) -> None:
    """Compiled and uncompiled, the objectives and the forward pass give the same."""
    what = "compiled against uncompiled"
    for name, objective in subject.objectives.items():
        losses, outputs = objective(subject.model(), subject.batch, subject.batch, nnx.Rngs(subject.key()))
        terms = {term: value_of(scalar) for term, scalar in losses.items()}
        compiled = subject.stepped(name)
        close({_label(name): compiled.terms}, {_label(name): terms}, what)
        close({"the forward pass": compiled.outputs}, {"the forward pass": dict(outputs)}, what)
    model = subject.model()
    if isinstance(model, (AdversarialModelProtocol, DeclaresObjectives)) and isinstance(model, GenerativeModelProtocol):
        graph, *state = subject.parts()

        def run(state: Any, key: jax.Array) -> Any:
            return subject.forward(nnx.merge(graph, *state), subject.batch, nnx.Rngs(key))

        arguments = (state, subject.key())
        close({"the forward pass": jax.jit(run)(*arguments)}, {"the forward pass": run(*arguments)}, what)


def traced_once(subject: Subject) -> None:
    """Further batches of one shape, with the state that the last one left, need no further trace; calls keep the structure."""
    graph, params, state = subject.parts()
    for name in subject.objectives:
        model = subject.model()
        subject.objective(name, model)
        assert nnx.graphdef(model) == graph, f"{_label(name)} changes the model's structure: a Python attribute, say"
        step = subject.step(name)
        left = step(params, state, subject.batch, subject.key()).model_state  # traced here, if no check before has done it
        before, n = step.traces, len(subject.batch["x"])
        for i in (1, 2):
            left = step(
                params, left, subject.rows((np.arange(n) + i) % len(subject.case.batch["x"])), subject.key(i)
            ).model_state
        traces = 1 + step.traces - before
        assert traces == 1, f"{_label(name)} is traced {traces} times for three batches of one shape"


def same_seed_same_result(subject: Subject) -> None:
    """Two models of one seed have equal parameters, losses, and samples, from given streams and from their own."""
    one, other = subject.build(), subject.build()
    _same(nnx.as_pure(nnx.state(one)), nnx.as_pure(nnx.state(other)), "parameters")
    for name in subject.objectives:
        a, b = (subject.objective(name, model) for model in (one, other))
        _same(a, b, f"terms of {_label(name)}")
    a, b = (subject.generate(m, rngs=nnx.Rngs(subject.key())) for m in (one, other))
    _same(a, b, "samples from given streams")
    _same(subject.generate(one), subject.generate(other), "samples from the models' own streams")


def calls_differ(subject: Subject) -> None:
    """Samples differ from call to call, from seed to seed, and within one call, a small step from where the model starts."""
    model, rngs = subject.moved_model(), nnx.Rngs(subject.key())
    _different(subject.generate(model), subject.generate(model), "two calls of generate without rngs")
    _different(subject.generate(model, rngs=rngs), subject.generate(model, rngs=rngs), "two calls with one nnx.Rngs")
    x, y = (np.asarray(subject.generate(model, rngs=nnx.Rngs(subject.key(i)))) for i in (1, 2))
    _different(x, y, "two seeds")
    if not subject.case.sampling and subject.case.n_samples > 1:
        assert np.any(x != x[:1]), f"all {subject.case.n_samples} samples of one call are equal"


def saved_and_restored(subject: Subject) -> None:
    """Saved and loaded again, the model gives bit for bit the same losses and samples."""
    model = subject.model()
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_model(save_model(model, folder), rngs=nnx.Rngs(subject.case.seed + 1))
    assert type(loaded) is type(model), f"a {type(model).__name__} came back as a {type(loaded).__name__}"
    for name in subject.objectives:
        a, b = (subject.objective(name, _evaluated(m)) for m in (model, loaded))
        _same(a, b, f"terms of {_label(name)} before saving and after loading")
    a, b = (subject.generate(_evaluated(m), rngs=nnx.Rngs(subject.key())) for m in (model, loaded))
    _same(a, b, "samples before saving and after loading")


def _evaluated(model: Any) -> Any:
    """Without dropout, whose own streams are not saved."""
    return nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)


def bfloat16(subject: Subject) -> None:
    """With parameters and inputs in bfloat16 the loss is float32, near that of float32, and its gradients are finite.

    As in training, scalar parameters stay as they are. A rounding to bfloat16 is one part in 512; the tolerance of one in 20 of
    the largest term lets two dozen of them fall one way. Noise may be drawn in either type, so that the draws may differ:
    averages over 16 are compared, and four standard errors of each are allowed on top.
    """
    _, params, state = subject.parts()
    kinds = [(params, subject.batch), (jax.tree.map(_halved, params), jax.tree.map(_halved, subject.batch))]
    for name in subject.objectives:
        step = subject.step(name)
        full, half = ([step(at, state, subject.batch, subject.key(i), inputs) for i in range(DRAWS)] for at, inputs in kinds)
        made = half[0].terms["loss"].dtype
        assert made == jnp.float32, f"{_label(name)} adds up in {made}: convert before summing"
        for stepped in half:
            assert finite(stepped.terms["loss"]), f"{_label(name)} is not finite in bfloat16"
            _all_finite(by_path(stepped.gradients), name, " in bfloat16")
        scale = max(float(np.max(np.abs(value))) for stepped in full for value in stepped.terms.values())
        losses = [np.array([stepped.terms["loss"] for stepped in kind], np.float64) for kind in (full, half)]
        a, b = (float(np.mean(loss)) for loss in losses)
        error = sum(4 * float(np.std(loss)) / DRAWS**0.5 for loss in losses)
        assert abs(a - b) <= BFLOAT16_TOLERANCE * scale + error, f"{_label(name)} is {b:.5g} in bfloat16 and {a:.5g} in float32"


def likelihood_adds_up_to_one(subject: Subject) -> None:
    """``sum_x w(x) p(x) = 1`` over the case's small space, to a thousandth: the midpoint rule's error, and float32's.

    A conditional model is given the condition of the first example of the batch. A ``log_prob`` that takes no ``rngs`` draws
    nothing, and so is no estimate: such a model's case has to give the space.
    """
    declared = "log_prob" in subject.entry.capabilities
    if subject.case.exact is None:
        assert not declared or "rngs" in inspect.signature(subject.model().log_prob).parameters, (
            "log_prob takes no rngs and so has to be exact: give the case a small space that holds all the mass, "
            "exact=box(...) or exact=lattice(...), and a config small enough for it"
        )
        pytest.skip("not applicable: the model has no exact log_prob")
    assert declared, "the case gives a space, but the entry declares no capability 'log_prob'"
    points, weights = subject.case.exact
    log_prob = subject.model().log_prob
    given = {name: jnp.repeat(value[:1], len(points), axis=0) for name, value in taken(log_prob, subject.case.batch).items()}
    log_probs = np.asarray(log_prob(jnp.asarray(points), **given), np.float64)
    assert log_probs.shape == weights.shape, f"log_prob of {len(points)} points has shape {log_probs.shape}"
    total = float(np.sum(weights * np.exp(log_probs)))
    assert abs(total - 1) <= 1e-3, f"the probabilities add up to {total:.6g} instead of 1"


def _halved(x: jax.Array) -> jax.Array:
    floats = jnp.ndim(x) and jnp.issubdtype(x.dtype, jnp.floating)
    return jax.device_put(np.asarray(x).astype(jnp.bfloat16)) if floats else x


def _label(name: str) -> str:
    return f"the {name}'s objective" if name else "the objective"


def _same(a: Any, b: Any, what: str) -> None:
    one, other = by_path(a), by_path(b)
    assert one.keys() == other.keys(), f"{what}: {sorted(one)} and {sorted(other)}"
    differ = sorted(path for path, value in one.items() if not np.array_equal(value, other[path]))
    assert not differ, f"{what} are not the same{': ' + ', '.join(differ) if any(differ) else ''}"


def _different(a: Any, b: Any, what: str) -> None:
    assert not np.array_equal(np.asarray(a), np.asarray(b)), f"{what} give equal samples: is there a fixed key?"
