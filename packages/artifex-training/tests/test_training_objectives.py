"""Losses with weights, several objectives, shared optimisers and averages of parts, against sums and loops written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.extensions import ExtensionConfig
from artifex.core.mesh import ShardingConfig
from artifex.core.objectives import Objective, WeightedMean, optimizer_names, weighted_mean
from artifex.core.pure import functional
from artifex.training import ArrayLoader, Callback, Trainer, TrainerConfig
from artifex.training.objectives import objectives_of
from artifex.training.state import ModelParts
from artifex.training.step import Program


class Masked(nnx.Module):
    """Least squares over the unmasked elements, and beside it a figure by examples and one by elements."""

    def __init__(self):
        self.layer = nnx.Linear(4, 4, rngs=nnx.Rngs(0))

    def __call__(self, x, *, rngs=None, mask):
        return {"x": self.layer(jnp.where(mask, x, 0.0))}

    def generate(self, n_samples=1, *, rngs=None):
        raise NotImplementedError

    def loss_fn(self, batch, outputs):
        error = (outputs["x"] - jnp.where(batch["mask"], batch["x"] + 1.0, 0.0)) ** 2
        return {"loss": weighted_mean(error, batch["mask"]), "plain": jnp.mean(outputs["x"] ** 2)}


class Shrink:
    """An extension whose loss counts examples, where the model's counts elements."""

    config = ExtensionConfig(name="shrink", weight=0.7)

    def apply(self, model, inputs, outputs):
        return {}

    def compute_loss(self, batch, outputs):
        return {"loss": jnp.mean(jnp.abs(outputs["x"]))}


class ShrinkSome(Shrink):
    """Counts the elements of every fifth example."""

    def compute_loss(self, batch, outputs):
        return {"loss": weighted_mean(jnp.abs(outputs["x"]), batch["chosen"])}


def data(n=64):
    """Very different masks: of a batch's quarters (every fourth example) one is empty, one is nearly so, one is full."""
    rng = np.random.default_rng(3)
    share = np.array([0.0, 0.05, 0.5, 1.0])[np.arange(n) % 4]
    mask = rng.random((n, 4)) < share[:, None]
    x = np.where(mask, rng.normal(size=(n, 4)) * (1 + np.arange(n)[:, None] % 7), np.nan).astype(np.float32)
    return {"x": x, "mask": mask, "chosen": np.arange(n) % 5 == 0}


def fit(extensions=(), mesh=None, **options):
    model = Masked()
    settings = {"steps": 4, "batch_size": 64, "log_every": 2, "optimizer": {"optimizer_type": "sgd", "learning_rate": 0.1}}
    trainer = Trainer(model, TrainerConfig(**(settings | options)), seed=0, mesh=mesh, extensions=extensions)
    metrics = trainer.fit(data(), data(32))
    figures = {name: value for name, value in metrics.items() if not name.endswith("_per_second")}
    return {"kernel": model.layer.kernel[...], "bias": model.layer.bias[...], **figures}


MESHES = {
    "one": None,
    "eight": ShardingConfig(data_parallel_size=8),
    "fsdp": ShardingConfig(data_parallel_size=4, fsdp_enabled=True, fsdp_min_weight_size=1),
}
EXTENSIONS = {"alone": [], "examples": [Shrink()], "elements": [ShrinkSome()]}
# two-digit sums of float32 in another order: some units in the last place, 1e-7 each, of numbers that add up without cancelling
CLOSE = {"rtol": 1e-6, "atol": 2e-7}


def assert_figures(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], **CLOSE, err_msg=name)


@pytest.mark.daily("one-elements", "fsdp-examples", "eight-alone")
@pytest.mark.parametrize("extensions", EXTENSIONS.values(), ids=EXTENSIONS)
@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_steps_and_logs_are_the_same_however_a_batch_is_cut(extensions, mesh):
    whole = fit(extensions)
    assert all(np.all(np.isfinite(value)) for value in whole.values())
    for accumulate in (1, 2, 4):
        assert_figures(fit(extensions, mesh, accumulate=accumulate), whole)


def test_a_masked_step_is_the_one_written_by_hand():
    """The gradient of the mean over all unmasked elements, which a mean of four parts' means is not."""
    graph, params = nnx.split(Masked())
    batch = data()

    def loss(params, part):
        model = nnx.merge(graph, params)
        out = model.layer(jnp.where(part["mask"], part["x"], 0.0))
        error = jnp.where(part["mask"], (out - jnp.where(part["mask"], part["x"], 0.0) - 1.0) ** 2, 0.0)
        return jnp.sum(error) / jnp.sum(part["mask"])

    value, gradient = jax.value_and_grad(loss)(params, batch)
    made = fit(steps=1, accumulate=4)
    np.testing.assert_allclose(
        made["kernel"], params.layer.kernel[...] - 0.1 * gradient.layer.kernel[...], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(made["loss"], value, rtol=1e-6)
    parts = [{name: a[i::4] for name, a in batch.items()} for i in range(1, 4)]
    assert abs(np.mean([loss(params, part) for part in parts]) - value) > 0.1 * value


def test_weights_cost_no_forward_pass_of_their_own():
    """They depend on the masks alone: no matrix product is left in the program beside those of a loss without weights."""

    def products(made):
        batch = {name: jnp.asarray(a) for name, a in data().items()}
        return jax.jit(made.step).lower(made.init(model, batch), batch).as_text().count("dot_general")

    def plain(model, batch, rngs, step):
        return {"loss": jnp.mean((model(batch["x"], mask=batch["mask"])["x"] - 1.0) ** 2)}

    model = Masked()
    weighted = program(model, objectives_of(model, [ShrinkSome()]), accumulate=4)
    assert products(weighted) == products(program(model, (Objective(plain),), accumulate=4)) == 2


@pytest.mark.parametrize("extensions", EXTENSIONS.values(), ids=EXTENSIONS)
def test_an_evaluation_is_the_same_by_batches_of_any_size(extensions):
    trainer = Trainer(Masked(), TrainerConfig(steps=1, batch_size=64), seed=0, extensions=extensions)
    spread = Trainer(
        Masked(),
        TrainerConfig(steps=1, batch_size=64),
        seed=0,
        extensions=extensions,
        mesh=ShardingConfig(data_parallel_size=8),
    )
    whole = trainer.evaluate(ArrayLoader(data(67), batch_size=67, seed=0))
    assert np.isfinite(list(whole.values())).all()
    for size in (5, 8, 64):
        for one in (trainer, spread):
            assert_figures(one.evaluate(ArrayLoader(data(67), batch_size=size, seed=0)), whole)


def test_a_batch_of_which_nothing_counts_moves_nothing_and_logs_nothing():
    empty = data() | {"mask": np.zeros((64, 4), bool)}
    model = Masked()
    before = np.asarray(model.layer.kernel[...])
    settings = TrainerConfig(steps=2, batch_size=64, optimizer={"optimizer_type": "sgd"})
    trainer = Trainer(model, settings, seed=0)
    metrics = trainer.fit(empty)
    np.testing.assert_array_equal(model.layer.kernel[...], before)
    assert "loss" not in metrics
    assert metrics["grad_norm"] == 0.0
    assert np.isnan(trainer.evaluate(empty)["loss"])


# several objectives


def program(model, objectives, optimizers=None, **options):
    parts = ModelParts(model)
    chosen = optimizers or [optax.sgd(0.1)] * len(optimizer_names(objectives))
    return Program(parts, objectives, chosen, prepare=None, key=jax.random.key(5), **options)


def run(made, model, batch, steps):
    state, step = made.init(model, batch), jax.jit(made.step)
    states = [state]
    for _ in range(steps):
        states.append(step(states[-1], batch))
    return states


class Pair(nnx.Module):
    """Two scalars, each with a loss of its own, as a config says how often."""

    def __init__(self, every=1):
        self.fast, self.slow, self.every = nnx.Param(jnp.array(1.0)), nnx.Param(jnp.array(1.0)), every

    def generate(self, n_samples=1, *, rngs=None):
        raise NotImplementedError

    def objectives(self):
        return (
            Objective(lambda model, batch, rngs, step: {"loss": model.fast[...] ** 2, "one": jnp.ones([])}, "fast", "fast"),
            Objective(
                lambda model, batch, rngs, step: {"loss": model.slow[...] ** 2, "one": jnp.ones([])}, "slow", "slow", self.every
            ),
        )


X = {"x": np.ones((4, 1), np.float32)}


def test_a_model_that_declares_its_objectives_is_trained_by_them():
    model = Pair(every=5)
    trainer = Trainer(
        model, TrainerConfig(steps=10, batch_size=4, optimizer={"optimizer_type": "sgd", "learning_rate": 0.1}), seed=0
    )
    metrics = trainer.fit(X, X)
    np.testing.assert_allclose(model.fast[...], 0.8**10, rtol=1e-5)
    np.testing.assert_allclose(model.slow[...], 0.8**2, rtol=1e-5)
    assert {"fast/loss", "slow/loss", "eval/fast/loss", "fast/learning_rate", "slow/grad_norm"} <= metrics.keys()


def test_an_objective_that_rests_logs_the_mean_over_the_steps_at_which_it_ran():
    class Listener(Callback):
        def __init__(self):
            self.lines = []

        def on_log(self, trainer, metrics):
            self.lines.append(metrics)

    listener = Listener()
    Trainer(Pair(every=5), TrainerConfig(steps=10, batch_size=4, log_every=1), seed=0, callbacks=[listener]).fit(X)
    assert [line.get("slow/one") for line in listener.lines] == [1.0, None, None, None, None] * 2
    assert [line["fast/one"] for line in listener.lines] == [1.0] * 10
    longer = Listener()
    Trainer(Pair(every=5), TrainerConfig(steps=14, batch_size=4, log_every=7), seed=0, callbacks=[longer]).fit(X)
    assert [line["slow/one"] for line in longer.lines] == [1.0, 1.0]


def test_learning_rates_count_moves():
    rate = {"optimizer_type": "sgd", "learning_rate": 0.1, "scheduler": {"scheduler_type": "linear", "end_fraction": 0.0}}
    model = Pair(every=5)
    Trainer(model, TrainerConfig(steps=10, batch_size=4, optimizer=rate), seed=0).fit(X)
    expected = 1.0
    for i in range(2):  # of two moves, each with the rate that falls to zero over two
        expected *= 1 - 2 * 0.1 * (1 - i / 2)
    np.testing.assert_allclose(model.slow[...], expected, rtol=1e-5)


def shared(every):
    def main(model, batch, rngs, step):
        return {"loss": (model.fast[...] - 3.0) ** 2}

    def lazy(model, batch, rngs, step):
        return {"loss": every * jnp.abs(model.fast[...])}

    return (Objective(main, "main", "fast"), Objective(lazy, "lazy", "fast", every=every, optimizer="main"))


def test_objectives_that_share_an_optimiser_move_by_the_same_moments():
    """A penalty at every third step, by the main loss's own Adam, as a loop by hand."""
    model, adam = Pair(), optax.adam(0.05)
    states = run(program(model, shared(3), [adam]), model, X, 7)
    assert len(states[0].opt) == 1
    p = jnp.array(1.0)
    opt = adam.init(p)
    for t in range(7):
        for gradient in (2 * (p - 3.0), 3 * jnp.sign(p)) if t % 3 == 0 else (2 * (p - 3.0),):
            updates, opt = adam.update(gradient, opt, p)
            p = p + updates
    np.testing.assert_allclose(states[-1].params["fast"], p, rtol=1e-5)
    assert int(states[-1].opt[0][0].count) == 7 + 3


def test_a_shared_schedule_counts_the_moves_of_all_who_share_it():
    rate = {"optimizer_type": "sgd", "scheduler": {"scheduler_type": "linear"}, "learning_rate": 1.0}
    model = Pair()
    trainer = Trainer(model, TrainerConfig(steps=6, batch_size=4, optimizer=rate), seed=0, objectives=shared(3))
    trainer.fit(X)
    assert trainer.plan.rates(1) == {"main/learning_rate": pytest.approx(1 - 1 / 8)}  # two moves at the first step, of 6 + 2
    assert trainer.plan.rates(6) == {"main/learning_rate": pytest.approx(1 - 7 / 8)}


def test_objectives_that_cannot_work_are_errors():
    def loss(model, batch, rngs, step):
        return {"loss": model.fast[...] + model.slow[...]}

    settings = TrainerConfig(steps=1, batch_size=4)
    apart = (Objective(loss, "a", "fast"), Objective(loss, "b", "slow", optimizer="a"))
    with pytest.raises(InvalidInputError, match="'a' and 'b' share the optimiser 'a', but only one of them has the parameter"):
        Trainer(Pair(), settings, seed=0, objectives=apart).fit(X)
    with pytest.raises(InvalidInputError, match="two objectives are called 'a'"):
        Trainer(Pair(), settings, seed=0, objectives=(apart[0], apart[0]))
    with pytest.raises(InvalidInputError, match=r"names \['b'\], but the model's optimisers are 'a'"):
        Trainer(Pair(), TrainerConfig(steps=1, batch_size=4, optimizers={"b": {}}), seed=0, objectives=apart)

    class HoldsOn(Pair):
        def objectives(self):
            return (Objective(self.total),)

        def total(self, batch, rngs, step):
            return {"loss": self.fast[...] + self.slow[...]}

    with pytest.raises(InvalidInputError, match=r"a method of this very model.*Objective\(HoldsOn.total, ...\)"):
        objectives_of(HoldsOn())
    with pytest.raises(InvalidTypeError, match="Pair has objectives of its own"):
        objectives_of(Pair(), [Shrink()])
    normed = Objective(lambda model, batch, rngs, step: {"loss": model.fast[...], "grad_norm": model.fast[...]})
    with pytest.raises(InvalidInputError, match="a scalar 'grad_norm', which is what the trainer logs"):
        program(Pair(), (normed,)).init(Pair(), X)


def test_parameters_may_be_in_several_places():
    model = Pair()
    both = Objective(lambda m, batch, rngs, step: {"loss": m.fast[...] * m.slow[...]}, parameters=("fast", "slow"))
    state = run(program(model, (both,)), model, X, 1)[-1]
    np.testing.assert_allclose([state.params["fast"], state.params["slow"]], [0.9, 0.9], rtol=1e-6)


def test_the_norm_of_the_gradient_is_logged_before_clipping():
    model = Pair()
    loss = Objective(lambda m, batch, rngs, step: {"loss": 3 * m.fast[...] + 4 * m.slow[...]})
    states = run(program(model, (loss,), [optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.1))]), model, X, 3)
    assert float(states[-1].sums["grad_norm"].value) == pytest.approx(5.0)


def test_norms_that_are_looked_at_now_and_then_are_those_of_all_arrays():
    """Large and small arrays, at every second move of an objective that moves at every third step."""
    wide = nnx.Linear(100, 100, rngs=nnx.Rngs(0))

    class Wide(nnx.Module):
        def __init__(self):
            self.wide, self.small = wide, nnx.Linear(3, 2, rngs=nnx.Rngs(1))

    def loss(model, batch, rngs, step):
        return {"loss": sum(jnp.sum(p) * (1.0 + step) for p in jax.tree.leaves(nnx.state(model, nnx.Param)))}

    model = Wide()
    states = run(program(model, (Objective(loss, every=3),), norm_every=6), model, X, 12)
    numbers = 100 * 100 + 100 + 3 * 2 + 2
    np.testing.assert_allclose(states[-1].sums["grad_norm"].total, np.sqrt(numbers) * (1 + 7), rtol=1e-5)  # at steps 0 and 6
    assert float(states[-1].sums["grad_norm"].weight) == 2.0


# moving averages


def averages(states, name, decay, moved):
    """The recursion over the moves alone."""
    average, t = np.asarray(states[0].params[name]), 0
    for i, state in enumerate(states[1:]):
        if moved(i):
            rate = 1 - min(decay, (1 + t) / (10 + t))
            average, t = average + rate * (np.asarray(state.params[name]) - average), t + 1
    return average


def test_a_moving_average_counts_the_moves_of_what_it_averages():
    model = Pair(every=3)
    states = run(program(model, model.objectives(), ema_decay=0.9), model, X, 9)
    np.testing.assert_allclose(states[-1].ema["fast"], averages(states, "fast", 0.9, lambda i: True), rtol=1e-5)
    np.testing.assert_allclose(states[-1].ema["slow"], averages(states, "slow", 0.9, lambda i: i % 3 == 0), rtol=1e-5)
    np.testing.assert_array_equal(states[5].ema["slow"], states[4].ema["slow"])


def test_moves_by_several_objectives_count_once_a_step():
    def loss(model, batch, rngs, step):
        return {"loss": model.slow[...] ** 2}

    model = Pair()
    everys = (2, 3, 4)
    several = [Objective(loss, f"o{n}", "slow", every=n) for n in everys]
    states = run(program(model, several, ema_decay=0.9), model, X, 14)
    moved = averages(states, "slow", 0.9, lambda i: any(i % n == 0 for n in everys))
    np.testing.assert_allclose(states[-1].ema["slow"], moved, rtol=1e-5)


def test_a_part_may_be_averaged_alone():
    model = Pair()
    settings = {"steps": 3, "batch_size": 4, "ema_decay": 0.9, "optimizer": {"learning_rate": 0.1}}
    trainer = Trainer(model, TrainerConfig(**settings, ema_parameters=("slow",)), seed=0)
    metrics = trainer.fit(X, X)
    assert set(trainer.state.ema) == {"slow"}
    made = trainer.evaluation_model()
    np.testing.assert_array_equal(made.fast[...], model.fast[...])
    np.testing.assert_array_equal(made.slow[...], trainer.state.ema["slow"])
    assert float(made.slow[...]) != float(model.slow[...])
    np.testing.assert_allclose(metrics["eval/slow/loss"], float(made.slow[...]) ** 2, rtol=1e-6)
    np.testing.assert_allclose(metrics["eval/fast/loss"], float(made.fast[...]) ** 2, rtol=1e-6)


def test_averages_of_nothing_are_errors():
    with pytest.raises(ValueError, match="nothing is averaged; give an ema_decay too"):
        TrainerConfig(steps=1, ema_parameters=("slow",))
    settings = TrainerConfig(steps=1, batch_size=4, ema_decay=0.9, ema_parameters=("generator",))
    with pytest.raises(InvalidInputError, match="names 'generator', but the model has no parameters there; it has fast, slow"):
        Trainer(Pair(), settings, seed=0).fit(X)


# gradients of gradients


class Critic(nnx.Module):
    """``D(x) = a . x^2 / 2`` beside noisy layers that it does not look at, or does."""

    def __init__(self, noisy):
        self.a = nnx.Param(jnp.array([1.0, -2.0, 0.5]))
        self.head = nnx.Linear(3, 8, rngs=nnx.Rngs(0))
        self.norm, self.dropout = nnx.BatchNorm(8, rngs=nnx.Rngs(1)), nnx.Dropout(0.5, rngs=nnx.Rngs(2))
        self.noisy = noisy

    def __call__(self, x):
        noise = jnp.sum(self.dropout(jnp.tanh(self.norm(self.head(x)))), axis=-1)
        return 0.5 * jnp.sum(self.a[None] * x**2, axis=-1) + self.noisy * noise


class Judge(nnx.Module):
    def __init__(self, noisy=0.0):
        self.discriminator = Critic(noisy)

    def generate(self, n_samples=1, *, rngs=None):
        raise NotImplementedError

    def objectives(self):
        return (Objective(_r1, "r1", "discriminator", every=2),)


def _r1(model, batch, rngs, step):
    r"""Mescheder et al. 2018: :math:`E |\nabla_x D(x)|^2`."""
    score = functional(model.discriminator)
    slopes = jax.grad(lambda x: score(x).sum())(batch["x"])
    return {"loss": jnp.mean(jnp.sum(slopes**2, axis=-1)), "score": jnp.mean(model.discriminator(batch["x"]))}


POINTS = {"x": np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)}


@pytest.mark.parametrize("options", [{}, {"accumulate": 4}, {"remat": ["discriminator.head"]}])
def test_a_penalty_on_slopes_is_descended_by_its_closed_form(options):
    r""":math:`\nabla_x D = a x`, so that the penalty is :math:`E \sum a^2 x^2`, with the gradient :math:`2 a E x^2`."""
    model = Judge()
    a = np.asarray(model.discriminator.a[...])
    states = run(program(model, model.objectives(), [optax.sgd(0.1)], **options), model, POINTS, 2)
    expected = a - 0.1 * 2 * a * np.mean(POINTS["x"] ** 2, axis=0)
    np.testing.assert_allclose(states[-1].params["discriminator.a"], expected, rtol=1e-5)
    counted = options.get("accumulate", 1)  # the averages moved by the plain forward passes, and not by the slopes'
    np.testing.assert_allclose(
        states[-1].model_state["discriminator.norm.mean"], _moved_mean(model, counted), rtol=1e-4, atol=1e-6
    )


def _moved_mean(model, parts):
    hidden = np.asarray(model.discriminator.head(POINTS["x"]))
    mean = np.zeros(8, np.float32)
    for i in range(parts):
        mean = 0.99 * mean + 0.01 * hidden[i::parts].mean(0)
    return mean


@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "remat": ["discriminator.head"]}])
def test_a_penalty_through_batch_norm_and_dropout_trains(options):
    model = Judge(noisy=1.0)
    states = run(program(model, model.objectives(), [optax.sgd(0.1)], **options), model, POINTS, 2)
    moved = states[-1].params["discriminator.head.kernel"] - states[0].params["discriminator.head.kernel"]
    assert np.all(np.isfinite(moved))
    assert np.any(moved)


# figures


def test_speed_and_rates_are_logged_beside_the_losses():
    metrics = Trainer(Pair(every=2), TrainerConfig(steps=6, batch_size=4, log_every=3), seed=0).fit(X)
    assert metrics["examples_per_second"] == pytest.approx(4 * metrics["steps_per_second"])
    assert metrics.keys() == {"examples_per_second", "steps_per_second"} | {
        f"{part}/{name}" for part in ("fast", "slow") for name in ("loss", "one", "grad_norm", "learning_rate")
    }


class Notes(Callback):
    """Logs at each moment, and keeps what it is told."""

    def __init__(self, name):
        self.name, self.seen = name, []

    def on_start(self, trainer):
        trainer.log({f"{self.name}/start": 1})

    def on_step(self, trainer):
        if trainer.step == 3:
            trainer.log({f"{self.name}/step": jnp.array(2.5)})

    def on_log(self, trainer, metrics):
        trainer.log({f"{self.name}/log": trainer.step})

    def on_evaluate(self, trainer, metrics):
        trainer.log({f"{self.name}/evaluate": np.float32(0.5)})

    def on_figures(self, trainer, figures):
        self.seen.append((trainer.step, dict(figures)))


def test_every_callback_is_told_once_of_what_any_of_them_logs():
    one, two = Notes("one"), Notes("two")
    settings = TrainerConfig(steps=4, batch_size=4, log_every=2, evaluate_every=4)
    metrics = Trainer(Pair(), settings, seed=0, callbacks=[one, two]).fit(X, X)
    both = [
        (step, {f"{name}/{moment}": value for moment, value in figures.items() for name in ("one", "two")})
        for step, figures in [
            (0, {"start": 1.0}),
            (2, {"log": 2.0}),
            (3, {"step": 2.5}),
            (4, {"log": 4.0, "evaluate": 0.5}),
        ]
    ]
    assert one.seen == two.seen == both
    assert metrics["two/evaluate"] == 0.5


def test_figures_that_would_get_lost_are_errors():
    class Twice(Callback):
        def on_step(self, trainer):
            trainer.log({"a": 1})
            trainer.log({"a": 2})

    class Endless(Callback):
        def on_step(self, trainer):
            trainer.log({"a": 1})

        def on_figures(self, trainer, figures):
            trainer.log(figures)

    class Late(Callback):
        def on_end(self, trainer, error):
            trainer.log({"a": 1})

    for callback, message in ((Twice(), "'a' is logged twice"), (Endless(), "a came too late"), (Late(), "a came too late")):
        with pytest.raises(InvalidInputError, match=message):
            Trainer(Pair(), TrainerConfig(steps=1, batch_size=4), seed=0, callbacks=[callback]).fit(X)


def test_figures_of_a_step_that_a_signal_ends_are_handed_round():
    class Cut(Callback):
        def on_step(self, trainer):
            if trainer.step == 3:
                raise KeyboardInterrupt

    notes = Notes("one")
    trainer = Trainer(Pair(), TrainerConfig(steps=9, batch_size=4), seed=0, callbacks=[notes, Cut()])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X)
    assert notes.seen[-1] == (3, {"one/step": 2.5})


def test_a_weighted_loss_is_what_a_run_finds_in_its_state():
    model = Masked()
    made = program(model, objectives_of(model))
    state = made.init(model, {name: jnp.asarray(a) for name, a in data().items()})
    assert isinstance(state.sums["loss"], WeightedMean)
    assert {leaf.shape for leaf in jax.tree.leaves(state.sums)} == {()}
