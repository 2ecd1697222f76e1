"""The plugin system with real distributions on the path, in processes of their own."""

import json

import pytest

MODEL = 'ModelEntry(name="{name}", model="{package}.model:M", config="{package}.model:MConfig", family="f", summary="A model.")'


def offers(*names, package="stranger"):
    """The body of a plugin with models of these names."""
    entries = ", ".join(MODEL.format(name=name, package=package) for name in names)
    return f"@hookimpl\ndef artifex_models():\n    return [{entries}]\n"


@pytest.fixture
def good(site):
    site.install_plugin("artifact-good", offers("good_model"), version="3.1")
    return site


def listing(site, **environment):
    """What `artifex list` prints, as rows; it has to succeed whatever is installed."""
    done = site.artifex("list", **environment)
    assert done.returncode == 0, done.stderr
    return [line.split()[:3] for line in done.stdout.splitlines()], done.stderr


def test_a_strangers_plugin_is_listed_described_and_owned(good):
    assert listing(good) == ([["model", "good_model", "artifact-good"]], "")
    described = good.artifex("info", "good_model").stdout
    assert "from: artifact-good 3.1" in described
    assert "summary: A model." in described


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('at import')", "was skipped: RuntimeError: at import"),
        ("import no_such_module", "was skipped: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit(7)", "was skipped: SystemExit: 7"),
        ("def (", "was skipped: SyntaxError"),
        (
            "@hookimpl\ndef artifex_modles():\n    return []",
            "there is no hook 'artifex_modles'; did you mean 'artifex_models'?",
        ),
        ("def artifex_models():\n    return []", "lacks the decorator @hookimpl"),
        ("def __getattr__(name):\n    raise AttributeError(name)", "implements no hook: its names are lazy"),
        (
            "@hookimpl\ndef artifex_models():\n    return 3",
            "artifex_models() returned 3; it has to return a list of ModelEntry",
        ),
        ("@hookimpl\ndef artifex_models():\n    return [1]", "gave a int, 1"),
        ("@hookimpl\ndef artifex_models():\n    raise KeyError('x')", "artifex_models() raised KeyError"),
        (
            f"{offers('late')}\nARTIFEX_API = (2, 4)",
            "it works with plugin API 2 to 4, and this artifex-core has 1; upgrade artifex-core",
        ),
        (f"{offers('early')}\nARTIFEX_API = (-3, 0)", "upgrade the plugin"),
        (f"{offers('never')}\ndel ARTIFEX_API", "does not say which plugin API it was written for"),
        (f"{offers('odd')}\nARTIFEX_API = '1'", "it has to be the lowest and highest version"),
    ],
)
def test_a_broken_plugin_is_reported_once_and_stops_nobody(good, body, message):
    good.install_plugin("broken-thing", body, version="0.2")
    rows, warned = listing(good)
    assert rows == [["model", "good_model", "artifact-good"]]
    assert warned.startswith("artifex: warning: plugin 'broken_thing' of broken-thing 0.2 ")
    assert message in warned
    assert len(warned.splitlines()) == 1


def test_warnings_as_errors_do_not_turn_a_broken_plugin_into_a_failure(good):
    good.install_plugin("broken-thing", "raise RuntimeError")
    assert listing(good, PYTHONWARNINGS="error")[0] == [["model", "good_model", "artifact-good"]]


def test_an_entry_point_that_names_a_lazy_package_is_reported(good):
    lazy = """
        ARTIFEX_API = (1, 1)
        __getattr__, __dir__ = (lambda name: exec("raise AttributeError(name)")), (lambda: ["artifex_models"])
    """
    good.install("lazy-thing", {"lazy_thing/__init__.py": lazy}, entry_points="[artifex]\nlazy = lazy_thing\n")
    assert "lazy_thing implements no hook: its names are lazy" in listing(good)[1]


def test_an_entry_point_that_names_a_function_is_reported(good):
    good.install_plugin("function-thing", offers("m"), point="fun")
    info = good.folder / "function_thing-1.0.dist-info" / "entry_points.txt"
    info.write_text("[artifex]\nfun = function_thing.plugin:artifex_models\n")
    assert "its entry point gives a function; it has to name a module" in listing(good)[1]


@pytest.mark.parametrize(("first", "second"), [("aaa-thing", "zzz-thing"), ("zzz-thing", "aaa-thing")])
def test_two_distributions_claiming_one_name(site, first, second):
    for name in (first, second):
        site.install_plugin(name, offers("same", name))
    rows, warned = listing(site)
    assert rows[1:3] == [["model", "same", "aaa-thing"], ["model", "same", "zzz-thing"]]
    assert "model 'same' is claimed by aaa-thing 1.0 and zzz-thing 1.0" in warned
    described = site.artifex("info", "same")
    assert described.returncode == 2
    assert "aaa-thing 1.0 and zzz-thing 1.0" in described.stderr.splitlines()[-1]
    rows, warned = listing(site, ARTIFEX_DISABLE_PLUGINS="artifex-*,zzz*")
    assert (rows, warned) == ([["model", "aaa-thing", "aaa-thing"], ["model", "same", "aaa-thing"]], "")


def test_one_entry_point_name_in_two_distributions_loads_both(site):
    for name in ("one-thing", "two-thing"):
        site.install_plugin(name, offers(name), point="plugin")
    assert listing(site) == ([["model", "one-thing", "one-thing"], ["model", "two-thing", "two-thing"]], "")


def test_what_pip_left_behind_does_no_harm(good):
    """A dist-info without METADATA, and one whose entry points cannot be read."""
    good.install("no-metadata", {}, entry_points="[artifex]\nlost = lost.plugin\n", metadata=False)
    good.install("garbled", {}, entry_points="[artifex\n=\n\x01")
    rows, warned = listing(good)
    assert rows == [["model", "good_model", "artifact-good"]]
    assert "plugin 'lost' of unknown distribution" in warned


def test_the_first_copy_on_the_path_is_the_one(good, tmp_path):
    """An older copy of a distribution further down the path is hidden, as its modules are."""
    older = type(good)(tmp_path / "older")
    older.install_plugin("artifact-good", offers("old_model"), version="1.0")
    path = f"{good.folder}:{older.folder}"
    assert listing(good, PYTHONPATH=path) == ([["model", "good_model", "artifact-good"]], "")


@pytest.mark.parametrize("patterns", ["artifex-*,artifact-good", "artifex-*,Artifact_G*", "*"])
def test_plugins_are_switched_off(good, patterns):
    assert listing(good, ARTIFEX_DISABLE_PLUGINS=patterns) == ([["nothing", "is", "installed;"]], "")


def test_unknown_names_are_answered_with_help(good):
    typo = good.artifex("info", "good_modle")
    assert (typo.returncode, typo.stdout) == (2, "")
    assert typo.stderr == "artifex: nothing called 'good_modle' is installed; did you mean 'good_model'?\n"
    assert "it is part of artifex-vae" in good.artifex("info", "vae").stderr


def doctor(site, *options, **environment):
    """`artifex doctor` with hardware that answers at once: JAX takes seconds to start."""
    code = """
        import sys, types
        hardware = types.ModuleType("artifex.core.hardware")
        class HardwareDetector:
            def detect_hardware(self):
                return "devices: 3 × abacus\\ncores: unknown"
        hardware.HardwareDetector = HardwareDetector
        sys.modules[hardware.__name__] = hardware
        from artifex_launcher import main
        sys.argv[1:1] = ["doctor"]
        main()
    """
    return site.python(code, *options, **environment)


def test_doctor_finds_nothing_wrong(good):
    done = doctor(good)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "Python 3.",
        "  artifex-core ",
        "  jax ",
        "  artifact_good: artifact-good 3.1",
        "No problems found.",
        "Hardware\n  devices: 3 × abacus\n  cores: unknown\n",
    ):
        assert line in done.stdout
    assert done.stderr == ""


def test_doctor_shows_what_failed_what_is_off_and_what_conflicts(good):
    good.install_plugin("broken-thing", "raise RuntimeError('at import')")
    good.install_plugin("other-good", offers("good_model"))
    good.install_plugin("unwanted-thing", offers("u"))
    done = doctor(good, ARTIFEX_DISABLE_PLUGINS="artifex-*,unwanted*")
    assert done.returncode == 1
    assert "unwanted_thing: unwanted-thing 1.0, switched off by ARTIFEX_DISABLE_PLUGINS" in done.stdout
    problems = done.stdout.split("Problems\n")[1]
    assert "plugin 'broken_thing' of broken-thing 1.0 was skipped: RuntimeError: at import" in problems
    assert "model 'good_model' is claimed by artifact-good 3.1 and other-good 1.0" in problems
    assert done.stderr == ""


def test_doctor_speaks_json(good):
    good.install_plugin("broken-thing", "raise RuntimeError('at import')")
    done = doctor(good, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert found["libraries"].keys() >= {"artifex-core", "jax", "flax"}
    assert [(p["name"], p["distribution"], p["version"]) for p in found["plugins"]] == [
        ("artifact_good", "artifact-good", "3.1")
    ]
    assert found["problems"] == ["plugin 'broken_thing' of broken-thing 1.0 was skipped: RuntimeError: at import"]
    assert found["hardware"].startswith("devices: 3")


def test_create_model_and_configs_reach_a_strangers_plugin(site):
    model = """
        from artifex.core.config import Config, config
        from flax import nnx

        @config
        class MConfig(Config):
            width: int = 2

        class M(nnx.Module):
            def __init__(self, config, *, rngs):
                self.config = config
                self.layer = nnx.Linear(config.width, 1, rngs=rngs)
    """
    site.install_plugin("stranger", offers("strange"), model=model)
    code = """
        import json, sys
        from flax import nnx
        from artifex.core import create_model, load_model, save_model
        from artifex.generative_models.core.configuration import MConfig
        made = create_model(MConfig(width=5), rngs=nnx.Rngs(0))
        save_model(made, sys.argv[1])
        again = load_model(sys.argv[1])
        same = bool((made.layer.kernel[...] == again.layer.kernel[...]).all())
        print(json.dumps([type(made).__module__, made.layer.kernel.shape, same]))
    """
    done = site.python(code, str(site.folder / "saved"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["stranger.model", [5, 1], True]
    assert (site.folder / "saved" / "config.yaml").read_text() == "kind: strange\nwidth: 5\n"
