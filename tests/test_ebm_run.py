"""An energy-based model in the trainer: its sample buffer goes on from step to step, and from one run to the next."""

import jax
import numpy as np
from flax import nnx

from artifex.core import create_model
from artifex.core.mesh import ShardingConfig
from artifex.ebm import EBMConfig, EnergyNetworkConfig, MCMCConfig, SampleBufferConfig
from artifex.training import Trainer, TrainerConfig
from artifex.training.callbacks import Callback, Checkpoint, CheckpointConfig

CONFIG = EBMConfig(
    input_dim=2,
    energy_network=EnergyNetworkConfig(hidden_dims=(8,)),
    mcmc=MCMCConfig(n_steps=3),
    sample_buffer=SampleBufferConfig(capacity=64),
)
DATA = {"x": np.asarray(jax.random.normal(jax.random.key(0), (64, 2)))}


class StopAt(Callback):
    """Ends a run early."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.step == self.step:
            trainer.stop_reason = "enough"


def trained(steps, **options):
    trainer = Trainer(create_model(CONFIG, rngs=nnx.Rngs(0)), TrainerConfig(steps=steps, batch_size=16), seed=3, **options)
    trainer.fit(DATA)
    return trainer


def test_a_step_moves_the_buffer():
    first = np.asarray(create_model(CONFIG, rngs=nnx.Rngs(0)).buffer.chains[...])
    chains = np.asarray(trained(1).model.buffer.chains[...])
    assert 1 <= np.sum(np.any(chains != first, axis=1)) <= 16  # a row of the batch, a slot


def test_a_resumed_run_ends_with_the_very_chains(tmp_path):
    whole = trained(6)
    first = trained(6, folder=tmp_path, callbacks=[Checkpoint(CheckpointConfig(every=3)), StopAt(3)])
    assert first.step == 3
    resumed = Trainer(create_model(CONFIG, rngs=nnx.Rngs(9)), TrainerConfig(steps=6, batch_size=16), seed=3)
    resumed.fit(DATA, resume=tmp_path / "checkpoints")
    for a, b in zip(jax.tree.leaves(nnx.state(whole.model)), jax.tree.leaves(nnx.state(resumed.model)), strict=True):
        if not jax.numpy.issubdtype(a.dtype, jax.dtypes.prng_key):
            assert np.array_equal(a, b) or a.ndim == 0  # counts of the models' own streams apart


def test_chains_on_eight_devices_are_those_of_one():
    one, eight = trained(3), trained(3, mesh=ShardingConfig(data_parallel_size=8))
    chains = eight.model.buffer.chains[...]
    assert not chains.sharding.is_fully_replicated
    assert np.allclose(chains, one.model.buffer.chains[...], atol=1e-5)
