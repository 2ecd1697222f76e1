"""The conformance kit: right models pass every check, and each check catches a model that is wrong in its way."""

from __future__ import annotations

import uuid
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental.custom_partitioning import custom_partitioning

from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError, UnknownNameError
from artifex.core.nn import MLP
from artifex.core.objectives import Objective, WeightedMean, weighted_mean
from artifex.core.plugins import ModelEntry
from artifex.core.pure import functional
from artifex.core.testing.conformance import CHECKS, Case, ModelConformance, Subject, box, conformance, lattice

LATENT = 4


@config
class RightConfig(Config):
    """Of the models below."""

    size: int = 8
    """Features of an example."""


class Right(nnx.Module):
    """An autoencoder with a noisy code, after Tester 2001."""

    def __init__(self, config, *, rngs):
        self.config = config
        self.down = MLP(config.size, (16,), LATENT, activation="tanh", rngs=rngs)
        self.up = MLP(LATENT, (16,), config.size, activation="tanh", rngs=rngs)
        self.rngs = rngs.fork()

    def __call__(self, x, *, rngs=None):
        z = self.encode(x)
        return {"x": self.up(z + 0.1 * jax.random.normal(draw_key(self, rngs), z.shape, z.dtype))}

    def encode(self, x):
        return self.down(x)

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples=1, *, rngs=None):
        return self.up(jax.random.normal(rngs.sample(), (n_samples, LATENT)))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"].astype(jnp.float32) - batch["x"]) ** 2)}


class RightNoisy(Right):
    """With batch statistics, dropout and a head that starts at zero, after Tester 2001."""

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.norm = nnx.BatchNorm(config.size, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.up.layers[-1].kernel[...] = jnp.zeros((16, config.size))

    def encode(self, x):
        return super().encode(self.dropout(self.norm(x)))


class RightDensity(nnx.Module):
    """A Gaussian of one dimension, after Tester 2001."""

    def __init__(self, config, *, rngs):
        self.config = config
        self.mean = nnx.Param(jnp.full((1, 1), 0.3, jnp.float32))
        self.log_scale = nnx.Param(jnp.zeros((1, 1)))
        self.rngs = rngs.fork()

    def __call__(self, x, *, rngs=None):
        return {"log_prob": self.log_prob(x)}

    def log_prob(self, x):
        z = (x - self.mean[...]) * jnp.exp(-self.log_scale[...])
        return (-0.5 * z**2 - self.log_scale[...] - 0.5 * np.log(2 * np.pi))[:, 0]

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples=1, *, rngs=None):
        return self.mean[...] + jnp.exp(self.log_scale[...]) * jax.random.normal(rngs.sample(), (n_samples, 1))

    def loss_fn(self, batch, outputs):
        return {"loss": -jnp.mean(outputs["log_prob"].astype(jnp.float32))}


class RightConditional(Right):
    """Shifted by a condition, which it cannot do without, after Tester 2001."""

    def __call__(self, x, *, condition=None, rngs=None):
        z = self.encode(x, condition=condition)
        return {"x": self.up(z + 0.1 * jax.random.normal(draw_key(self, rngs), z.shape, z.dtype))}

    def encode(self, x, *, condition=None):
        return self.down(x + condition)

    def reconstruct(self, x, *, condition=None):
        return self.up(self.encode(x, condition=condition))

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples=1, *, condition=None, rngs=None):
        return self.up(jax.random.normal(rngs.sample(), (n_samples, LATENT))) + condition


class RightAdversarial(nnx.Module):
    """Two players, after Tester 2001."""

    def __init__(self, config, *, rngs):
        self.config = config
        self.generator = MLP(LATENT, (16,), config.size, activation="tanh", rngs=rngs)
        self.discriminator = MLP(config.size, (16,), 1, activation="tanh", rngs=rngs)
        self.rngs = rngs.fork()

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples=1, *, rngs=None):
        return self.generator(jax.random.normal(rngs.sample(), (n_samples, LATENT)))

    def _fakes(self, batch, rngs):
        return self.generator(jax.random.normal(rngs.sample(), (len(batch["x"]), LATENT), batch["x"].dtype))

    def generator_objective(self, batch, *, rngs):
        score = self.discriminator(self._fakes(batch, rngs)).astype(jnp.float32)
        return {"loss": jnp.mean(jax.nn.softplus(-score))}

    def discriminator_objective(self, batch, *, rngs):
        fake, real = (self.discriminator(x).astype(jnp.float32) for x in (self._fakes(batch, rngs), batch["x"]))
        return {"loss": jnp.mean(jax.nn.softplus(fake)) + jnp.mean(jax.nn.softplus(-real))}


class RightDeclaring(RightAdversarial):
    """Two players of which one moves more often, and a penalty that is counted by elements, after Tester 2001."""

    def objectives(self):
        return (
            Objective(type(self)._judge, "judge", "discriminator"),
            Objective(type(self)._shrink, "shrink", "discriminator", every=4, optimizer="judge"),
            Objective(
                lambda model, batch, rngs, step: model.generator_objective(batch, rngs=rngs), "maker", "generator", every=2
            ),
        )

    def _judge(self, batch, rngs, step):
        return self.discriminator_objective(batch, rngs=rngs)

    def _shrink(self, batch, rngs, step):
        score = functional(self.discriminator)
        slopes = jax.grad(lambda x: score(x).astype(jnp.float32).sum())(batch["x"])
        return {"loss": weighted_mean(slopes.astype(jnp.float32) ** 2, jnp.arange(len(slopes)) % 3 != 1)}


ENTRY = {"name": "right", "family": "test", "paper": "Tester 2001", "summary": "A model for tests."}
X = {"x": np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)}
POINTS = {"x": X["x"][:, :1]}


@pytest.fixture
def subject(use_registry):
    """``subject(Model)``: what a check is given. Further arguments go into the entry and the case."""

    def make(model, *, made_from=RightConfig, batch=X, capabilities=("encode",), entry=None, **options):
        targets = {"model": f"{__name__}:{model.__qualname__}", "config": f"{__name__}:{made_from.__qualname__}"}
        use_registry(artifex_models=[ModelEntry(**{**ENTRY, **targets, "capabilities": capabilities, **(entry or {})})])
        return Subject(Case(made_from(), batch, **options))

    return make


RIGHT = {
    "trainable": (Right, {}),
    "noisy": (RightNoisy, {}),
    "density": (RightDensity, {"batch": POINTS, "capabilities": ("log_prob",), "exact": box(-12, 12, (1,))}),
    "adversarial": (RightAdversarial, {"capabilities": ()}),
    "declaring": (RightDeclaring, {"capabilities": ()}),
    "conditional": (
        RightConditional,
        {
            "batch": {**X, "condition": np.ones((8, 1), np.float32)},
            "capabilities": ("encode", "reconstruct"),
            "sampling": {"condition": np.ones((8, 1), np.float32)},
        },
    ),
}
NOT_APPLICABLE = {
    "trainable": {"likelihood_adds_up_to_one"},
    "noisy": {"likelihood_adds_up_to_one"},
    "density": {"sharded_fsdp", "sharded_tensor"},
    "adversarial": {"outputs", "likelihood_adds_up_to_one"},
    "declaring": {"outputs", "likelihood_adds_up_to_one"},
    "conditional": {"likelihood_adds_up_to_one"},
}


@pytest.mark.daily("conditional", "declaring", "density")
@pytest.mark.parametrize("kind", RIGHT)
def test_a_right_model_passes_and_what_does_not_apply_is_skipped(kind, subject):
    model, options = RIGHT[kind]
    made, skipped, builds = subject(model, **options), set(), []
    build = made.build
    made.build = lambda: builds.append(1) or build()
    for name, check in CHECKS.items():
        try:
            check(made)
        except pytest.skip.Exception:
            skipped.add(name)
    assert skipped == NOT_APPLICABLE[kind]
    assert len(builds) == 3  # one to copy, and two to compare
    assert all(made.step(name).traces <= 5 for name in made.objectives)  # two precisions, three ways to divide


class Unregistered(Right):
    """After Tester 2001."""

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.config = None


class Undocumented(Right):
    pass


class HalfDocumented(Right):
    """After Tester 2001."""

    def explain(self):
        return self.down


@config
class UndocumentedConfig(RightConfig):
    pass


class Untrainable(Right):
    """After Tester 2001."""

    loss_fn = None

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)


class WithoutRngs(Right):
    def generate(self, n_samples=1):
        return super().generate(n_samples)


class Undeclared(Right):
    def decode(self, z):
        return self.up(z)


class MisshapenCapability(Right):
    def reconstruct(self, x):
        return self.encode(x)


@config
class ForgetfulConfig(RightConfig):
    """Writes another value than it has."""

    def to_dict(self):
        return {**RightConfig.to_dict(self), "size": 9}


@config
class SilentConfig(Config):
    width: int = 8


class WithSilentConfig(Right):
    def __init__(self, config, *, rngs):
        super().__init__(RightConfig(), rngs=rngs)
        self.config = config


class NumpyOutputs(Right):
    def __call__(self, x, *, rngs=None):
        return {"x": np.zeros(x.shape, np.float32)}


class BatchLast(Right):
    def __call__(self, x, *, rngs=None):
        made = super().__call__(x, rngs=rngs)
        return {**made, "code": self.encode(x).T}


class Hasty(Right):
    """Takes a shortcut with a batch that is not like the first."""

    def __call__(self, x, *, rngs=None):
        made = super().__call__(x, rngs=rngs)
        return made if len(x) == 8 else {name: value.astype(jnp.bfloat16) for name, value in made.items()}


class OneTooMany(Right):
    def generate(self, n_samples=1, *, rngs=None):
        return super().generate(n_samples + 1, rngs=rngs)


class Measured(Right):
    def encode(self, x):
        return super().encode(x) * (1 if len(x) else 0)


class MisshapenParts(Right):
    def embed_parts(self, x):
        return super().encode(x)


class Averaging(Right):
    def loss_fn(self, batch, outputs):
        return {"loss": jnp.sum((outputs["x"] - batch["x"]) ** 2) * (1 / batch["x"].shape[0])}


class InfiniteLoss(Right):
    def loss_fn(self, batch, outputs):
        return {"loss": jnp.log(jnp.mean(outputs["x"] * 0))}


class VectorLoss(Right):
    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["x"], axis=1)}


class NegativeWeight(Right):
    def loss_fn(self, batch, outputs):
        return {"loss": WeightedMean(jnp.mean(outputs["x"]), jnp.array(-1.0))}


class WeightlessVector(Right):
    def loss_fn(self, batch, outputs):
        return {"loss": WeightedMean(jnp.mean(outputs["x"], axis=1), jnp.array(8.0))}


class HoldsOn(RightDeclaring):
    def objectives(self):
        return (Objective(self._judge),)


class Twins(RightDeclaring):
    def objectives(self):
        return (Objective(type(self)._judge), Objective(type(self)._shrink))


class Unmoved(RightDeclaring):
    """Its maker is moved by nothing."""

    def objectives(self):
        return super().objectives()[:2]


class Disconnected(Right):
    def encode(self, x):
        return jax.lax.stop_gradient(super().encode(x))


class Orphan(Right):
    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.orphan = nnx.Param(jnp.ones(3))


class Traced(Right):
    def loss_fn(self, batch, outputs):
        loss = super().loss_fn(batch, outputs)["loss"]
        return {"loss": 2 * loss if isinstance(loss, jax.core.Tracer) else loss}


class Untraceable(Right):
    def loss_fn(self, batch, outputs):
        loss = super().loss_fn(batch, outputs)["loss"]
        return {"loss": loss if loss > 0 else -loss}


class Counting(Right):
    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.calls = 0

    def __call__(self, x, *, rngs=None):
        self.calls += 1
        return super().__call__(x, rngs=rngs)


class Growing(Right):
    """Its state changes type with the first batch."""

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.seen = nnx.BatchStat(jnp.zeros((), jnp.int32))

    def __call__(self, x, *, rngs=None):
        self.seen.set_value(self.seen.get_value() + 1.0)
        return super().__call__(x, rngs=rngs)


class Uncompiled(Right):
    def generate(self, n_samples=1, *, rngs=None):
        z = jax.random.normal(draw_key(self, rngs), (n_samples, LATENT))
        for _ in range(3):
            z = jnp.tanh(z)
        return self.up(z)


class CompiledEachTime(Right):
    def generate(self, n_samples=1, *, rngs=None):
        graph, state = nnx.split(self)
        draw = jax.jit(lambda state, key: nnx.merge(graph, state).up(jax.random.normal(key, (n_samples, LATENT))))
        return draw(nnx.as_pure(state), draw_key(self, rngs))


class Clocked(Right):
    """Initialised by something that no seed governs."""

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.up.layers[0].bias[...] = jnp.full(16, uuid.uuid4().int % 1000 / 1e3)


class FixedKey(Right):
    def generate(self, n_samples=1, *, rngs=None):
        return super().generate(n_samples, rngs=nnx.Rngs(0))


class Repeating(Right):
    def generate(self, n_samples=1, *, rngs=None):
        return jnp.repeat(super().generate(1, rngs=rngs), n_samples, axis=0)


class Unsaved(Right):
    """Part of it is in no variable, so that no file holds it."""

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.offset = float(jax.random.normal(rngs.params(), ()))

    def encode(self, x):
        return super().encode(x) + self.offset


class HalfSummed(Right):
    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"].astype(outputs["x"].dtype)) ** 2)}


class Cancelling(Right):
    """Loses all its digits to a large constant."""

    def __call__(self, x, *, rngs=None):
        return {"x": (x + 1000) - 1000}


@custom_partitioning
def mean_of_a_part(x):
    """Right on one device. On many, each takes the mean of its own examples, and the first one's counts."""
    return jnp.mean(x, axis=0, keepdims=True)


mean_of_a_part.def_partition(
    lambda mesh, given, made: (mesh, lambda x: jnp.mean(x, axis=0, keepdims=True), *_everywhere(mesh, given)),
    infer_sharding_from_operands=lambda mesh, given, made: _everywhere(mesh, given)[0],
    sharding_rule="b d -> one d",
)


def _everywhere(mesh, given):
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()), (given[0].sharding,)


class CentredInParts(Right):
    """Adds up what each device has, and forgets the others."""

    def encode(self, x):
        return super().encode(x - mean_of_a_part(x))


class OnOneDevice(Right):
    """Sends its input to the first device, wherever it was."""

    def encode(self, x):
        return super().encode(jax.device_put(x, jax.sharding.SingleDeviceSharding(jax.devices()[0])))


class Misnamed(Right):
    """Its logical axes are not as many as its array has."""

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        self.gain = nnx.Param(jnp.ones((1, config.size)), logical_axes=("mlp",))

    def encode(self, x):
        return super().encode(x * self.gain[...])


class ExplodingGradient(Right):
    """Its gradient is no number where bfloat16 rounds to zero what float32 keeps apart."""

    def encode(self, x):
        z = super().encode(x)
        small = (1 + 1e-4 * z) - 1
        return z + 1e-6 * jnp.sqrt(small**2 + jnp.zeros((), x.dtype))


class Doubled(RightDensity):
    def log_prob(self, x):
        return super().log_prob(x) + np.log(2)


DENSITY = RIGHT["density"][1]
BROKEN = [
    ("registered", Right, {"entry": {"summary": ""}}, "leaves out summary"),
    ("registered", Unregistered, {}, "does not keep its config"),
    ("documented", Undocumented, {}, "no docstring of its own"),
    ("documented", Right, {"entry": {"paper": "somebody"}}, "no paper with a year"),
    ("documented", Right, {"entry": {"paper": "Nobody 1999"}}, "cites 'Nobody 1999'"),
    ("documented", Right, {"made_from": UndocumentedConfig}, "UndocumentedConfig has no docstring of its own"),
    ("documented", HalfDocumented, {}, "methods of HalfDocumented without a docstring: explain"),
    ("protocols", Untrainable, {}, "cannot be trained"),
    ("protocols", WithoutRngs, {}, "generate has to take"),
    ("capabilities", Undeclared, {}, r"does not declare: \['decode'\]"),
    ("capabilities", Right, {"capabilities": ("encode", "score")}, r"missing from the model: \['score'\]"),
    ("capabilities", Right, {"capabilities": ("encode", "fly")}, r"declares \['fly'\]"),
    (
        "capabilities",
        MisshapenCapability,
        {"capabilities": ("encode", "reconstruct")},
        r"has shape \(8, 4\) instead of \(8, 8\)",
    ),
    (
        "capabilities",
        MisshapenParts,
        {"capabilities": ("embed_parts", "encode")},
        r"embed_parts gives the shape \(8, 4\); \(batch, parts, width\) is wanted",
    ),
    ("config_round_trip", Right, {"made_from": ForgetfulConfig}, "another config"),
    ("config_schema", WithSilentConfig, {"made_from": SilentConfig}, r"\['width'\]"),
    ("outputs", NumpyOutputs, {}, "'x' is a ndarray"),
    ("outputs", BatchLast, {}, r"'code' has shape \(4, 8\) for 8 examples and \(4, 16\) for 16; the batch's axis comes first"),
    ("outputs", Hasty, {}, "'x' is float32 for 8 examples and bfloat16 for 16"),
    ("samples", OneTooMany, {}, r"\(9, 8\) instead of \(8, 8\)"),
    ("samples", Right, {"batch": {"x": np.ones((8, 8), np.int32)}}, "x is int32, samples are float32"),
    ("loss_is_finite", InfiniteLoss, {}, "'loss' of the objective is -inf"),
    ("loss_is_finite", VectorLoss, {}, r"has shape \(8,\)"),
    ("loss_is_finite", NegativeWeight, {}, "'loss' of the objective weighs -1.0"),
    ("loss_is_finite", WeightlessVector, {}, r"a total of shape \(8,\) and a weight of shape \(\)"),
    ("protocols", HoldsOn, {"capabilities": ()}, "descends a method of this very model"),
    ("protocols", Twins, {"capabilities": ()}, "each needs one of its own"),
    ("gradient_reaches_every_parameter", Unmoved, {"capabilities": ()}, "no gradient reaches generator"),
    ("gradient_reaches_every_parameter", Disconnected, {}, r"no gradient reaches down.layers.0.bias, down.layers.0.kernel"),
    ("gradient_reaches_every_parameter", Orphan, {}, "no gradient reaches orphan$"),
    ("jit_equals_eager", Traced, {}, "compiled against uncompiled: the objective.loss differs"),
    ("traced_once", Counting, {}, "changes the model's structure"),
    ("traced_once", Growing, {}, "traced 2 times"),
    ("generates_in_one_program", Uncompiled, {}, "instead of one: decorate it"),
    ("generates_in_one_program", CompiledEachTime, {}, "called again, generate traces or compiles anew"),
    ("any_batch_size", Measured, {}, r"not the same program for every batch size.*\n.*x.shape\[0\] for len"),
    ("no_examples", Averaging, {}, "objective '' of no examples raises ZeroDivisionError"),
    ("same_seed_same_result", Clocked, {}, "parameters are not the same: up.layers.0.bias"),
    ("calls_differ", FixedKey, {}, "two calls of generate without rngs give equal samples"),
    ("calls_differ", Repeating, {}, "all 8 samples of one call are equal"),
    ("saved_and_restored", Unsaved, {}, "terms of the objective before saving and after loading are not the same"),
    ("bfloat16", HalfSummed, {}, "adds up in bfloat16"),
    ("bfloat16", Cancelling, {}, "in bfloat16 and .* in float32"),
    ("bfloat16", ExplodingGradient, {}, "the gradient of the objective is not finite in bfloat16 for"),
    ("sharded_data", CentredInParts, {}, "eight devices against one, the model: .* differs"),
    ("sharded_fsdp", CentredInParts, {}, "eight devices against one, the model: .* differs"),
    ("sharded_tensor", CentredInParts, {}, "eight devices against one, the model: .* differs"),
    ("sharded_tensor", Misnamed, {}, "logical axes"),
    ("likelihood_adds_up_to_one", RightDensity, {**DENSITY, "exact": None}, "give the case a small space"),
    ("likelihood_adds_up_to_one", Doubled, DENSITY, "add up to 2 instead of 1"),
]


@pytest.mark.parametrize(("check", "model", "options", "message"), BROKEN, ids=[f"{c}-{m.__name__}" for c, m, *_ in BROKEN])
def test_a_broken_model_is_caught(check, model, options, message, subject):
    with pytest.raises((AssertionError, InvalidInputError), match=message):
        CHECKS[check](subject(model, **options))


def test_what_cannot_be_traced_is_caught(subject):
    with pytest.raises(jax.errors.TracerBoolConversionError):
        CHECKS["jit_equals_eager"](subject(Untraceable))


@pytest.mark.parametrize("check", ["sharded_data", "sharded_fsdp", "sharded_tensor"])
def test_a_model_bound_to_one_device_is_caught(check, subject):
    with pytest.raises(ValueError, match="devices"):
        CHECKS[check](subject(OnOneDevice))


def test_every_check_has_a_broken_model():
    assert {check for check, *_ in BROKEN} == CHECKS.keys()


def test_a_lattice_adds_up_a_discrete_model():
    space = lattice([0, 1], (3,))
    assert np.sum(space.weights * np.prod(np.where(space.points == 1, 0.3, 0.7), axis=1)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({}, InvalidInputError, "has no cases"),
        ({"a": RightConfig()}, InvalidTypeError, r"tuple \(config, batch"),
        ({"a": (RightConfig(), {"y": 1})}, InvalidInputError, "needs a batch"),
        ({"a": (RightConfig(), {"x": np.ones(3), "label": np.ones(2)})}, InvalidInputError, "one leading batch axis"),
        ({"a": (RightConfig(), X, {"waive": {"bfloat61": "typo"}})}, UnknownNameError, "waives bfloat61, which no check"),
        ({"a": (RightConfig(), X, {"waive": {"bfloat16": " "}})}, InvalidInputError, "without a reason"),
    ],
)
def test_a_wrong_table_is_refused_where_it_is_written(table, error, message):
    with pytest.raises(error, match=message):
        conformance(table)


def test_one_config_needs_no_table():
    made = conformance(RightConfig(), X, n_samples=4, waive={"bfloat16": "a reason"})
    (subject,) = made.subjects.values()
    assert list(made.subjects) == ["RightConfig"]
    assert (subject.case.config, subject.case.n_samples) == (RightConfig(), 4)
    with pytest.raises(UnknownNameError, match=r"TestConformance\[RightConfig\] waives bfloat61"):
        conformance(RightConfig(), X, waive={"bfloat61": "typo"})
    for refused in ({"batch": X}, {"n_samples": 4}):
        with pytest.raises(InvalidTypeError, match="give them there, or give one config"):
            conformance({"a": (RightConfig(), X)}, **refused)


def test_a_check_cannot_be_replaced():
    with pytest.raises(InvalidInputError, match=r"TestMine replaces test_bfloat16; waive a check by name"):
        type("TestMine", (ModelConformance,), {"cases": {"a": (RightConfig(), X)}, "test_bfloat16": None})


STRANGER = """
import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.config import Config, config


@config
class MineConfig(Config):
    '''Of the mean.'''

    size: int = 2
    '''Features.'''


class Mine(nnx.Module):
    '''After Tester 2001.'''

    def __init__(self, config, *, rngs):
        self.config, self.rngs = config, rngs.fork()
        self.mean = nnx.Param(jnp.zeros((1, config.size)))

    def __call__(self, x, *, rngs=None):
        return {"mean": self.mean[...]}

    def generate(self, n_samples=1, *, rngs=None):
        return self.mean[...] + jax.random.normal((rngs or self.rngs).sample(), (n_samples, self.config.size))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["mean"].astype(jnp.float32) - batch["x"]) ** 2)}
"""
PLUGIN = """
@hookimpl
def artifex_models():
    return [ModelEntry(name="mine", model="stranger.model:Mine", config="stranger.model:MineConfig", family="mine",
                       paper="Tester 2001", summary="The mean.")]
"""
TESTS = """
import numpy as np
from artifex.core.testing.conformance import ModelConformance, conformance
from stranger.model import MineConfig

X = {"x": np.ones((8, 2), np.float32)}
WAIVE = {"generates_in_one_program": "two programs suffice", "bfloat16": "waived for nothing"}
TestMine = conformance(MineConfig(), X, waive=WAIVE)


class TestAsClass(ModelConformance):
    cases = {"one": (MineConfig(), X), "two": (MineConfig(size=3), X)}

    def test_of_its_own(self, subject):
        assert subject.model().mean.shape == (1, subject.case.config.size)
"""


def test_a_stranger_runs_it_in_one_line_and_waivers_are_reported(site: object, tmp_path: Path) -> None:
    site.install_plugin("stranger", PLUGIN, model=STRANGER)
    (tmp_path / "test_mine.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p artifex.core.testing.strict\nfilterwarnings = error\n")
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = ("-v", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-k", "TestMine or of_its_own or registered")
    done = site.python(code, *options, str(tmp_path / "test_mine.py"))
    lines = done.stdout.splitlines()
    for check in CHECKS:
        assert any(f"TestMine::test_{check}[MineConfig]" in line for line in lines), done.stdout + done.stderr
    for case in ("test_of_its_own[one]", "test_of_its_own[two]", "test_registered[two]"):
        assert any(f"TestAsClass::{case} PASSED" in line for line in lines), done.stdout
    waived = lines.index(next(line for line in lines if "waived conformance checks" in line))
    assert lines[waived + 1].endswith("::test_generates_in_one_program[MineConfig]: waived: two programs suffice"), done.stdout
    assert "[XPASS(strict)] waived: waived for nothing" in done.stdout
    assert "1 failed" in lines[-1]
    assert "1 xfailed" in lines[-1]
