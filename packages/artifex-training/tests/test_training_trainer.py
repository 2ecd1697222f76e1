"""The trainer as a whole: on data, on meshes, interrupted and resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

from artifex.core.errors import InvalidInputError, InvalidTypeError, NonFiniteLossError, RunError
from artifex.core.mesh import ShardingConfig
from artifex.training import ArrayLoader, Callback, Objective, OptimizerConfig, Trainer, TrainerConfig
from artifex.training.callbacks import Checkpoint, CheckpointConfig, EarlyStop, EarlyStopConfig
from artifex.training.plan import Plan
from artifex.training.rate import Rate


class Autoencoder(nnx.Module):
    """A noisy two-layer autoencoder with dropout: randomness, several shapes, and nothing else."""

    def __init__(self, seed=0):
        rngs = nnx.Rngs(seed)
        kernel = nnx.with_metadata(nnx.initializers.lecun_normal(), logical_axes=("embed", "mlp"))
        self.encoder = nnx.Linear(16, 64, kernel_init=kernel, rngs=rngs)
        self.decoder = nnx.Linear(64, 16, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        noisy = x + 0.1 * jax.random.normal(rngs.sample(), x.shape)
        return {"x": self.decoder(self.dropout(jax.nn.relu(self.encoder(noisy)), rngs=rngs))}

    def generate(self, n_samples=1, *, rngs=None):
        return self.decoder(jax.random.normal(rngs.sample(), (n_samples, 64)))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"]) ** 2)}


def data(n=96):
    """Points on a four-dimensional plane; the first ``n`` of one endless list."""
    rng = np.random.default_rng(3)
    plane = rng.normal(size=(4, 16))
    return (rng.normal(size=(n, 4)) @ plane).astype(np.float32)


def config(**changes):
    return TrainerConfig(**({"steps": 20, "batch_size": 16, "log_every": 5, "optimizer": {"learning_rate": 1e-2}} | changes))


class Record(Callback):
    """Keeps every figure it is shown."""

    def __init__(self):
        self.losses, self.evaluations, self.moments = [], [], []

    def on_start(self, trainer):
        self.moments.append("start")

    def on_step(self, trainer):
        self.moments.append(trainer.step)

    def on_log(self, trainer, metrics):
        self.losses.append(metrics["loss"])

    def on_evaluate(self, trainer, metrics):
        self.evaluations.append((trainer.step, metrics["eval/loss"]))

    def on_end(self, trainer, error):
        self.moments.append(type(error))


def weights(model):
    return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}


def assert_equal(a, b, **tolerance):
    for name in a:
        np.testing.assert_allclose(a[name], b[name], err_msg=name, **tolerance)


class Level(nnx.Module):
    """The mean of the data."""

    def __init__(self):
        self.mean = nnx.Param(jnp.zeros(2))

    def __call__(self, x, *, rngs=None):
        return {"error": x - self.mean[None]}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.tile(self.mean[None], (n_samples, 1))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["error"] ** 2)}


def test_training_lowers_the_held_out_loss_and_says_so():
    record, model = Record(), Autoencoder()
    metrics = Trainer(model, config(steps=60, evaluate_every=20), seed=0, callbacks=[record]).fit(data(), data(40))
    assert [step for step, _ in record.evaluations] == [20, 40, 60]
    assert len(record.losses) == 12
    # the best that copies the input through dropout of a tenth is far below the data's variance of about 4
    assert record.evaluations[-1][1] < 0.3 * record.evaluations[0][1]
    assert metrics["eval/loss"] == record.evaluations[-1][1]
    assert record.moments == ["start", *range(1, 61), type(None)]


def test_the_logged_loss_is_the_mean_over_the_interval():
    fine, coarse = Record(), Record()
    Trainer(Autoencoder(), config(log_every=1), seed=0, callbacks=[fine]).fit(data())
    Trainer(Autoencoder(), config(log_every=5), seed=0, callbacks=[coarse]).fit(data())
    np.testing.assert_allclose(coarse.losses, np.mean(np.reshape(fine.losses, (4, 5)), axis=1), rtol=1e-6)


def test_one_seed_one_result_another_seed_another():
    def trained(seed):
        model = Autoencoder()
        Trainer(model, config(), seed=seed).fit(data())
        return weights(model)

    first, second, other = trained(0), trained(0), trained(1)
    assert_equal(first, second, rtol=0, atol=0)
    assert any(np.abs(first[name] - other[name]).max() > 1e-3 for name in first)


def test_the_step_is_traced_once():
    traces = []

    class Counted(Autoencoder):
        def loss_fn(self, batch, outputs):
            traces.append(1)
            return super().loss_fn(batch, outputs)

    trainer = Trainer(Counted(), config(steps=2, log_every=1), seed=0)
    trainer.fit(data())
    before = len(traces)
    trainer = Trainer(Counted(), config(steps=12, log_every=1), seed=0)
    trainer.fit(data())
    assert len(traces) == 2 * before  # a longer run traces no more than a short one


def test_evaluation_weighs_uneven_batches_and_uses_the_average():
    model = Autoencoder()
    trainer = Trainer(model, config(ema_decay=0.9), seed=0)
    trainer.fit(data())
    held_out = data(40)  # two batches of 16 and one of 8
    figure = trainer.evaluate(held_out)["loss"]
    averaged = trainer.evaluation_model()
    assert_equal(weights(averaged), {n: np.asarray(v) for n, v in trainer.state.ema.items()}, rtol=0)
    mean = np.mean((np.asarray(averaged(jnp.asarray(held_out), rngs=nnx.Rngs(9))["x"]) - held_out) ** 2)
    np.testing.assert_allclose(figure, mean, rtol=0.05)  # other noise, of standard deviation 0.1, on 640 numbers
    assert trainer.evaluate(held_out)["loss"] == figure


def test_evaluation_sees_the_model_as_it_is_now():
    """Before any training, after it, and after the model was changed by hand or by another training."""

    def at(value):
        model.mean[...] = jnp.full(2, value)

    model, held_out = Level(), np.zeros((6, 2), np.float32)
    trainer = Trainer(model, TrainerConfig(steps=3, batch_size=4, ema_decay=0.9), seed=0)
    for value in (1.0, 3.0):
        at(value)
        assert trainer.evaluate(held_out)["loss"] == pytest.approx(value**2)
    trainer.fit(np.zeros((8, 2), np.float32))
    reached = trainer.evaluate(held_out)["loss"]
    averaged = trainer.state.averaged["mean"]
    assert reached == pytest.approx(float(averaged[0]) ** 2)
    assert not np.allclose(averaged, model.mean[...], atol=1e-5)
    metrics, step = dict(trainer.metrics), trainer.step
    for value in (5.0, 7.0):
        at(value)
        assert trainer.evaluate(held_out)["loss"] == pytest.approx(value**2)
        np.testing.assert_array_equal(trainer.evaluation_model().mean[...], np.full(2, value))
    assert (trainer.metrics, trainer.step) == (metrics, step)  # looking changes nothing
    trainer.fit(np.zeros((8, 2), np.float32))
    assert trainer.evaluate(held_out)["loss"] == pytest.approx(float(trainer.state.averaged["mean"][0]) ** 2)


def test_evaluation_after_a_failure_is_of_the_model_that_was_handed_back():
    model = Level()
    trainer = Trainer(model, TrainerConfig(steps=50, batch_size=4, optimizer={"learning_rate": 1e30}), seed=0)
    with pytest.raises(NonFiniteLossError):
        trainer.fit(np.ones((8, 2), np.float32))
    np.testing.assert_array_equal(model.mean[...], np.zeros(2))
    assert trainer.evaluate(np.full((6, 2), 2.0, np.float32))["loss"] == pytest.approx(4.0)


def test_data_on_the_device_and_batches_from_the_host_are_the_same_training(monkeypatch):
    resident, sent = Autoencoder(), Autoencoder()
    Trainer(resident, config(), seed=0).fit(data())
    monkeypatch.setattr("artifex.training.placement.ON_DEVICE_BYTES", 0)
    Trainer(sent, config(), seed=0).fit(data())
    assert_equal(weights(resident), weights(sent), rtol=1e-6, atol=1e-7)


def test_fit_called_again_goes_on_from_the_trained_model():
    model, record = Autoencoder(), Record()
    trainer = Trainer(model, config(), seed=0, callbacks=[record])
    trainer.fit(data())
    trainer.fit(data())
    assert record.moments.count(20) == 2
    assert record.losses[4] < record.losses[0]  # the second fit begins where the first one ended


def test_the_callers_model_survives_and_is_trained():
    model = Autoencoder()
    before = weights(model)
    Trainer(model, config(), seed=0).fit(data())
    after = weights(model)
    assert any(np.abs(before[name] - after[name]).max() > 1e-2 for name in before)


@pytest.mark.parametrize(
    "sharding",
    [
        ShardingConfig(),
        ShardingConfig(fsdp_enabled=True, fsdp_min_weight_size=1),
        ShardingConfig(tensor_parallel_size=2, fsdp_enabled=True, fsdp_min_weight_size=1),
    ],
    ids=["data", "fsdp", "fsdp and tensor"],
)
def test_on_a_mesh_the_loss_curve_is_that_of_one_device(sharding):
    one, many = Record(), Record()
    alone, spread = Autoencoder(), Autoencoder()
    Trainer(alone, config(log_every=1, ema_decay=0.9), seed=0, callbacks=[one]).fit(data())
    trainer = Trainer(spread, config(log_every=1, ema_decay=0.9), seed=0, mesh=sharding, callbacks=[many])
    trainer.fit(data())
    assert trainer.mesh.size == 8
    np.testing.assert_allclose(many.losses, one.losses, rtol=1e-5)
    assert_equal(weights(spread), weights(alone), rtol=1e-4, atol=1e-5)


class Large(nnx.Module):
    """Two layers large enough for FSDP's own threshold, of 2**18 elements."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        axes = [("embed", "mlp"), ("mlp", "embed")]
        inner, outer = (nnx.with_metadata(nnx.initializers.lecun_normal(), logical_axes=names) for names in axes)
        self.encoder = nnx.Linear(256, 1024, kernel_init=inner, rngs=rngs)
        self.decoder = nnx.Linear(1024, 256, kernel_init=outer, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return {"x": self.decoder(jax.nn.relu(self.encoder(x)))}

    def generate(self, n_samples=1, *, rngs=None):
        raise NotImplementedError

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"]) ** 2)}


def test_data_fsdp_and_tensor_at_once():
    """Two by two by two devices: the curve of one device, a quarter of each kernel and its moments on each."""
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    x = np.random.default_rng(0).normal(size=(96, 256)).astype(np.float32)
    one, many = Record(), Record()
    Trainer(Large(), config(log_every=1), seed=0, callbacks=[one]).fit(x)
    trainer = Trainer(Large(), config(log_every=1), seed=0, mesh=mesh, callbacks=[many])
    trainer.fit(x)
    assert len(one.losses) == 20
    np.testing.assert_allclose(many.losses, one.losses, rtol=1e-5)
    kernels = [leaf for leaf in jax.tree.leaves((trainer.state.params, trainer.state.opt)) if leaf.ndim == 2]
    assert len(kernels) == 6
    assert all(leaf.addressable_shards[0].data.nbytes == leaf.nbytes // 4 for leaf in kernels)


def test_the_optimisers_state_is_never_whole_on_a_device(monkeypatch):
    """Not even while it is made: under FSDP that would be what does not fit."""
    whole, zeros_like = [], jnp.zeros_like

    def watched(array, **options):
        whole.append(array.size >= 2**18 and not isinstance(array, jax.core.Tracer))
        return zeros_like(array, **options)

    monkeypatch.setattr(jnp, "zeros_like", watched)
    trainer = Trainer(Large(), config(steps=1), seed=0, mesh=ShardingConfig(fsdp_enabled=True))
    trainer.compile(ArrayLoader({"x": np.ones((16, 256), np.float32)}, batch_size=16, seed=0))
    assert len(whole) >= 8  # two moments of four parameters
    assert not any(whole)
    moments = [leaf for leaf in jax.tree.leaves(trainer.state.opt) if leaf.ndim == 2]
    assert all(leaf.addressable_shards[0].data.nbytes == leaf.nbytes // 8 for leaf in moments)


def test_fsdp_holds_an_eighth_of_parameters_and_moments_on_each_device():
    trainer = Trainer(
        Autoencoder(), config(steps=1, ema_decay=0.9), seed=0, mesh=ShardingConfig(fsdp_enabled=True, fsdp_min_weight_size=1)
    )
    trainer.fit(data())
    for part in (trainer.state.params, trainer.state.opt, trainer.state.ema):
        arrays = [a for a in jax.tree.leaves(part) if a.ndim]
        held = sum(a.addressable_shards[0].data.nbytes for a in arrays)
        assert held == sum(a.nbytes for a in arrays) // 8


class Cut(Callback):
    """Ends the run at a step, as a power cut would."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "sharding", [None, ShardingConfig(fsdp_enabled=True, fsdp_min_weight_size=1)], ids=["one device", "fsdp"]
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path, sharding):
    settings = config(
        ema_decay=0.9, accumulate=2, optimizer={"optimizer_type": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    )
    whole, halves = Autoencoder(), Autoencoder()
    reference = Trainer(whole, settings, seed=4, mesh=sharding)
    reference.fit(data())
    checkpoint = Checkpoint(CheckpointConfig(every=5))
    with pytest.raises(KeyboardInterrupt):
        Trainer(halves, settings, seed=4, mesh=sharding, callbacks=[checkpoint, Cut(13)], folder=tmp_path).fit(data())
    resumed = Trainer(Autoencoder(7), settings, seed=4, mesh=sharding)
    resumed.fit(data(), resume=tmp_path / "checkpoints")
    for a, b in zip(jax.tree.leaves(reference.state), jax.tree.leaves(resumed.state), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


class Standardised(Autoencoder):
    """Subtracts the mean of the first batch, a parameter from then on."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.mean = nnx.Param(jnp.zeros(16))
        self.seen = nnx.Variable(jnp.zeros((), jnp.int32))

    @property
    def initialized(self):
        return bool(self.seen[...] > 0)

    def initialize(self, batch, *, rngs=None):
        self.mean[...] = jnp.mean(batch["x"], axis=0)
        self.seen[...] += 1

    def __call__(self, x, *, rngs=None):
        return super().__call__(x - self.mean[...][None], rngs=rngs)


class Doubled:
    """A modality that doubles what it is given."""

    shape = (16,)

    def prepare(self, batch, *, rngs, train):
        return {**batch, "x": 2 * batch["x"]}


@pytest.mark.parametrize("staged", [True, False], ids=["staged", "batch by batch"])
@pytest.mark.parametrize("sharding", [None, ShardingConfig()], ids=["one device", "data parallel"])
def test_a_model_that_starts_from_data_is_given_the_first_batch_once(monkeypatch, staged, sharding):
    if not staged:
        monkeypatch.setattr("artifex.training.placement.ON_DEVICE_BYTES", 0)
    first = 2 * next(ArrayLoader({"x": data()}, batch_size=16, seed=4))["x"].mean(axis=0)
    model, settings = Standardised(), config(steps=2, optimizer={"learning_rate": 1e-9}, ema_decay=0.9)
    trainer = Trainer(model, settings, seed=4, mesh=sharding, modality=Doubled())
    trainer.fit(data())
    np.testing.assert_allclose(model.mean[...], first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trainer.state.ema["mean"], trainer.state.params["mean"], rtol=1e-5)  # averaged from there on
    assert trainer.loader.state()["index"] == 2  # the first step was given the first batch
    assert int(model.seen[...]) == 1
    Trainer(model, settings, seed=9, mesh=sharding, modality=Doubled()).fit(data())  # trained already: nothing starts anew
    assert int(model.seen[...]) == 1
    np.testing.assert_allclose(model.mean[...], first, rtol=1e-4, atol=1e-6)


def test_a_model_that_started_from_data_resumes_bit_for_bit(tmp_path):
    reference = Trainer(Standardised(), config(ema_decay=0.9), seed=4)
    reference.fit(data())
    checkpoint = Checkpoint(CheckpointConfig(every=5))
    with pytest.raises(KeyboardInterrupt):
        Trainer(Standardised(), config(ema_decay=0.9), seed=4, callbacks=[checkpoint, Cut(13)], folder=tmp_path).fit(data())
    resumed = Trainer(Standardised(7), config(ema_decay=0.9), seed=4)
    resumed.fit(data(), resume=tmp_path / "checkpoints")
    for a, b in zip(jax.tree.leaves(reference.state), jax.tree.leaves(resumed.state), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert int(resumed.model.seen[...]) == 1


def test_a_checkpoint_goes_to_another_mesh(tmp_path):
    Trainer(Autoencoder(), config(steps=10), seed=4, callbacks=[Checkpoint(CheckpointConfig())], folder=tmp_path).fit(data())
    moved = Trainer(Autoencoder(7), config(), seed=4, mesh=ShardingConfig(fsdp_enabled=True, fsdp_min_weight_size=1))
    metrics = moved.fit(data(), resume=tmp_path / "checkpoints")
    straight = Trainer(Autoencoder(), config(), seed=4).fit(data())
    np.testing.assert_allclose(metrics["loss"], straight["loss"], rtol=1e-5)


def test_resuming_with_another_seed_is_an_error(tmp_path):
    def loader():
        return ArrayLoader({"x": data()}, batch_size=16, seed=9)

    Trainer(Autoencoder(), config(steps=10), seed=4, callbacks=[Checkpoint(CheckpointConfig())], folder=tmp_path).fit(loader())
    with pytest.raises(RunError, match="was written with seed 4, this Trainer has seed 5"):
        Trainer(Autoencoder(), config(), seed=5).fit(loader(), resume=tmp_path / "checkpoints")


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_term():
    class Breaks(Autoencoder):
        def loss_fn(self, batch, outputs, *, step):
            penalty = jnp.where(step >= 7, jnp.inf, 1.0)
            return {"loss": super().loss_fn(batch, outputs)["loss"] + penalty, "penalty": penalty}

    record = Record()
    with pytest.raises(NonFiniteLossError, match=r"not finite at step 8 \(terms: loss, penalty\)"):
        Trainer(Breaks(), config(), seed=0, callbacks=[record]).fit(data())
    assert record.moments[-1] is NonFiniteLossError


def test_the_terms_named_are_those_of_the_step_and_not_what_came_of_them():
    class Breaks(Autoencoder):
        def loss_fn(self, batch, outputs, *, step):
            sound = super().loss_fn(batch, outputs)["loss"]
            bad = jnp.where(step >= 7, jnp.nan, 1.0) * jnp.sum(self.decoder.bias[...])  # and so is its gradient
            return {"loss": sound + bad, "bad": bad, "sound": sound}

    with pytest.raises(NonFiniteLossError, match=r"not finite at step 8 \(terms: bad, loss\)"):
        Trainer(Breaks(), config(log_every=50), seed=0).fit(data())


def test_steps_under_way_are_no_part_of_the_evaluation(monkeypatch):
    """The clock that leaves evaluations out must not be stopped before the steps are done."""
    ready, paused = [], Rate.paused

    def watched(self):
        ready.append(all(leaf.is_ready() for leaf in jax.tree.leaves(trainer.arrays)))
        return paused(self)

    class Slow(Autoencoder):
        def loss_fn(self, batch, outputs):
            long = jax.lax.fori_loop(0, 200, lambda _, m: jnp.tanh(m @ m), jnp.eye(200) + outputs["x"][0, 0])
            return {"loss": super().loss_fn(batch, outputs)["loss"] + 1e-9 * long[0, 0]}

    monkeypatch.setattr(Rate, "paused", watched)
    trainer = Trainer(Slow(), config(steps=4, evaluate_every=2), seed=0)
    trainer.fit(data(), data(16))
    assert ready == [True, True]


def test_an_early_stop_starts_anew_with_every_fit():
    stop = EarlyStop(EarlyStopConfig(patience=1, min_delta=1e9))
    trainer = Trainer(Autoencoder(), config(steps=20, evaluate_every=2), seed=0, callbacks=[stop])
    for _ in range(2):
        trainer.fit(data(), data(16))
        assert trainer.step == 4
        assert trainer.stop_reason is not None


def test_what_is_no_extension_is_refused():
    class Half:
        def apply(self, model, inputs, outputs):
            return {}

        def compute_loss(self, batch, outputs):
            return {"loss": jnp.zeros(())}

    with pytest.raises(InvalidTypeError, match="Half is no extension: it needs config"):
        Trainer(Autoencoder(), config(), seed=0, extensions=[Half()])


def test_a_gradient_that_is_not_finite_is_found_though_the_loss_was():
    class Root(Autoencoder):
        def loss_fn(self, batch, outputs):
            return {"loss": jnp.sqrt(jnp.sum(self.decoder.bias[...] ** 2))}  # no slope at zero, where biases start

    model = Root()
    with pytest.raises(NonFiniteLossError, match="the parameters are not finite after step 1"):
        Trainer(model, config(log_every=1), seed=0).fit(data())
    assert all(np.isfinite(value).all() for value in weights(model).values())  # the model keeps what it had


def test_a_bad_loss_is_found_at_an_early_stop_too():
    class Breaks(Autoencoder):
        def loss_fn(self, batch, outputs, *, step):
            return {"loss": super().loss_fn(batch, outputs)["loss"] + jnp.where(step >= 3, jnp.nan, 0.0)}

    stop = EarlyStop(EarlyStopConfig(patience=1))
    with pytest.raises(NonFiniteLossError, match="not finite at step 4"):
        Trainer(Breaks(), config(log_every=500, evaluate_every=5), seed=0, callbacks=[stop]).fit(data(), data(40))


def test_an_interruption_amid_a_step_leaves_the_callers_model_whole(monkeypatch):
    model = Autoencoder()
    before = weights(model)
    trainer = Trainer(model, config(), seed=0, callbacks=[Record()])
    step = Plan.step

    def interrupted(self, *arguments):
        reached = step(self, *arguments)
        if trainer.step == 5:
            raise KeyboardInterrupt
        return reached

    monkeypatch.setattr(Plan, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(data())
    assert_equal(weights(model), before, rtol=0)


def test_the_schedule_of_a_slower_objective_is_as_long_as_its_steps():
    class Scalar(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.zeros(()))

    objective = Objective(lambda m, b, rngs, step: {"loss": m.w[...]}, every=5)
    settings = config(
        steps=100,
        log_every=1,
        optimizer={"optimizer_type": "sgd", "learning_rate": 1.0, "scheduler": {"scheduler_type": "linear"}},
    )
    model, rates = Scalar(), []

    class Rates(Callback):
        def on_log(self, trainer, metrics):
            rates.append(metrics["learning_rate"])

    Trainer(model, settings, seed=0, objectives=[objective], callbacks=[Rates()]).fit(data())
    # twenty descents at 1, 0.95 ... 0.05
    np.testing.assert_allclose(model.w[...], -np.arange(1, 21).sum() / 20, rtol=1e-5)
    np.testing.assert_allclose([rates[0], rates[4], rates[5], rates[-1]], [1.0, 1.0, 0.95, 0.05], rtol=1e-5)


def test_parameters_too_coarse_to_train_are_refused():
    class Coarse(Autoencoder):
        def __init__(self):
            super().__init__()
            self.decoder = nnx.Linear(64, 16, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))

    with pytest.raises(InvalidInputError, match=r"parameter decoder.bias is bfloat16, too coarse"):
        Trainer(Coarse(), config(), seed=0).fit(data())


def test_a_parameter_that_no_objective_of_the_model_trains_is_an_error():
    class Three(nnx.Module):
        def __init__(self):
            self.generator, self.discriminator, self.encoder = (nnx.Linear(1, 1, rngs=nnx.Rngs(i)) for i in range(3))

        def generate(self, n_samples=1, *, rngs=None):
            raise NotImplementedError

        def generator_objective(self, batch, *, rngs):
            return {"loss": jnp.sum(self.generator.kernel[...])}

        def discriminator_objective(self, batch, *, rngs):
            return {"loss": jnp.sum(self.discriminator.kernel[...])}

    with pytest.raises(InvalidInputError, match=r"no objective of Three trains the parameter encoder\."):
        Trainer(Three(), config(), seed=0).fit(data())


def test_devices_that_would_only_repeat_work_are_an_error():
    with pytest.raises(InvalidInputError, match="2 devices along 'expert', but no parameter of Autoencoder is divided"):
        Trainer(Autoencoder(), config(), seed=0, mesh=ShardingConfig(expert_parallel_size=2)).fit(data())


def test_a_mesh_of_ones_own():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    straight = Trainer(Autoencoder(), config(), seed=0).fit(data())
    np.testing.assert_allclose(
        Trainer(Autoencoder(), config(), seed=0, mesh=mesh).fit(data())["loss"], straight["loss"], rtol=1e-5
    )
    explicit = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:2])
    with pytest.raises(InvalidInputError, match="make it with axis_types"):
        Trainer(Autoencoder(), config(), seed=0, mesh=explicit)


def test_a_loader_of_another_batch_size_is_an_error():
    loader = ArrayLoader({"x": data()}, batch_size=8, seed=0)
    with pytest.raises(InvalidInputError, match="batches have 8 examples, but the Trainer's batch_size is 16"):
        Trainer(Autoencoder(), config(), seed=0).fit(loader)


def test_configs_hash():
    assert hash(config()) == hash(config())
    assert config(optimizers={"generator": OptimizerConfig()}) != config()


def test_what_is_modelled_may_come_as_a_loader_with_conditions():
    class Conditional(Autoencoder):
        def __call__(self, x, *, label, rngs=None):
            return super().__call__(x + label[:, None], rngs=rngs)

    loader = ArrayLoader({"x": data(), "label": np.arange(96, dtype=np.float32), "unused": np.zeros(96)}, batch_size=16, seed=0)
    assert np.isfinite(Trainer(Conditional(), config(), seed=0).fit(loader)["loss"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "give either steps or epochs"),
        ({"epochs": 3}, "give either steps or epochs"),
        ({"accumulate": 3}, "batch_size 16 does not split into accumulate = 3 equal parts"),
        ({"precision": "float8"}, "precision"),
        ({"remat": "everything"}, "remat"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_configs_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_a_batch_that_does_not_split_over_the_devices():
    with pytest.raises(
        InvalidInputError, match="batch_size 12 does not split over 8 data-parallel devices; choose a multiple of 8"
    ):
        Trainer(Autoencoder(), config(batch_size=12), seed=0, mesh=ShardingConfig())


def test_a_dict_is_no_config():
    with pytest.raises(InvalidTypeError, match="Trainer takes a TrainerConfig, got dict"):
        Trainer(Autoencoder(), {"steps": 3}, seed=0)


def test_precision_against_a_fixed_dtype_is_an_error():
    model = Autoencoder()
    model.config = type("Fixed", (), {"dtype": "float32"})()
    with pytest.raises(InvalidInputError, match="precision is bfloat16, but the model's own dtype is float32"):
        Trainer(model, config(precision="bfloat16"), seed=0)


def test_too_large_a_batch_is_an_error():
    with pytest.raises(InvalidInputError, match="batch_size is 16, but the data hold 8 examples"):
        Trainer(Autoencoder(), config(), seed=0).fit(data(8))


def test_factored_moments_find_their_place_on_a_mesh():
    """Adafactor keeps a row and a column for each matrix: arrays that belong to a parameter but have not its shape."""
    sharding = ShardingConfig(fsdp_enabled=True, fsdp_min_weight_size=1)
    factored = {"optimizer_type": "adafactor", "learning_rate": 1e-2, "options": {"min_dim_size_to_factor": 8}}
    one = Trainer(Autoencoder(), config(optimizer=factored), seed=0).fit(data())
    many = Trainer(Autoencoder(), config(optimizer=factored), seed=0, mesh=sharding).fit(data())
    np.testing.assert_allclose(many["loss"], one["loss"], rtol=1e-5)
