"""The core's static index of our own names, held against what each installed distribution of ours really registers."""

from __future__ import annotations

import importlib

import pytest

from artifex.core import plugins
from artifex.core.plugins import index
from artifex.generative_models.core import configuration

registry = plugins.registry()
registered = {
    (kind, plugins.entry_key(entry)): plugin.distribution
    for kind in plugins.KINDS
    for entry, plugin in registry.entries(kind)
    if plugin.distribution.startswith("artifex-")
}


def test_all_of_ours_is_installed():
    assert not registry.failures
    assert set(index.DISTRIBUTION_OF.values()) <= {plugin.distribution for plugin in registry.plugins.values()}


@pytest.mark.parametrize(("kind", "name"), sorted(index.DISTRIBUTION_OF))
def test_what_the_index_names_is_registered_by_that_distribution(kind, name):
    assert registered.get((kind, name)) == index.DISTRIBUTION_OF[kind, name]


@pytest.mark.parametrize(("kind", "name"), sorted(registered))
def test_what_is_registered_is_in_the_index(kind, name):
    assert index.DISTRIBUTION_OF.get((kind, name)) == registered[kind, name]


@pytest.mark.parametrize("name", sorted(index.CONFIG_HOME))
def test_configs_are_where_the_index_says(name):
    module, distribution = index.CONFIG_HOME[name]
    config = getattr(importlib.import_module(module), name)
    assert config.__name__ == name
    assert module.startswith("artifex." + distribution.removeprefix("artifex-").replace("-", "."))


@pytest.mark.parametrize(("kind", "name"), sorted(key for key in registered if hasattr(registry.get(*key), "config")))
def test_every_config_can_be_had_by_its_documented_path(kind, name):
    config = registry.config_class(*(name.split("/") if kind == "component" else (kind, name)))
    assert getattr(configuration, config.__name__) is config


@pytest.mark.parametrize(
    "module", ["artifex.flow", "artifex.modalities.image", "artifex.training", "artifex.training.callbacks", "artifex.vae"]
)
def test_every_public_config_can_be_had_by_its_documented_path(module):
    home = importlib.import_module(module)
    names = [name for name in dir(home) if name.endswith("Config")]
    assert names
    assert [name for name in names if getattr(configuration, name, None) is not getattr(home, name)] == []
