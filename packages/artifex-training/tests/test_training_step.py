"""The compiled step against loops written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.extensions import ExtensionConfig
from artifex.core.objectives import Objective, optimizer_names
from artifex.training import OptimizerConfig, Trainer, TrainerConfig
from artifex.training.objectives import objectives_of
from artifex.training.state import ModelParts, Variables
from artifex.training.step import Program


class Regression(nnx.Module):
    """``x`` from noise-free features by a two-layer network; deterministic, so that every step can be written out."""

    def __init__(self, rngs):
        self.hidden = nnx.Linear(3, 8, rngs=rngs)
        self.out = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x, *, rngs=None, condition):
        return {"mean": self.out(jnp.tanh(self.hidden(condition)))}

    def generate(self, n_samples=1, *, rngs=None):
        return self.out(jax.random.normal(rngs(), (n_samples, 8)))

    def loss_fn(self, batch, outputs):
        error = jnp.mean((batch["x"] - outputs["mean"]) ** 2)
        return {"loss": error, "twice": 2 * error}


def data(n=32, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(n, 2)).astype(np.float32), "condition": rng.normal(size=(n, 3)).astype(np.float32)}


class ProgramOf(Program):
    """A program that remembers whose it is."""

    def __init__(self, model, *args, **options):
        super().__init__(ModelParts(model), *args, **options)
        self.model = model

    def begin(self, batch):
        return self.init(self.model, batch)


def program(model, *, objectives=None, optimizers=None, **options):
    objectives = objectives or objectives_of(model)
    return ProgramOf(
        model,
        objectives,
        optimizers or [optax.adam(1e-2)] * len(optimizer_names(objectives)),
        prepare=None,
        key=jax.random.key(5),
        **options,
    )


def run(made, steps=3, batch=None):
    batch = batch or data()
    state, step = made.begin(batch), jax.jit(made.step)
    for _ in range(steps):
        state = step(state, batch)
    return state


def by_hand(model, steps=3, batch=None):
    """The same training as plainly as optax allows."""
    batch = batch or data()
    graphdef, params = nnx.split(model, nnx.Param)
    optimizer = optax.adam(1e-2)
    opt, losses = optimizer.init(params), []

    def loss(params):
        m = nnx.merge(graphdef, params)
        return m.loss_fn(batch, m(batch["x"], condition=batch["condition"]))["loss"]

    for _ in range(steps):
        value, grads = jax.value_and_grad(loss)(params)
        updates, opt = optimizer.update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(value))
    return {".".join(path): leaf[...] for path, leaf in nnx.to_flat_state(params)}, losses


def assert_close(a, b, rtol=2e-5):
    assert a.keys() == b.keys()
    for name in a:  # float32 sums in another order: a few units in the last place of numbers near one
        np.testing.assert_allclose(a[name], b[name], rtol=rtol, atol=1e-6, err_msg=name)


def test_step_is_the_loop_written_by_hand():
    model = Regression(nnx.Rngs(0))
    params, losses = by_hand(model)
    state = run(program(model))
    assert_close(state.params, params)
    assert int(state.step) == 3
    np.testing.assert_allclose(state.sums["loss"].value, sum(losses) / 3, rtol=1e-5)
    np.testing.assert_allclose(state.sums["twice"].value, 2 * sum(losses) / 3, rtol=1e-5)


def test_conditions_reach_a_model_that_takes_any_keyword():
    class Any(Regression):
        def __call__(self, x, *, rngs=None, **conditions):
            return super().__call__(x, condition=conditions["condition"])

    assert_close(run(program(Any(nnx.Rngs(0)))).params, run(program(Regression(nnx.Rngs(0)))).params)


def test_a_condition_that_nobody_takes_is_an_error():
    batch = {"x": jnp.ones((4, 16)), "condition": jnp.ones((4, 1))}
    with pytest.raises(InvalidInputError, match=r"the batch has a condition, but Deep.__call__ takes none"):
        program(Deep(nnx.Rngs(0))).begin(batch)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_is_the_whole_batch(parts):
    model = Regression(nnx.Rngs(0))
    assert_close(run(program(model, accumulate=parts)).params, run(program(model)).params)


class Block(nnx.Module):
    """A residual block whose inner layer is eight times as wide as its input."""

    def __init__(self, rngs):
        self.up, self.down = nnx.Linear(16, 128, rngs=rngs), nnx.Linear(128, 16, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return x + self.down(self.dropout(jax.nn.gelu(self.up(x)), rngs=rngs))


class Deep(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([Block(rngs) for _ in range(6)])

    def __call__(self, x, *, rngs=None):
        for layer in self.layers:
            x = layer(x, rngs=rngs)
        return {"x": x}

    def generate(self, n_samples=1, *, rngs=None):
        raise NotImplementedError

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["x"] ** 2)}


def test_remat_keeps_block_inputs_only_and_changes_no_number():
    batch = {"x": np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)}
    plain, thrifty = program(Deep(nnx.Rngs(0))), program(Deep(nnx.Rngs(0)), remat=["layers.*"])
    assert_close(run(plain, batch=batch).params, run(thrifty, batch=batch).params)

    def kept(remat):
        """Bytes that the backward pass of the whole model waits for, by jax.vjp's own account."""
        parts = ModelParts(Deep(nnx.Rngs(0)))
        variables = parts.variables_of(Deep(nnx.Rngs(0)))

        def forward(params):
            model = parts.assemble(variables._replace(params=params), jax.random.key(0), train=True, remat=remat)
            return model(batch["x"], rngs=nnx.Rngs(0))["x"]

        backward = jax.eval_shape(lambda params: jax.vjp(forward, params)[1], parts.shapes.params)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward))

    # a block keeps several arrays of 64 x 128 against one of 64 x 16; both also keep the parameters
    parameters = sum(p.size * p.dtype.itemsize for p in ModelParts(Deep(nnx.Rngs(0))).shapes.params.values())
    assert kept(["layers.*"]) - parameters < 0.25 * (kept([]) - parameters)


def test_remat_of_a_module_that_is_not_there_is_an_error():
    with pytest.raises(InvalidInputError, match=r"'blocks.\*' names no module; the model has layers, layers.0, layers.0.down"):
        program(Deep(nnx.Rngs(0)), remat=["blocks.*"]).begin({"x": jnp.ones((4, 16))})


class Split(nnx.Module):
    """Of its parts, one is called by another name and one not at all."""

    def __init__(self, rngs):
        self.used, self.aside, self.idle = Block(rngs), Block(rngs), Block(rngs)
        self.twins = nnx.List([Block(rngs) for _ in range(2)])

    def __call__(self, x, *, rngs=None):
        x = self.used(x, rngs=rngs) + self.aside.down(self.aside.up(x))
        return {"x": self.twins[0](x, rngs=rngs)}

    generate, loss_fn = Deep.generate, Deep.loss_fn


@pytest.mark.parametrize(
    ("patterns", "module"),
    [(["aside"], "aside"), (["used", "idle"], "idle"), (["twins.1"], "twins.1"), (["twins"], "twins"), (["*.dropout"], "")],
)
def test_remat_of_a_module_that_is_not_called_is_an_error(patterns, module):
    """It would change nothing, in silence. A star needs one module that is called."""
    made = program(Split(nnx.Rngs(0)), remat=patterns)
    if not module:
        made.begin({"x": jnp.ones((4, 16))})
        return
    with pytest.raises(InvalidInputError, match=rf"would change nothing: a training step does not call {module} \(") as caught:
        made.begin({"x": jnp.ones((4, 16))})
    assert "modules that can be called are " in str(caught.value)


def test_remat_is_looked_at_again_where_all_has_been_traced_before():
    for _ in range(2):
        program(Split(nnx.Rngs(0)), remat=["used", "used.up", "twins.*"]).begin({"x": jnp.ones((4, 16))})


def test_moving_average_is_its_recursion():
    model = Regression(nnx.Rngs(0))
    made = program(model, ema_decay=0.5)
    state, step, batch = made.begin(data()), jax.jit(made.step), data()
    expected = {name: np.asarray(value) for name, value in state.params.items()}
    for t in range(6):
        state = step(state, batch)
        decay = min(0.5, (1 + t) / (10 + t))
        expected = {name: decay * value + (1 - decay) * np.asarray(state.params[name]) for name, value in expected.items()}
    assert_close(state.ema, expected)


def test_precision_casts_the_pass_and_neither_the_data_in_the_loss_nor_the_master_copies():
    seen = []

    class Spy(Regression):
        def __init__(self, rngs):
            super().__init__(rngs)
            self.scale = nnx.Param(jnp.ones(()))

        def __call__(self, x, *, rngs=None, condition):
            seen.append((self.out.kernel[...].dtype, condition.dtype, x.dtype, self.scale[...].dtype))
            return super().__call__(x, condition=condition)

        def loss_fn(self, batch, outputs):
            seen.append((batch["x"].dtype, outputs["mean"].dtype))
            return {"loss": super().loss_fn(batch, outputs)["loss"] * self.scale[...]}

    model = Spy(nnx.Rngs(0))
    state = run(program(model, objectives=objectives_of(model, precision="bfloat16"), precision="bfloat16"))
    assert seen[0] == (jnp.bfloat16, jnp.bfloat16, jnp.bfloat16, jnp.float32)
    assert seen[1] == (jnp.float32, jnp.bfloat16)
    assert {leaf.dtype for leaf in state.params.values()} == {jnp.dtype("float32")}
    seen.clear()
    spied = program(model, objectives=objectives_of(model, precision="bfloat16"), precision="bfloat16")
    spied.losses(Variables(state.params, {}, state.model_state), data(), jax.random.key(0), state.step)
    assert seen == [(jnp.bfloat16, jnp.bfloat16, jnp.bfloat16, jnp.float32), (jnp.float32, jnp.bfloat16)]  # evaluated likewise
    # bfloat16 keeps 8 bits, and three Adam steps of 0.01 can differ by at most 0.06 a weight; they agree far better than that
    plain = Regression(nnx.Rngs(0))
    reference = run(program(plain)).params
    assert_close({name: state.params[name] for name in reference}, reference, rtol=0.05)


class Duel(nnx.Module):
    """The smallest adversarial model: two scalars."""

    def __init__(self):
        self.generator = nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0))
        self.discriminator = nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(1))

    def generate(self, n_samples=1, *, rngs=None):
        return self.generator(jnp.ones((n_samples, 1)))

    def generator_objective(self, batch, *, rngs):
        return {"loss": -jnp.mean(self.discriminator(self.generate(1)))}

    def discriminator_objective(self, batch, *, rngs):
        return {"loss": jnp.mean(self.discriminator(self.generate(1))) - jnp.mean(self.discriminator(batch["x"]))}


def test_alternating_objectives_move_their_own_parameters_in_turn():
    r"""With ``D(x) = d x``, ``G = g``: d moves by ``lr (x - g)``, then g by ``lr d`` with the new d."""
    model = Duel()
    g, d = float(model.generator.kernel[0, 0]), float(model.discriminator.kernel[0, 0])
    made = program(model, optimizers=[optax.sgd(0.1), optax.sgd(0.1)])
    state = run(made, steps=4, batch={"x": jnp.full((4, 1), 3.0)})
    for _ in range(4):
        d += 0.1 * (3.0 - g)
        g += 0.1 * d
    np.testing.assert_allclose(state.params["discriminator.kernel"], [[d]], rtol=1e-5)
    np.testing.assert_allclose(state.params["generator.kernel"], [[g]], rtol=1e-5)
    assert set(state.sums) == {f"{part}/{name}" for part in ("generator", "discriminator") for name in ("loss", "grad_norm")}


def test_an_objective_may_descend_at_every_nth_step_only():
    model = Duel()
    discriminator, generator = objectives_of(model)
    slow = Objective(generator.loss, "generator", "generator", every=2)
    g, d = float(model.generator.kernel[0, 0]), float(model.discriminator.kernel[0, 0])
    made = program(model, objectives=(discriminator, slow), optimizers=[optax.sgd(0.1), optax.sgd(0.1)])
    state = run(made, steps=4, batch={"x": jnp.full((4, 1), 3.0)})
    for t in range(4):
        d += 0.1 * (3.0 - g)
        g += 0.1 * d if t % 2 == 0 else 0.0
    np.testing.assert_allclose(state.params["generator.kernel"], [[g]], rtol=1e-5)


def test_an_objective_without_parameters_is_an_error():
    objective = Objective(lambda m, b, rngs, step: {"loss": jnp.zeros([])}, "critic", "critic")
    with pytest.raises(InvalidInputError, match="'critic' descends parameters below 'critic'"):
        program(Regression(nnx.Rngs(0)), objectives=(objective,)).begin(data())


def test_a_loss_without_the_key_loss_is_an_error():
    objective = Objective(lambda m, b, rngs, step: {"error": jnp.zeros([])})
    with pytest.raises((InvalidInputError, KeyError), match="loss"):
        program(Regression(nnx.Rngs(0)), objectives=(objective,)).begin(data())


def test_a_model_without_an_objective_is_an_error():
    with pytest.raises(InvalidTypeError, match="Linear cannot be trained: it needs"):
        objectives_of(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))


class Noisy(nnx.Module):
    """Draws from its own stream, as layers do that are not handed one, and keeps a running average."""

    def __init__(self, rngs):
        self.scale = nnx.Param(jnp.ones(()))
        self.norm = nnx.BatchNorm(1, momentum=0.5, rngs=rngs)
        self.rngs = rngs

    def __call__(self, x, *, rngs=None):
        return {"own": jax.random.normal(self.rngs.noise()), "given": jax.random.normal(rngs.sample()), "x": self.norm(x)}

    def generate(self, n_samples=1, *, rngs=None):
        raise NotImplementedError

    def loss_fn(self, batch, outputs):
        return {"loss": self.scale[...] * 0.0 + jnp.sum(outputs["x"]) * 0.0, "own": outputs["own"], "given": outputs["given"]}


def test_noise_is_new_at_every_step_and_the_same_in_a_second_run():
    def draws():
        made = program(Noisy(nnx.Rngs(0)))
        batch = {"x": jnp.ones((2, 1))}
        state, step, seen = made.begin(batch), jax.jit(made.step), []
        for _ in range(4):
            before = state.sums
            state = step(state, batch)
            seen += [float(state.sums[name].total - before[name].total) for name in ("own", "given")]
        return seen

    first = draws()
    assert len({round(v, 4) for v in first}) == 8
    assert first == draws()


class Normed(nnx.Module):
    """Shows what its batch norm makes of a batch."""

    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(1, momentum=0.5, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return {"x": self.norm(x)}

    def generate(self, n_samples=1, *, rngs=None):
        raise NotImplementedError

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["x"]) * 0.0 + jnp.sum(self.norm.scale[...]) * 0.0, "mean": jnp.mean(outputs["x"])}


def test_running_averages_move_in_training_and_rest_in_evaluation():
    made = program(Normed(nnx.Rngs(0)))
    batch = {"x": jnp.array([[1.0], [3.0]])}  # mean 2, variance 1
    state = run(made, steps=2, batch=batch)
    np.testing.assert_allclose(state.model_state["norm.mean"], [0.5 * (0.5 * 2.0) + 0.5 * 2.0], rtol=1e-6)
    np.testing.assert_allclose(state.sums["mean"].value, 0.0, atol=1e-5)  # in training a batch is normalised by its own mean
    losses = jax.jit(made.losses)(Variables(state.params, {}, state.model_state), batch, jax.random.key(0), state.step)
    variance = 0.5 * (0.5 * 1.0 + 0.5 * 1.0) + 0.5 * 1.0
    np.testing.assert_allclose(losses["mean"].value, (2.0 - 1.5) / np.sqrt(variance + 1e-5), rtol=1e-5)


def test_first_bad_step_is_remembered():
    made = program(Regression(nnx.Rngs(0)))
    state, step = made.begin(data()), jax.jit(made.step)
    bad = {**data(), "x": np.full((32, 2), np.nan, np.float32)}
    for batch in (data(), data(), bad, bad):
        state = step(state, batch)
    assert int(state.bad_step) == 3


def test_a_figure_that_is_not_finite_is_no_bad_loss():
    class Ratio(Regression):
        def loss_fn(self, batch, outputs):
            return {**super().loss_fn(batch, outputs), "ratio": jnp.array(jnp.inf)}

    assert int(run(program(Ratio(nnx.Rngs(0)))).bad_step) == -1


class Shrink:
    """An extension: adds an output, and pulls the weights of the last layer to zero."""

    def __init__(self, config):
        self.config = config

    def apply(self, model, inputs, outputs):
        return {"weights": model.out.kernel[...]}

    def compute_loss(self, batch, outputs):
        return {"loss": jnp.sum(outputs["weights"] ** 2)}


def test_extension_adds_its_weighted_loss():
    model = Regression(nnx.Rngs(0))
    plain = program(model)
    extended = program(model, objectives=objectives_of(model, [Shrink(ExtensionConfig(name="shrink", weight=0.5))]))
    batch, key = data(), jax.random.key(0)
    losses = {
        name: made.losses(made.parts.variables_of(made.model), batch, key, jnp.zeros([], jnp.int32))
        for name, made in (("plain", plain), ("extended", extended))
    }
    penalty = float(jnp.sum(model.out.kernel[...] ** 2))
    np.testing.assert_allclose(losses["extended"]["shrink/loss"].value, penalty, rtol=1e-6)
    np.testing.assert_allclose(losses["extended"]["loss"].value, losses["plain"]["loss"].value + 0.5 * penalty, rtol=1e-6)


def test_extensions_that_could_not_work_are_errors():
    class Learned(nnx.Module):
        def __init__(self):
            self.config, self.weight = ExtensionConfig(), nnx.Param(jnp.ones(3))

        apply = compute_loss = Shrink.apply

    model = Regression(nnx.Rngs(0))
    with pytest.raises(InvalidTypeError, match="extension Learned holds parameters"):
        objectives_of(model, [Learned()])
    with pytest.raises(InvalidInputError, match="two extensions are called 'Shrink'"):
        objectives_of(model, [Shrink(ExtensionConfig()), Shrink(ExtensionConfig())])


def test_a_model_that_asks_for_the_step_is_given_it():
    class Stepped(Regression):
        def loss_fn(self, batch, outputs, *, step):
            return {"loss": super().loss_fn(batch, outputs)["loss"], "step": step.astype(jnp.float32)}

    state = run(program(Stepped(nnx.Rngs(0))), steps=4)
    assert float(state.sums["step"].value) == (0 + 1 + 2 + 3) / 4


def test_objectives_may_have_optimizers_of_their_own():
    config = TrainerConfig(steps=1, batch_size=4, optimizers={"critic": OptimizerConfig()})
    with pytest.raises(
        InvalidInputError, match=r"names \['critic'\], but the model's optimisers are 'discriminator', 'generator'"
    ):
        Trainer(Duel(), config, seed=0)
