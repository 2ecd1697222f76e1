"""Registering in the process: what a notebook's cell registers is known everywhere, and held to what plugins are held to."""

import sys
from types import SimpleNamespace
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import create_model, load_model, plugins, register_model, save_model
from artifex.core.config import Config, Registered, config
from artifex.core.errors import InvalidTypeError, PluginConflictError, UnknownNameError
from artifex.core.plugins import ModelEntry
from artifex.core.testing.conformance import Case, Subject
from artifex.core.testing.conformance.suite import CHECKS
from artifex.generative_models.core import configuration

HOME = sys.modules["artifex.core.plugins.registry"]  # the function of that name hides it


@pytest.fixture(autouse=True)
def registered_models(monkeypatch):
    """What this process registered, put back afterwards; the registry is built anew."""
    models = {}
    monkeypatch.setattr(HOME, "_models_of_this_process", models)
    plugins.registry.cache_clear()
    yield models
    plugins.registry.cache_clear()


def cell(name="constant", **options):
    """Run a notebook's cell: a config and a model are made and registered."""

    @config
    class ConstantConfig(Config):
        """Its size."""

        size: int = 3

    ConstantConfig.__qualname__ = "ConstantConfig"

    @register_model(name, config=ConstantConfig, **options)
    class Constant(nnx.Module):
        """A constant.

        Nobody 2026, equation 1.
        """

        def __init__(self, config, *, rngs):
            self.config = config
            self.value = nnx.Param(jnp.zeros(config.size))

        def __call__(self, x, *, rngs=None):
            return {"error": x - self.value[None]}

        def generate(self, n_samples=1, *, rngs=None):
            return jnp.tile(self.value[None], (n_samples, 1))

        def loss_fn(self, batch, outputs):
            return {"loss": jnp.mean(outputs["error"] ** 2)}

    return SimpleNamespace(config=ConstantConfig, model=Constant)


def test_create_model_run_files_and_the_registry_know_it():
    here = cell(family="toy", paper="Nobody 2026")
    assert type(create_model(here.config(size=2), rngs=nnx.Rngs(0))) is here.model
    registry = plugins.registry()
    assert "constant" in registry.names("model")
    entry = registry.get("model", "constant")
    assert (entry.family, entry.paper, entry.summary) == ("toy", "Nobody 2026", "A constant.")
    assert str(registry.owner("model", "constant")) == "this process"
    assert registry.config_class("model", "constant") is here.config
    assert plugins.resolve(entry.model) is here.model
    assert configuration.ConstantConfig is here.config

    @config
    class RunLike(Config):
        model: Annotated[Config, Registered("model")]

    run = RunLike.from_dict({"model": {"kind": "constant", "size": 5}})
    assert run.model == here.config(size=5)
    assert RunLike.from_dict(run.to_dict()) == run
    assert "constant" in RunLike.json_schema()["properties"]["model"]["properties"]["kind"]["enum"]


def test_a_registry_that_is_built_anew_has_it_too():
    here = cell()
    assert plugins.refresh().config_class("model", "constant") is here.config


def test_the_cell_runs_again_and_the_newer_class_counts():
    first, second = cell(), cell()
    assert type(create_model(second.config(), rngs=nnx.Rngs(0))) is second.model
    assert plugins.registry().conflicts() == []
    with pytest.raises(
        UnknownNameError, match="this ConstantConfig is of an earlier registration of 'constant'; make the config anew"
    ):
        create_model(first.config(), rngs=nnx.Rngs(0))


def test_a_plugins_name_cannot_be_taken(monkeypatch, registered_models, fake_point, fake_module):
    taken = fake_module(artifex_models=[ModelEntry(name="taken", model="x:M", config="x:C", family="f")])
    made = plugins.Registry(plugins.load_plugins([fake_point("p", taken, "dist-p", "2.0")], disable=""))
    monkeypatch.setattr(HOME, "registry", lambda: made)
    with pytest.raises(
        PluginConflictError,
        match=r"model 'taken' is claimed by dist-p 2\.0 and this process; register yours under another name",
    ):
        cell("taken")
    assert registered_models == {}
    assert str(made.owner("model", "taken")) == "dist-p 2.0"


def test_a_plugin_installed_later_keeps_its_name(monkeypatch, fake_point, fake_module):
    cell("late")
    late = fake_module(artifex_models=[ModelEntry(name="late", model="x:M", config="x:C", family="f")])
    loaded = plugins.load_plugins([fake_point("p", late, "dist-p")], disable="")
    monkeypatch.setattr(HOME, "load_plugins", lambda: loaded)
    with pytest.warns(plugins.PluginWarning, match="'late' is claimed by dist-p 1.0 and this process"):
        assert str(plugins.refresh().owner("model", "late")) == "dist-p 1.0"


def test_a_config_belongs_to_one_model():
    here = cell("one")
    with pytest.raises(
        PluginConflictError, match="ConstantConfig is the config of one and two; each model needs a config of its own"
    ):
        register_model("two", config=here.config)(here.model)
    assert "two" not in plugins.registry().names("model")


class Plain(Config):
    pass


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Config(), r"register_model\('m', config=...\) takes the class of a config.* got Config\("),
        (dict, "takes the class of a config"),
        (Plain, "Plain lacks the decorator @config"),
    ],
)
def test_configs_that_cannot_serve(given, message):
    with pytest.raises(InvalidTypeError, match=message):
        register_model("m", config=given)


def test_what_is_no_class_or_has_no_name():
    here = cell()
    with pytest.raises(InvalidTypeError, match=r"register_model\('m'\) decorates a model's class, got function"):
        register_model("m", config=here.config)(lambda config, *, rngs: None)
    with pytest.raises(ValueError, match="needs a name"):
        register_model("", config=here.config)(here.model)


def test_it_is_saved_and_loaded_and_another_process_is_told_to_register_it(tmp_path, registered_models):
    here = cell()
    model = create_model(here.config(), rngs=nnx.Rngs(0))
    model.value[...] = jnp.arange(3.0)
    save_model(model, tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").value[...], [0.0, 1.0, 2.0])
    registered_models.clear()
    plugins.refresh()
    with pytest.raises(
        UnknownNameError, match=r"called 'constant'.*; one that was registered with register_model has to be registered"
    ):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    "check", ["registered", "documented", "protocols", "capabilities", "config_round_trip", "saved_and_restored"]
)
def test_it_can_be_held_against_the_conformance_kit(check):
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    CHECKS[check](Subject(Case(cell(family="toy", paper="Nobody 2026").config(), {"x": x})))
