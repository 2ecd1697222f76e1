"""The core's index of our own names, held against what the installed distributions register and define."""

from __future__ import annotations

import importlib
import runpy
from pathlib import Path

import pytest

from artifex.core import plugins
from artifex.core.plugins import index
from artifex.generative_models.core import configuration

ROOT = Path(__file__).parents[1]
registry = plugins.registry()
registered = {
    (kind, plugins.entry_key(entry)): plugin.distribution
    for kind in plugins.KINDS
    for entry, plugin in registry.entries(kind)
    if plugin.distribution.startswith("artifex-")
}


def test_the_index_is_what_nox_makes_of_the_plugins():
    script = runpy.run_path(str(ROOT / "scripts/make_index.py"))
    found = script["FILE"].read_text(encoding="utf-8")
    assert found == script["index_source"](), "the index is out of date: nox -s index"


def test_two_configs_of_one_name_have_no_place_in_the_index(tmp_path):
    """One path hands on all configs, so a name that two distributions use is to be changed, not chosen between."""
    script = runpy.run_path(str(ROOT / "scripts/make_index.py"))
    text = "@config\nclass SameConfig: ...\n@config\nclass _Hidden: ...\nclass NoConfig: ...\n"
    folders = {f"artifex-{name}": tmp_path / name for name in "ab"}
    for name, folder in zip("ab", folders.values(), strict=True):
        (folder / "artifex" / name).mkdir(parents=True)
        (folder / "artifex" / name / "__init__.py").write_text(text)
    assert list(script["configs_in"](folders["artifex-a"])) == [("SameConfig", "artifex.a")]
    with pytest.raises(SystemExit, match=r"SameConfig is a config of artifex\.a and of artifex\.b.*rename one"):
        list(script["_config_home"](folders))


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
    assert (config.__module__, config.__name__) == (module, name)
    assert module.startswith("artifex." + distribution.removeprefix("artifex-").replace("-", "."))


@pytest.mark.parametrize("name", sorted(index.CONFIG_MODULES))
def test_a_familys_module_of_configs_hands_on_all_that_it_has(name):
    module = importlib.import_module(f"{configuration.__name__}.{name}")
    expected = sorted(config for config, (_, home) in index.CONFIG_HOME.items() if home == index.CONFIG_MODULES[name])
    assert dir(module) == expected
    assert all(getattr(module, config) is getattr(configuration, config) for config in expected)


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
