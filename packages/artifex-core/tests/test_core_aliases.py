"""The documented longer paths hand on the same objects, and say what to install when there is nothing to hand on."""

import importlib
import sys
from types import ModuleType

import pytest

from artifex.core import create_model, plugins
from artifex.core.config import Config
from artifex.core.errors import PluginConflictError
from artifex.core.plugins import DatasetEntry, ModelEntry
from artifex.generative_models.core import configuration

SAME = {
    "artifex.generative_models.core.device_manager": ("artifex.core.devices", ["DeviceManager"]),
    "artifex.generative_models.core": (
        "artifex.core",
        ["DeviceManager", "HardwareDetector", "HardwareSpecs", "register_model"],
    ),
    "artifex.generative_models.core.registry": ("artifex.core.plugins", ["register_model", "registry"]),
    "artifex.generative_models.models.base": (
        "artifex.core.protocols",
        ["AdversarialModelProtocol", "GenerativeModelProtocol", "TrainableGenerativeModelProtocol"],
    ),
    "artifex.generative_models.core.hardware": ("artifex.core.hardware", None),
    "artifex.generative_models.core.protocols": ("artifex.core.protocols", None),
    "artifex.generative_models.extensions.base": ("artifex.core.extensions", ["ExtensionConfig", "ModelExtension"]),
    "artifex.generative_models.factory": ("artifex.core.factory", ["create_model", "model_class"]),
    "artifex.generative_models.scaling.mesh_utils": ("artifex.core.mesh", ["DeviceMeshManager"]),
    "artifex.generative_models.scaling.sharding": ("artifex.core.mesh", ["ShardingConfig"]),
}


@pytest.mark.parametrize("path", SAME)
def test_long_paths_give_the_same_objects(path):
    home, names = SAME[path]
    long, short = importlib.import_module(path), importlib.import_module(home)
    assert sorted(long.__all__) == sorted(names or short.__all__)
    for name in long.__all__:
        assert getattr(long, name) is getattr(short, name)


def test_the_documented_names_of_protocols_and_of_the_base_config():
    from artifex.core.protocols import ModalityProtocol, ModelAdapter
    from artifex.generative_models.core.configuration import BaseConfig
    from artifex.generative_models.modalities import base

    assert base.Modality is ModalityProtocol
    assert base.ModelAdapter is ModelAdapter
    assert BaseConfig is Config
    assert "BaseConfig" in dir(configuration)


FAMILIES = sorted(plugins.index.CONFIG_MODULES)


def family_module(name):
    return importlib.import_module(f"artifex.generative_models.core.configuration.{name}")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_configs_of_a_family_that_is_missing_name_its_distribution(name, monkeypatch):
    """Whether the index knows the name or, for a family that is yet to come, does not."""
    module, distribution = family_module(name), plugins.index.CONFIG_MODULES[name]
    monkeypatch.setitem(plugins.index.CONFIG_HOME, "KnownConfig", ("artifex.missing", distribution))
    monkeypatch.setattr(importlib.import_module(f"{configuration.__name__}._family"), "is_installed", lambda name: False)
    remedy = f"{distribution}, which is not installed: pip install {distribution}"
    with pytest.raises(ImportError, match=f"KnownConfig is part of {remedy}"):
        module.KnownConfig  # noqa: B018
    with pytest.raises(ImportError, match=f"{name} hands on the configs of {remedy}"):
        module.UnknownConfig  # noqa: B018
    assert dir(module) == []
    assert not hasattr(module, "nothing")


@pytest.fixture
def family(monkeypatch):
    """A family of ours, ``artifex-gan``, as if it were installed, with one config."""
    module = ModuleType("a_family")
    module.ThingConfig = type("ThingConfig", (Config,), {})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(plugins.index.CONFIG_HOME, "ThingConfig", (module.__name__, "artifex-gan"))
    monkeypatch.setattr(importlib.import_module(f"{configuration.__name__}._family"), "is_installed", lambda name: True)
    return module


def test_a_family_hands_on_its_own_configs_and_no_others(family):
    gan, vae = family_module("gan_config"), family_module("vae_config")
    assert gan.ThingConfig is family.ThingConfig
    assert "ThingConfig" in dir(gan)
    with pytest.raises(ImportError, match=r"artifex-gan has no config called ThngConfig; did you mean ThingConfig\?"):
        gan.ThngConfig  # noqa: B018
    with pytest.raises(ImportError, match="artifex-vae has no config called ThingConfig"):
        vae.ThingConfig  # noqa: B018


def test_lazy_names_of_the_core_are_those_of_their_modules():
    import artifex.core

    assert artifex.core.create_model is create_model
    assert set(artifex.core.__all__) == set(dir(artifex.core))
    for name in artifex.core.__all__:
        assert getattr(artifex.core, name) is not None
    with pytest.raises(AttributeError, match=r"module 'artifex.core' has no attribute 'VAE'"):
        artifex.core.VAE  # noqa: B018


@pytest.fixture
def strange(use_registry, monkeypatch):
    """A stranger's configs."""
    module = ModuleType("strange")
    module.StrangeConfig, module.OtherConfig = type("StrangeConfig", (Config,), {}), type("OtherConfig", (Config,), {})
    monkeypatch.setitem(sys.modules, "strange", module)
    use_registry(
        artifex_models=[ModelEntry(name="m", model="strange:M", config="strange:StrangeConfig", family="f")],
        artifex_datasets=[DatasetEntry(name="d", dataset="strange:D", config="strange:OtherConfig")],
    )
    return module


def test_configs_of_ours_and_of_strangers_are_handed_on(strange):
    from artifex.core.mesh import ShardingConfig

    assert configuration.ShardingConfig is ShardingConfig
    assert configuration.StrangeConfig is strange.StrangeConfig
    from artifex.generative_models.core.configuration import OtherConfig

    assert OtherConfig is strange.OtherConfig


def test_dir_lists_what_can_be_had(strange, monkeypatch):
    monkeypatch.setitem(plugins.index.CONFIG_HOME, "MissingConfig", ("artifex.missing", "artifex-missing"))
    listed = dir(configuration)
    assert {"ShardingConfig", "StrangeConfig", "OtherConfig"} <= set(listed)
    assert "MissingConfig" not in listed
    assert listed == sorted(listed)


@pytest.mark.parametrize("module", ["artifex.missing.model", "artifex.missing"])
def test_a_missing_family_names_its_distribution(strange, monkeypatch, module):
    monkeypatch.setitem(plugins.index.CONFIG_HOME, "MissingConfig", (module, "artifex-missing"))
    message = "MissingConfig is part of artifex-missing, which is not installed: pip install artifex-missing"
    with pytest.raises(ImportError, match=message):
        configuration.MissingConfig  # noqa: B018
    with pytest.raises(ImportError, match=message):
        from artifex.generative_models.core.configuration import MissingConfig  # noqa: F401


def test_a_family_with_a_dependency_missing_names_the_dependency(strange, tmp_path, monkeypatch):
    (tmp_path / "needy.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(plugins.index.CONFIG_HOME, "NeedyConfig", ("needy", "artifex-needy"))
    with pytest.raises(ModuleNotFoundError, match=r"no_such_dependency"):
        configuration.NeedyConfig  # noqa: B018


def test_an_unknown_config_has_close_matches(strange):
    with pytest.raises(
        ImportError, match=r"no installed distribution has a config called StrangConfig; did you mean StrangeConfig\?"
    ):
        from artifex.generative_models.core.configuration import StrangConfig  # noqa: F401
    with pytest.raises(ImportError, match=r"called QqqqConfig; installed: .*StrangeConfig"):
        configuration.QqqqConfig  # noqa: B018


def test_other_names_are_missing_as_usual(strange):
    assert not hasattr(configuration, "nothing")
    assert not hasattr(configuration, "__nothing__")


def test_two_configs_of_one_name_are_no_choice(use_registry, strange, monkeypatch):
    other = ModuleType("other_strange")
    other.StrangeConfig = type("StrangeConfig", (Config,), {})
    monkeypatch.setitem(sys.modules, "other_strange", other)
    use_registry(
        artifex_models=[
            ModelEntry(name=name, model="x:M", config=f"{name}:StrangeConfig", family="f")
            for name in ("strange", "other_strange")
        ]
    )
    with pytest.raises(PluginConflictError, match=r"other_strange:StrangeConfig, strange:StrangeConfig"):
        configuration.StrangeConfig  # noqa: B018
    other.StrangeConfig = strange.StrangeConfig
    assert configuration.StrangeConfig is strange.StrangeConfig
