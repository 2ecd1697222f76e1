"""Loading plugins, against fakes: whatever a stranger's module does, the host goes on and says what happened."""

import itertools
from types import ModuleType, SimpleNamespace

import pytest

from artifex.core import plugins
from artifex.core.plugins import API_VERSION, LossEntry, MetricEntry, ModelEntry, hookimpl, load_plugins
from artifex.core.plugins.manager import normalized

MODEL = ModelEntry(name="m", model="x:M", config="x:MConfig", family="f")


def load(*points, disable=""):
    return load_plugins(points, disable=disable)


def failure(loaded):
    assert len(loaded.failures) == 1, loaded.failures
    return str(loaded.failures[0])


@pytest.fixture
def good(fake_point, fake_module):
    return fake_point("good", fake_module("good_plugin", artifex_models=[MODEL]))


def test_a_good_plugin_is_loaded(good):
    loaded = load(good)
    assert not loaded.failures
    assert str(loaded.plugins["good"]) == "dist-good 1.0"


@pytest.mark.parametrize(
    "error",
    [ImportError("no module named x"), RuntimeError("boom"), SyntaxError("bad"), SystemExit(3), AttributeError("no plugin")],
)
def test_a_plugin_that_raises_is_reported_and_skipped(good, fake_point, error):
    loaded = load(fake_point("bad", error, "dist-bad", "0.7"), good)
    assert list(loaded.plugins) == ["good"]
    assert failure(loaded) == f"plugin 'bad' of dist-bad 0.7 was skipped: {type(error).__name__}: {error}"
    assert type(error).__name__ in loaded.failures[0].details


def test_an_interrupt_is_not_swallowed(good, fake_point):
    with pytest.raises(KeyboardInterrupt):
        load(fake_point("bad", KeyboardInterrupt()), good)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("artifex_modles", "there is no hook 'artifex_modles'; did you mean 'artifex_models'?"),
        ("artifex_loss", "did you mean 'artifex_losses'?"),
        ("artifex_qqqqqqqq", "the hooks are artifex_models, artifex_losses"),
    ],
)
def test_a_misspelt_hook_is_an_error(good, fake_point, fake_module, member, message):
    module = fake_module("bad_plugin", **{member: [MODEL]})
    loaded = load(fake_point("bad", module), good)
    assert message in failure(loaded)
    assert not loaded.manager.is_registered(module)
    assert list(loaded.plugins) == ["good"]


def test_a_hook_of_a_newer_core_may_be_optional(fake_point, fake_module):
    module = fake_module(artifex_models=[MODEL])
    module.artifex_wonders = hookimpl(optionalhook=True)(lambda: iter(()))
    assert not load(fake_point("new", module)).failures


def test_a_hook_that_asks_for_unknown_arguments_is_an_error(good, fake_point, fake_module):
    module = fake_module("bad_plugin")
    module.artifex_models = hookimpl(lambda flavour: [])
    loaded = load(fake_point("bad", module), good)
    assert "flavour" in failure(loaded)
    assert "\n" not in failure(loaded)
    assert list(loaded.plugins) == ["good"]
    assert not loaded.manager.is_registered(module)


def test_a_hook_without_the_decorator_is_an_error(fake_point, fake_module):
    module = fake_module("bad_plugin", artifex_losses=[])
    module.artifex_models = lambda: [MODEL]
    assert "'artifex_models' in bad_plugin lacks the decorator @hookimpl" in failure(load(fake_point("bad", module)))


def lazy_module(names, error=None):
    """A package whose names are lazy, as PEP 562 has it."""
    module = ModuleType("lazy_package")
    module.ARTIFEX_API = (1, 1)

    def getattr_(name):
        if error is not None and name in names:
            raise error
        raise AttributeError(name)

    module.__getattr__, module.__dir__ = getattr_, lambda: list(names)
    return module


def test_a_module_with_lazy_names_does_not_register_nothing_silently(fake_point):
    loaded = load(fake_point("lazy", lazy_module([])))
    assert "lazy_package implements no hook: its names are lazy; point the entry point at the module that defines" in failure(
        loaded
    )


def test_a_module_whose_lazy_names_cannot_be_read_is_reported(good, fake_point):
    loaded = load(fake_point("lazy", lazy_module(["artifex_models"], ImportError("no jax"))), good)
    # Which of the two depends on pluggy: 1.6 reads every name, 1.7 leaves lazy ones alone.
    assert "its names cannot be read: ImportError: no jax" in failure(loaded) or "its names are lazy" in failure(loaded)
    assert list(loaded.plugins) == ["good"]


def test_a_module_without_any_hook_is_reported(fake_point, fake_module):
    assert "implements no hook; the hooks are artifex_models" in failure(load(fake_point("bare", fake_module(models=list))))


@pytest.mark.parametrize("target", [MODEL, object(), SimpleNamespace(ARTIFEX_API=(1, 1)), int])
def test_an_entry_point_has_to_name_a_module(fake_point, target):
    assert "it has to name a module, 'my_package.plugin'" in failure(load(fake_point("bad", target)))


@pytest.mark.parametrize("api", [(API_VERSION, API_VERSION), (0, API_VERSION), (API_VERSION, 99)])
def test_an_api_range_that_holds_ours_is_fine(fake_point, fake_module, api):
    assert not load(fake_point("p", fake_module(api=api, artifex_models=[MODEL]))).failures


@pytest.mark.parametrize(
    ("api", "message"),
    [
        ((2, 3), "it works with plugin API 2 to 3, and this artifex-core has 1; upgrade artifex-core"),
        ((-1, 0), "it works with plugin API -1 to 0, and this artifex-core has 1; upgrade the plugin"),
        (None, "does not say which plugin API it was written for; add 'ARTIFEX_API = (1, 1)'"),
        *(
            (bad, "it has to be the lowest and highest version, 'ARTIFEX_API = (1, 1)'")
            for bad in (1, "1", (1,), (1, 1, 1), (1.0, 1.0), [1, 1], (True, True), ("1", "1"), (2, 1))
        ),
    ],
)
def test_an_api_that_does_not_fit_is_explained(good, fake_point, fake_module, api, message):
    loaded = load(fake_point("bad", fake_module(api=api, artifex_models=[MODEL])), good)
    assert message in failure(loaded)
    assert list(loaded.plugins) == ["good"]


def test_the_api_is_not_looked_for_among_lazy_names(fake_point):
    module = lazy_module(["ARTIFEX_API"], RuntimeError("imported"))
    del module.ARTIFEX_API
    assert "does not say which plugin API" in failure(load(fake_point("lazy", module)))


def test_one_entry_point_name_in_two_distributions_loads_both(fake_point, fake_module):
    points = [fake_point("same", fake_module(name, artifex_models=[MODEL]), f"dist-{name}") for name in "ba"]
    for order in itertools.permutations(points):
        assert {key: plugin.distribution for key, plugin in load(*order).plugins.items()} == {
            "same": "dist-a",
            "dist-b:same": "dist-b",
        }


def test_one_module_in_two_entry_points_is_registered_once(fake_point, fake_module):
    module = fake_module("twice", artifex_models=[MODEL])
    loaded = load(fake_point("a", module), fake_point("b", module))
    assert list(loaded.plugins) == ["a"]
    assert "module twice is registered already; name it in one entry point only" in failure(loaded)
    assert loaded.manager.is_registered(module)


@pytest.mark.parametrize(
    ("patterns", "off"),
    [
        ("", set()),
        ("one", {"one"}),
        ("dist-one", {"one"}),
        ("DIST_ONE", {"one"}),
        ("dist.o*", {"one"}),
        ("one, two", {"one", "two"}),
        (" one ,,", {"one"}),
        ("*", {"one", "two", "three"}),
        ("t*", {"two", "three"}),
        ("tw?", {"two"}),
        ("on", set()),
    ],
)
def test_patterns_switch_plugins_off(fake_point, fake_module, monkeypatch, patterns, off):
    names = ("one", "two", "three")
    points = [fake_point(name, fake_module(name, artifex_models=[MODEL]), f"Dist-{name.title()}") for name in names]
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", patterns)
    loaded = load_plugins(points)
    assert {plugin.name for plugin in loaded.disabled} == off
    assert set(loaded.plugins) == set(names) - off


def test_a_plugin_that_is_switched_off_is_not_imported(fake_point):
    assert not load(fake_point("bad", RuntimeError("imported")), disable="bad").failures


def test_an_entry_point_without_a_distribution_loads(fake_point, fake_module):
    point = fake_point("loose", fake_module(artifex_models=[MODEL]))
    point.dist = None
    assert load(point).plugins["loose"].distribution == "unknown distribution (loose.plugin)"


@pytest.mark.parametrize(
    ("dist", "shown"),
    [
        (SimpleNamespace(name=None, version="1"), "unknown distribution (lost.plugin) ?"),
        (SimpleNamespace(name="lost", version=None), "lost ?"),
        (SimpleNamespace(), "unknown distribution (lost.plugin) ?"),
    ],
)
def test_a_distribution_without_metadata_is_skipped_and_reported(good, fake_point, fake_module, dist, shown):
    point = fake_point("lost", fake_module("lost_plugin", artifex_models=[MODEL]))
    point.dist = dist
    loaded = load(point, good)
    assert list(loaded.plugins) == ["good"]
    why = "its METADATA has no name or no version; install the distribution anew"
    assert failure(loaded) == f"plugin 'lost' of {shown} was skipped: {why}"


@pytest.mark.parametrize(("name", "plain"), [("My_Plugin", "my-plugin"), ("a.b-_c", "a-b-c"), ("vae", "vae")])
def test_names_are_compared_as_distributions_are(name, plain):
    assert normalized(name) == plain


# --- what the hooks return ---


def registry_of(fake_point, module, *others):
    return plugins.Registry(load(fake_point("bad", module, "dist-bad", "2.0"), *others))


def raising():
    yield MODEL
    raise OSError("disk")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda: 1 / 0, "artifex_models() raised ZeroDivisionError: division by zero"),
        (raising, "artifex_models() raised OSError: disk"),
        (lambda: None, "artifex_models() returned None; it has to return a list of ModelEntry"),
        (lambda: MODEL, "it has to return a list of ModelEntry"),
        (lambda: ["m"], "artifex_models() gave a str, 'm'; it has to return a list of ModelEntry"),
        (lambda: [LossEntry(name="l", loss="x:l", family="f")], "gave a LossEntry"),
        (lambda: [ModelEntry(name="", model="x:M", config="x:C", family="f")], "a ModelEntry needs a name"),
        (lambda: [ModelEntry(name=3, model="x:M", config="x:C", family="f")], "ModelEntry.name takes a str, got 3"),
        (lambda: [ModelEntry(name="m", model=int, config="x:C", family="f")], "ModelEntry.model takes a str"),
        (
            lambda: [ModelEntry(name="m", model="x:M", config="x:C", family="f", capabilities="log_prob")],
            "takes a tuple of strings",
        ),
        (lambda: [ModelEntry(name="m", model="x:M")], "TypeError"),
    ],
)
def test_a_faulty_hook_is_reported_and_stops_nobody(good, fake_point, fake_module, returned, message):
    module = fake_module("bad_plugin", artifex_losses=[LossEntry(name="kept", loss="x:l", family="f")])
    module.artifex_models = hookimpl(returned)
    registry = registry_of(fake_point, module, good)
    assert len(registry.failures) == 1
    text = str(registry.failures[0])
    assert text.startswith("plugin 'bad' of dist-bad 2.0 is faulty: ")
    assert message in text
    assert registry.names("model") == ["m"]
    assert registry.owner("model", "m").distribution == "dist-good"
    assert registry.names("loss") == ["kept"]


def test_an_entry_of_the_right_class_beside_a_wrong_one_is_kept(fake_point, fake_module):
    registry = registry_of(fake_point, fake_module(artifex_models=["x", MODEL]))
    assert registry.names("model") == ["m"]
    assert len(registry.failures) == 1


def test_a_plugin_may_not_take_the_name_of_a_built_in_command(fake_point, fake_module):
    entry = plugins.CommandEntry(name="doctor", target="x:run")
    registry = registry_of(fake_point, fake_module(artifex_commands=[entry]))
    assert "the command 'doctor' is artifex-core's own; choose another name" in str(registry.failures[0])
    assert registry.names("command") == []


def test_any_iterable_will_do(fake_point, fake_module):
    module = fake_module()
    module.artifex_models = hookimpl(lambda: (entry for entry in (MODEL,)))
    assert registry_of(fake_point, module).names("model") == ["m"]


def test_a_metric_has_to_need_what_there_is():
    with pytest.raises(ValueError, match=r"metric 'fid': needs takes samples, references, .*, labels, .*; got sample$"):
        MetricEntry(name="fid", metric="x:f", needs=("sample",), higher_is_better=False)
    with pytest.raises(TypeError, match=r"higher_is_better takes a bool"):
        MetricEntry(name="fid", metric="x:f", needs=("samples",), higher_is_better="no")
    entry = MetricEntry(name="fid", metric="x:f", needs=["samples"], higher_is_better=False, tolerance=1)
    assert (entry.needs, entry.compares) == (("samples",), "samples")
    with pytest.raises(ValueError, match=r"metric 'fid': space takes model, restored, host; got pixels"):
        MetricEntry(name="fid", metric="x:f", needs=("samples",), higher_is_better=False, space="pixels")
    with pytest.raises(ValueError, match=r"min_examples 0 and tolerance 0.0; at least 1 and 0 are needed"):
        MetricEntry(name="fid", metric="x:f", needs=("samples",), higher_is_better=False, min_examples=0)
    with pytest.raises(TypeError, match=r"min_examples takes a int, got True"):
        MetricEntry(name="fid", metric="x:f", needs=("samples",), higher_is_better=False, min_examples=True)


def test_what_a_metric_compares_follows_from_its_needs_but_between_pairs_and_sets():
    def compares(*needs: str) -> str:
        return MetricEntry(name="m", metric="x:f", needs=needs, higher_is_better=False).compares

    assert compares("model", "references") == compares("log_prob") == "model"
    assert compares("samples") == compares("model", "samples") == "samples"
    assert compares("samples", "references") == ""
