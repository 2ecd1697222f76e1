"""The `artifex` command: what it prints, and one message with exit code 2 for every mistake of the user's."""

import errno
import json
import subprocess
import sys
import warnings
from types import ModuleType

import pytest
import typer

from artifex.core import cli, plugins
from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.plugins import CommandEntry, ComponentEntry, DatasetEntry, LossEntry, ModelEntry, PluginWarning


@config
class ThingConfig(Config):
    width: int = 3
    """How wide."""


def greet(name: str, times: int = 1, loud: bool = False) -> None:
    """Greet NAME."""
    for _ in range(times):
        typer.echo(f"hello {name}{'!' if loud else ''}")


def fail(how: str) -> None:
    """Go wrong."""
    match how:
        case "config":
            ThingConfig(widht=3)
        case "file":
            open("/no/such/file")  # noqa: PTH123, SIM115
        case "data":
            raise DataError("the folder 'x' has no images; give one that has")
        case "disk":
            raise OSError("no space left")
        case "bug":
            raise RuntimeError("unforeseen")
        case "end":
            raise EOFError("No data left in file")
        case "pipe":
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        case "interrupt":
            raise KeyboardInterrupt
        case "exit":
            raise typer.Exit(3)


several = typer.Typer()


@several.command()
def first() -> None:
    """The first."""
    typer.echo("one")


@several.command()
def second(number: int = 2) -> None:
    """The second."""
    typer.echo(str(number))


@pytest.fixture(autouse=True)
def commands(use_registry, monkeypatch):
    """A registry with commands and entries whose targets are the objects above."""
    module = ModuleType("fake_commands")
    for name in ("greet", "fail", "several", "ThingConfig"):
        setattr(module, name, globals()[name])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    config_target = "fake_commands:ThingConfig"
    return use_registry(
        artifex_commands=[
            CommandEntry(name="greet", target="fake_commands:greet", summary="Say hello."),
            CommandEntry(name="fail", target="fake_commands:fail", summary="Fail."),
            CommandEntry(name="several", target="fake_commands:several", summary="Two commands."),
            CommandEntry(name="gone", target="nowhere:gone", summary="Not there."),
            CommandEntry(name="constant", target="fake_commands:__name__", summary="No function."),
        ],
        artifex_models=[
            ModelEntry(
                name="thing",
                model="fake:Thing",
                config=config_target,
                family="f",
                capabilities=("encode", "decode"),
                summary="Does it.",
            ),
            ModelEntry(name="both", model="fake:Both", config=config_target, family="f"),
        ],
        artifex_datasets=[DatasetEntry(name="both", dataset="fake:d", config="fake:dc")],
        artifex_losses=[LossEntry(name="huber", loss="fake:huber", family="f")],
        artifex_components=[ComponentEntry(name="unet", slot="backbone", component="fake:U", config=config_target)],
    )


@pytest.fixture
def run(capsys):
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*arguments):
        with warnings.catch_warnings():
            show = warnings.showwarning
            try:
                with pytest.raises(SystemExit) as caught:
                    cli.main(list(arguments))
            finally:
                warnings.showwarning = show
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return call


# --- listings ---


def test_help_shows_built_in_and_plugin_commands(run):
    code, out, _ = run("--help")
    assert code == 0
    for line in ("list", "info", "schema", "doctor", "greet", "Say hello.", "several"):
        assert line in out


def test_no_arguments_shows_the_help(run):
    _, out, err = run()
    assert "Usage: artifex [OPTIONS] COMMAND" in out + err


def test_list_shows_everything_and_one_kind(run):
    code, out, _ = run("list")
    assert code == 0
    assert {tuple(line.split()[:3]) for line in out.splitlines()} >= {
        ("model", "thing", "dist-fake"),
        ("dataset", "both", "dist-fake"),
        ("loss", "huber", "dist-fake"),
        ("component", "backbone/unet", "dist-fake"),
        ("command", "greet", "dist-fake"),
    }
    assert run("list", "model")[1] == run("list", "models")[1]
    assert [line.split()[:2] for line in run("list", "model")[1].splitlines()] == [["model", "both"], ["model", "thing"]]


@pytest.mark.parametrize("kind", list(plugins.KINDS))
def test_every_kind_has_a_plural(run, kind):
    plural = plugins.hook_name(kind).removeprefix("artifex_")
    assert run("list", plural) == run("list", kind)
    assert run("list", plural)[0] == 0


def test_list_says_what_is_not_there(run, use_registry):
    assert run("list", "presets")[1].startswith("no preset is installed")
    use_registry(artifex_models=[])
    assert run("list")[1].startswith("nothing is installed")


def test_info_describes_an_entry(run):
    code, out, _ = run("info", "thing")
    assert code == 0
    assert out.splitlines() == [
        "model thing",
        "  summary: Does it.",
        "  from: dist-fake 1.0",
        "  model: fake:Thing",
        "  config: fake_commands:ThingConfig",
        "  family: f",
        "  capabilities: encode, decode",
    ]


def test_info_describes_every_kind_of_that_name_and_takes_names_as_listed(run):
    out = run("info", "both")[1]
    assert "model both" in out
    assert "dataset both" in out
    assert run("info", "backbone/unet")[1].startswith("component backbone/unet")


def test_schema_is_json(run):
    code, out, _ = run("schema", "thing")
    assert code == 0
    assert json.loads(out) == ThingConfig.json_schema()
    assert json.loads(run("schema", "backbone/unet")[1]) == ThingConfig.json_schema()
    assert json.loads(run("schema", "both", "--kind", "models")[1]) == ThingConfig.json_schema()


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["greeet"], "Did you mean 'greet'?"),
        (["train"], "it is part of artifex-training: pip install artifex-training"),
        (["list", "sampler"], "there are no entries of kind 'sampler'; the kinds are model, loss"),
        (["list", "a", "b"], "list takes one KIND at most, got a b"),
        (["list", "--loud"], "No such option: --loud"),
        (["info", "thng"], "nothing called 'thng' is installed; did you mean 'thing'?"),
        (["info", "vae-digits"], "it is part of artifex-vae: pip install artifex-vae"),
        (["info"], "Missing argument"),
        (["schema", "huber"], "loss 'huber' has no config; `artifex info huber` describes it"),
        (["schema", "both"], "'both' is a model and a dataset; say which one: --kind model"),
        (["schema", "both", "--kind", "dataset"], "cannot import 'fake:dc'"),
        (["gone"], "cannot import 'nowhere:gone': No module named 'nowhere'"),
        (["constant"], "the command 'constant' is a str, neither a function nor a typer.Typer"),
        (["greet"], "Missing argument"),
        (["greet", "you", "--times", "x"], "--times"),
        (["fail", "config"], "widht: no such field in ThingConfig; did you mean 'width'?"),
        (["fail", "file"], "artifex: /no/such/file: No such file or directory"),
        (["fail", "data"], "artifex: the folder 'x' has no images; give one that has"),
        (["fail", "disk"], "artifex: no space left"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 4


def test_a_fault_of_ours_is_exit_code_70_and_offers_the_traceback(run):
    code, _, err = run("fail", "bug")
    assert code == 70
    assert err == "artifex: internal error: RuntimeError: unforeseen\n  Run again with --debug for the traceback.\n"


def test_an_interrupt_and_a_commands_own_exit_code_pass(run):
    assert run("fail", "interrupt")[0] == 130
    assert run("fail", "exit")[0] == 3


def test_no_error_has_the_exit_code_of_a_regression(run):
    code, _, err = run("fail", "end")
    assert code == 2
    assert err == "artifex: a file is empty or was cut short: No data left in file\n"
    assert run("fail", "pipe")[0] == 141


def test_output_that_nobody_reads_is_no_regression():
    program = "import sys; sys.stdin.readline(); from artifex.core.cli import main; main(['list'])"
    command = [sys.executable, "-u", "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate("\n")
    assert (process.returncode, err) == (141, "")


@pytest.mark.parametrize("arguments", [["--debug", "fail", "data"], ["fail", "--debug", "data"], ["fail", "data", "--debug"]])
def test_debug_gives_the_traceback(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("Traceback")
    assert "DataError: the folder 'x' has no images" in err


def test_debug_changes_no_exit_code(run):
    code, _, err = run("fail", "bug", "--debug")
    assert code == 70
    assert "RuntimeError: unforeseen" in err


def test_debug_may_come_from_the_environment(monkeypatch, run):
    monkeypatch.setenv("ARTIFEX_DEBUG", "1")
    code, _, err = run("fail", "data")
    assert code == 2
    assert err.startswith("Traceback")
    monkeypatch.setenv("ARTIFEX_DEBUG", "0")
    assert run("fail", "data")[0] == 2


def test_a_mistake_shows_no_traceback_in_a_real_process(site):
    done = site.artifex("info", "qqqq")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in site.artifex("info", "qqqq", "--debug").stderr


# --- commands of plugins ---


def test_a_plugins_function_runs_with_arguments_options_and_help(run):
    assert run("greet", "you") == (0, "hello you\n", "")
    assert run("greet", "you", "--times", "2", "--loud") == (0, "hello you!\nhello you!\n", "")
    code, out, _ = run("greet", "--help")
    assert code == 0
    for text in ("Usage: artifex greet [OPTIONS]", "Greet NAME.", "--times", "--loud"):
        assert text in out


def test_a_plugins_application_runs_its_commands(run):
    assert run("several", "first") == (0, "one\n", "")
    assert run("several", "second", "--number", "5") == (0, "5\n", "")
    assert "Usage: artifex several [OPTIONS] COMMAND" in run("several", "--help")[1]


def test_a_command_that_two_plugins_claim_is_listed_and_refused(run, fake_point, fake_module, monkeypatch):
    points = [
        fake_point(name, fake_module(name, artifex_commands=[CommandEntry(name="same", target="fake_commands:greet")]))
        for name in ("one", "two")
    ]
    clash = plugins.Registry(plugins.load_plugins(points, disable=""))
    monkeypatch.setattr(plugins, "registry", lambda: clash)
    code, out, _ = run("--help")
    assert code == 0
    assert "Unusable: several plugins claim this name." in out
    code, _, err = run("same", "you")
    assert code == 2
    assert "command 'same' is claimed by dist-one 1.0 and dist-two 1.0" in err
    assert [line.split() for line in run("list", "commands")[1].splitlines()] == [
        ["command", "same", "dist-one"],
        ["command", "same", "dist-two"],
    ]


def test_a_warning_of_a_plugin_is_one_line(run, capsys):
    cli._warn_in_one_line(PluginWarning("it broke"), PluginWarning, "file.py", 3)
    assert capsys.readouterr().err == "artifex: warning: it broke\n"
