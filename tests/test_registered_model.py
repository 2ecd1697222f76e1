"""A model that a notebook registers, through a whole run: its config from a run file, trained, kept, loaded."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import plugins, register_model
from artifex.core.config import Config, config
from artifex.training import RunConfig, build_run, load_run

HOME = sys.modules["artifex.core.plugins.registry"]


@config
class CentreConfig(Config):
    """Its size."""

    size: int = 2


class Centre(nnx.Module):
    """The mean of the data, by least squares."""

    def __init__(self, config, *, rngs):
        self.config, self.centre = config, nnx.Param(jnp.zeros(config.size))

    def __call__(self, x, *, rngs=None):
        return {"error": x - self.centre[None]}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.tile(self.centre[None], (n_samples, 1))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["error"] ** 2)}


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(HOME, "_models_of_this_process", {})
    plugins.registry.cache_clear()
    yield register_model("centre", config=CentreConfig)(Centre)
    plugins.registry.cache_clear()


def test_a_run_file_names_it_and_the_run_is_loaded_from_its_folder(registered, tmp_path):
    run = RunConfig.from_dict(
        {
            "model": {"kind": "centre", "size": 2},
            "data": {"dataset": {"kind": "density", "density": "two_moons", "n_train": 64, "n_validation": 16, "n_test": 16}},
            "training": {"steps": 200, "batch_size": 64, "optimizer": {"learning_rate": 0.05}},
        }
    )
    built = build_run(run)
    built.start(tmp_path / "run")
    again, model, _ = load_run(tmp_path / "run")
    assert again.model == run.model
    assert type(model) is registered
    x = np.concatenate([batch["x"] for batch in built.train.one_pass()])
    np.testing.assert_allclose(model.centre[...], x.mean(0), atol=1e-2)  # Adam's last steps are of the order of its rate
