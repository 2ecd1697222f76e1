"""What each device holds while a sharded model is made, trained, evaluated, saved and restored."""

import gc
import threading
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import freeze
from artifex.core.mesh import ShardingConfig
from artifex.core.sharding import create_sharded
from artifex.training import Callback, Trainer, TrainerConfig
from artifex.training.callbacks import Checkpoint, CheckpointConfig
from artifex.training.placement import Placement

FSDP = ShardingConfig(fsdp_enabled=True)


class Wide(nnx.Module):
    """Two kernels of a mebibyte, and a buffer of samples that a forward pass writes to."""

    def __init__(self, rngs):
        self.up, self.down = nnx.Linear(256, 1024, rngs=rngs), nnx.Linear(1024, 256, rngs=rngs)
        self.seen = nnx.BatchStat(jnp.zeros((1024, 16)), logical_axes=("batch", None))

    def __call__(self, x, *, rngs=None):
        return {"x": self.down(jax.nn.relu(self.up(x)))}

    def generate(self, n_samples=1, *, rngs=None):
        return self.down(jax.random.normal(rngs.sample(), (n_samples, 1024)))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"]) ** 2)}


class WithFrozen(Wide):
    """Its first layer is somebody else's."""

    def __init__(self, rngs):
        super().__init__(rngs)
        freeze(self.up)


class Watch(threading.Thread):
    """Most bytes of arrays that any device held, of those made since the start."""

    def __init__(self):
        super().__init__(daemon=True)
        self._old = {id(array) for array in jax.live_arrays()}
        self._over, self.most = threading.Event(), 0
        self.kept = jax.live_arrays()  # so that no id is used again

    def look(self):
        held = {}  # by address: an array and the views of its shards share their memory
        for array in jax.live_arrays():
            try:
                if id(array) not in self._old and not array.is_deleted():
                    for shard in array.addressable_shards:
                        held[shard.device, shard.data.unsafe_buffer_pointer()] = shard.data.nbytes
            except (RuntimeError, TypeError, ValueError):  # given away meanwhile, or just now
                continue
        devices = Counter()
        for (device, _), size in held.items():
            devices[device] += size
        self.most = max([self.most, *devices.values()])

    def run(self):
        while not self._over.wait(0.001):
            self.look()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


class Look(Callback):
    """Looks at every moment that a callback has."""

    def __init__(self, watch):
        self.watch = watch

    def on_start(self, trainer):
        self.watch.look()

    def on_step(self, trainer):
        self.watch.look()

    on_log = on_evaluate = on_end = lambda self, *_: self.watch.look()


def data(n=64):
    return np.random.default_rng(0).normal(size=(n, 256)).astype(np.float32)


def config(**changes):
    return TrainerConfig(**({"steps": 6, "batch_size": 16, "log_every": 2, "evaluate_every": 3, "ema_decay": 0.9} | changes))


def sharded(model=Wide):
    return create_sharded(lambda: model(nnx.Rngs(0)), Placement(FSDP).mesh)


KERNELS = 2 * 256 * 1024 * 4
SHARE = KERNELS // 8
SMALL = 5 * (1024 + 256) * 4 + 1024 * 16 * 4 // 8  # biases and all that belongs to them, whole; the buffer
BATCHES = 2 * 64 * 256 * 4  # data in memory, and what is evaluated


def test_no_device_holds_more_than_its_share_during_a_whole_fit(tmp_path):
    """Parameters, two moments, the average and gradients: five times its eighth, from the model's making to its end."""
    with Watch() as watch:
        trainer = Trainer(
            sharded(),
            config(),
            seed=0,
            mesh=FSDP,
            folder=tmp_path,
            callbacks=[Checkpoint(CheckpointConfig(every=2)), Look(watch)],
        )
        trainer.fit(data(), data(32))
        del trainer
        gc.collect()
        again = Trainer(sharded(), config(steps=8), seed=0, mesh=FSDP, folder=tmp_path, callbacks=[Look(watch)])
        again.fit(data(), data(32), resume=tmp_path / "checkpoints")
        watch.look()
    assert again.step == 8
    assert watch.most < 1.1 * 5 * SHARE + SMALL + BATCHES
    assert watch.most > 4 * SHARE  # it did look


def test_a_callers_model_is_freed_while_it_is_trained():
    """The first device, on which it was whole, holds no more than the others; at the end the model has its arrays again."""
    with Watch() as watch:
        model = Wide(nnx.Rngs(0))

        class Later(Look):
            def on_start(self, trainer):
                assert all(not isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
                watch.most = 0
                super().on_start(trainer)

        Trainer(model, config(), seed=0, mesh=FSDP, callbacks=[Later(watch)]).fit(data())
    assert watch.most < 1.1 * 5 * SHARE + SMALL + BATCHES
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def test_variables_that_are_no_parameters_lie_by_their_logical_axes():
    trainer = Trainer(sharded(), config(), seed=0, mesh=ShardingConfig())  # eight along "data"
    trainer.fit(data())
    buffer = trainer.state.model_state["seen"]
    assert {shard.data.shape for shard in buffer.addressable_shards} == {(128, 16)}


@pytest.mark.parametrize("mesh", [None, FSDP], ids=["one device", "fsdp"])
def test_what_is_frozen_is_neither_returned_by_a_step_nor_in_the_state(mesh):
    model = WithFrozen(nnx.Rngs(0)) if mesh is None else sharded(WithFrozen)
    before = np.array(model.up.kernel[...])
    trainer = Trainer(model, config(), seed=0, mesh=mesh)
    trainer.fit(data(), data(32))
    assert sorted(trainer.frozen) == ["up.bias", "up.kernel"]
    assert not any("up" in jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(trainer.state))
    np.testing.assert_array_equal(model.up.kernel[...], before)  # handed back, and what it was
    assert not np.array_equal(trainer.evaluation_model().down.kernel[...], model.down.kernel[...])  # which is averaged
    np.testing.assert_array_equal(trainer.evaluation_model().up.kernel[...], before)


def test_what_is_frozen_is_written_once_and_restored_from_there(tmp_path):
    """A trainer that goes on takes the frozen part of the run, whatever its own model came with."""
    model = WithFrozen(nnx.Rngs(0))
    before = np.array(model.up.kernel[...])
    checkpoint = Checkpoint(CheckpointConfig(every=2))
    Trainer(model, config(), seed=0, folder=tmp_path, callbacks=[checkpoint]).fit(data())
    steps = [path for path in (tmp_path / "checkpoints").iterdir() if path.name.isdecimal()]
    assert len(steps) == 2
    sizes = {path.name: sum(f.stat().st_size for f in path.rglob("*")) for path in (*steps, tmp_path / "checkpoints/frozen")}
    # a kernel of two with two moments and an average, and the buffer; the frozen kernel alone
    assert all(4 * KERNELS / 2 < sizes[step.name] < 4.5 * KERNELS / 2 for step in steps)
    assert KERNELS / 2 < sizes["frozen"] < 1.1 * KERNELS / 2
    again = Trainer(WithFrozen(nnx.Rngs(1)), config(), seed=0)
    again.restore(data(), tmp_path / "checkpoints")
    np.testing.assert_array_equal(again.evaluation_model().up.kernel[...], before)


def test_a_frozen_part_trains_as_one_that_is_left_out_of_the_objective():
    """The same trajectory as with an optimiser that is told to leave these parameters alone."""
    import optax

    trainer = Trainer(WithFrozen(nnx.Rngs(0)), config(ema_decay=None), seed=0)
    trainer.fit(data(16))
    graph, params, rest = nnx.split(Wide(nnx.Rngs(0)), nnx.Param, ...)
    params, optimizer = nnx.as_pure(params), optax.adam(trainer.config.optimizer.learning_rate)
    own = params["down"]
    state, x = optimizer.init(own), data(16)
    for _ in range(6):  # a batch is all of the data; their order changes sums by rounding alone

        def loss(own):
            model = nnx.merge(graph, params | {"down": own}, rest)
            return jnp.mean((model(x)["x"] - x) ** 2)

        updates, state = optimizer.update(jax.grad(loss)(own), state)
        own = optax.apply_updates(own, updates)
    np.testing.assert_allclose(trainer.state.params["down.kernel"], own["kernel"], rtol=1e-3, atol=1e-6)
