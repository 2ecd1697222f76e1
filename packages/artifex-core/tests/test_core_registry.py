"""Looking things up: names, owners, conflicts, and what an unknown name is answered with."""

import itertools
import sys
import warnings
from types import ModuleType

import pytest

from artifex.core import plugins
from artifex.core.config import Config, config
from artifex.core.errors import PluginConflictError, PluginError, UnknownNameError
from artifex.core.plugins import ComponentEntry, DatasetEntry, LossEntry, ModelEntry, PluginWarning, Registry, load_plugins


@config
class OneConfig(Config):
    pass


@config
class TwoConfig(Config):
    pass


def model(name, target="nowhere:Config"):
    return ModelEntry(name=name, model="nowhere:Model", config=target, family="f")


@pytest.fixture
def make(fake_point, fake_module):
    """A registry of several plugins: ``make(a={"artifex_models": [...]}, b=...)``."""

    def build(*, disable="", reverse=False, **plugins_):
        points = [fake_point(name, fake_module(f"{name}_plugin", **hooks), f"dist-{name}") for name, hooks in plugins_.items()]
        return Registry(load_plugins(points[::-1] if reverse else points, disable=disable))

    return build


@pytest.fixture
def here(monkeypatch):
    """The module that holds the configs above, importable by name as a plugin's would be."""
    module = ModuleType("fake_configs")
    for cls in (OneConfig, TwoConfig):
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def test_names_entries_and_owners(make):
    registry = make(
        b={"artifex_models": [model("z"), model("a")]}, a={"artifex_losses": [LossEntry(name="l", loss="x:l", family="f")]}
    )
    assert registry.names("model") == ["a", "z"]
    assert registry.get("loss", "l").loss == "x:l"
    assert str(registry.owner("model", "z")) == "dist-b 1.0"
    assert [(entry.name, plugin.name) for entry, plugin in registry.entries("model")] == [("a", "b"), ("z", "b")]
    assert registry.find("l") == "loss"


def test_two_plugins_claiming_one_name_is_an_error_in_any_order(make):
    hooks = {"artifex_models": [model("same"), model("own")]}
    messages = set()
    for first, reverse in itertools.product((True, False), repeat=2):
        pair = {"a": hooks, "b": {"artifex_models": [model("same")]}}
        registry = make(**(pair if first else dict(reversed(pair.items()))), reverse=reverse)
        with pytest.raises(PluginConflictError) as caught:
            registry.get("model", "same")
        messages.add(str(caught.value))
        assert registry.conflicts() == [str(caught.value)]
        assert registry.get("model", "own").name == "own"
        with pytest.raises(PluginConflictError):
            registry.owner("model", "same")
    switches = "ARTIFEX_DISABLE_PLUGINS=dist-a or ARTIFEX_DISABLE_PLUGINS=dist-b"
    claim = "model 'same' is claimed by dist-a 1.0 and dist-b 1.0"
    assert messages == {f"{claim}; switch one off ({switches}) or uninstall it"}


def test_switching_one_off_ends_the_conflict(make):
    both = {"a": {"artifex_models": [model("same")]}, "b": {"artifex_models": [model("same")]}}
    assert make(**both, disable="dist-a").owner("model", "same").distribution == "dist-b"


def test_one_plugin_claiming_a_name_twice_is_its_authors_fault(make):
    registry = make(a={"artifex_models": [model("same"), model("same")]})
    assert registry.conflicts() == ["model 'same' is registered 2 times by dist-a 1.0; its author has to rename one"]


def test_one_name_for_two_kinds_is_no_conflict(make):
    dataset = DatasetEntry(name="same", dataset="x:d", config="x:c")
    registry = make(a={"artifex_models": [model("same")]}, b={"artifex_datasets": [dataset]})
    assert registry.conflicts() == []


def test_components_are_kept_apart_by_slot(make):
    entries = [ComponentEntry(name="unet", slot=slot, component="x:C", config=f"x:{slot}") for slot in ("backbone", "encoder")]
    registry = make(a={"artifex_components": entries})
    assert registry.conflicts() == []
    assert registry.kinds_with_config("backbone") == ["unet"]
    assert registry.names("component") == ["backbone/unet", "encoder/unet"]
    assert registry.entry_for_slot("encoder", "unet").config == "x:encoder"
    with pytest.raises(UnknownNameError, match=r"no installed plugin has a backbone called 'unett'; did you mean 'unet'\?"):
        registry.entry_for_slot("backbone", "unett")


# --- unknown names ---


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("model", "glwo", "no installed plugin has a model called 'glwo'; did you mean 'glow'?"),
        ("model", "qqqq", "no installed plugin has a model called 'qqqq'; installed: glow, maf"),
        ("loss", "qqqq", "no installed plugin has a loss called 'qqqq'; installed: none"),
        ("model", "vae", "no installed plugin has a model called 'vae'; it is part of artifex-vae: pip install artifex-vae"),
        ("dataset", "digits", "it is part of artifex-modalities-image: pip install artifex-modalities-image"),
        ("sampler", "glow", "there are no entries of kind 'sampler'; the kinds are model, loss"),
    ],
)
def test_an_unknown_name_is_answered_with_help(make, kind, name, message):
    with pytest.raises(UnknownNameError) as caught:
        make(a={"artifex_models": [model("glow"), model("maf")]}).get(kind, name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("glwo", "nothing called 'glwo' is installed; did you mean 'glow'?"),
        ("qqqq", "nothing called 'qqqq' is installed; `artifex list` shows what is"),
        ("vae-digits", "it is part of artifex-vae: pip install artifex-vae"),
    ],
)
def test_a_name_unknown_to_every_kind(make, name, message):
    with pytest.raises(UnknownNameError) as caught:
        make(a={"artifex_models": [model("glow")]}).find(name)
    assert message in str(caught.value)


def test_our_own_that_is_installed_but_absent_is_not_to_be_installed_again(fake_point, fake_module):
    def reason(module, disable=""):
        registry = Registry(load_plugins([fake_point("vae", module, "artifex-vae", "0.9")], disable=disable))
        with pytest.raises(UnknownNameError) as caught:
            registry.get("model", "vae")
        return str(caught.value)

    old = fake_module(artifex_models=[model("older")])
    assert "artifex-vae 0.9 does not have it yet: pip install --upgrade artifex-vae" in reason(old)
    assert "which ARTIFEX_DISABLE_PLUGINS switches off" in reason(old, disable="vae")
    assert "plugin 'vae' of artifex-vae 0.9 was skipped: RuntimeError: boom" in reason(RuntimeError("boom"))


# --- from a config to its entry ---


def test_a_config_finds_its_entry_by_type(make, here):
    registry = make(a={"artifex_models": [model("one", f"{here}:OneConfig"), model("two", f"{here}:TwoConfig")]})
    assert registry.entry_of_config("model", TwoConfig).name == "two"
    assert registry.kind_of("model", OneConfig) == "one"
    assert registry.config_class("model", "two") is TwoConfig


def test_a_broken_or_conflicting_stranger_does_not_hide_a_config(make, here, monkeypatch):
    lazy = ModuleType("lazy_configs")
    monkeypatch.setitem(sys.modules, "lazy_configs", lazy)

    def broken(name):
        raise RuntimeError(f"cannot make {name}")

    lazy.__getattr__ = broken
    registry = make(
        a={"artifex_models": [model("aa"), model("ab", "lazy_configs:OneConfig"), model("ac", "nowhere:OneConfig")]},
        b={"artifex_models": [model("aa"), model("one", f"{here}:OneConfig")]},
    )
    assert registry.kind_of("model", OneConfig) == "one"


def test_a_config_of_two_models_is_a_conflict(make, here):
    registry = make(a={"artifex_models": [model("x", f"{here}:OneConfig"), model("y", f"{here}:OneConfig")]})
    with pytest.raises(PluginConflictError, match=r"OneConfig is the config of x and y"):
        registry.entry_of_config("model", OneConfig)


def test_a_config_whose_models_name_is_claimed_twice_is_a_conflict(make, here):
    registry = make(a={"artifex_models": [model("x", f"{here}:OneConfig")]}, b={"artifex_models": [model("x")]})
    with pytest.raises(PluginConflictError, match=r"dist-a 1.0 and dist-b 1.0"):
        registry.entry_of_config("model", OneConfig)


def test_a_config_that_nobody_registers_names_the_hook_and_what_was_left_out(make):
    registry = make(a={"artifex_models": [model("x")]}, b={"artifex_models": [model("y")]}, disable="b")
    with pytest.raises(UnknownNameError) as caught:
        registry.entry_of_config("model", OneConfig)
    assert "OneConfig; register one through the hook artifex_models()" in str(caught.value)
    assert "plugin 'b' of dist-b 1.0 is switched off by ARTIFEX_DISABLE_PLUGINS" in str(caught.value)
    with pytest.raises(UnknownNameError, match=r"artifex_components\(\)"):
        registry.entry_of_config("backbone", OneConfig)


# --- targets ---


def test_a_target_is_imported():
    assert plugins.resolve("collections:OrderedDict.fromkeys")("a") == {"a": None}


@pytest.mark.parametrize("target", ["json", "json:", ":dumps", "", "json.dumps"])
def test_a_malformed_target_says_how_to_write_it(target):
    with pytest.raises(PluginError, match=r"write it as 'package\.module:Name'"):
        plugins.resolve(target)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("json:dmups", "has no attribute 'dmups'"),
        ("no_such_module:x", "No module named 'no_such_module'"),
        ("broken_mod:x", "RuntimeError: at import"),
    ],
)
def test_a_target_that_cannot_be_imported_says_why(target, message, tmp_path, monkeypatch):
    (tmp_path / "broken_mod.py").write_text("raise RuntimeError('at import')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=message) as caught:
        plugins.resolve(target)
    assert repr(target) in str(caught.value)


# --- the one registry ---


@pytest.fixture
def fresh():
    """The cached registry, put back as it was found."""
    cached = plugins.registry
    cached.cache_clear()
    yield cached
    cached.cache_clear()


def test_it_is_built_once_warns_once_and_looks_again_when_asked(fresh, monkeypatch, fake_point):
    calls = []

    def load():
        calls.append(1)
        return load_plugins([fake_point("bad", RuntimeError("boom"))], disable="")

    monkeypatch.setattr(sys.modules["artifex.core.plugins.registry"], "load_plugins", load)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert fresh() is fresh()
    assert [(item.category, str(item.message)) for item in caught] == [
        (PluginWarning, "plugin 'bad' of dist-bad 1.0 was skipped: RuntimeError: boom")
    ]
    with pytest.warns(PluginWarning):
        plugins.refresh()
    assert len(calls) == 2


def test_the_index_names_real_kinds_and_the_built_in_commands_are_reserved():
    from artifex.core import cli

    assert {kind for kind, _ in plugins.index.DISTRIBUTION_OF} <= set(plugins.KINDS)
    built_in = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    assert built_in == set(plugins.index.BUILT_IN_COMMANDS)
