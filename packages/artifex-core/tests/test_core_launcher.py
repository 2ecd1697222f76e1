"""The console script: it runs, it is light, and it says who is to blame when a stranger's package hides ours."""

import json
import os
import re

import pytest

import artifex_launcher
from artifex.core import doctor

FOREIGN = {"artifex/__init__.py": "VALUE = 1\n", "artifex/core/__init__.py": ""}
LIGHT_SECONDS = 0.5


def test_all_is_well_here():
    assert artifex_launcher.shadowing() is None
    assert doctor.damaged() == []


def test_the_launcher_and_the_command_do_not_import_each_other(site):
    """Whatever the command does, its entry stays out of reach: only the launcher knows the core."""
    code = "import sys, artifex.core.cli, artifex.core.doctor; print('artifex_launcher' in sys.modules)"
    assert site.python(code).stdout.split() == ["False"]


@pytest.mark.parametrize("arguments", [(), ("--help",), ("list",), ("doctor",)])
def test_a_foreign_regular_package_is_named(site, arguments):
    site.install("artifex", FOREIGN, version="9.9")
    done = site.artifex(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{site.folder}/artifex/__init__.py hides the namespace" in done.stderr
    assert "It belongs to: artifex 9.9." in done.stderr
    assert "pip uninstall -y artifex; then pip install --force-reinstall --no-deps artifex-core" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_culprit_is_named(site):
    site.install("artifex", FOREIGN, version="9.9")
    site.install("other-thing", FOREIGN, version="1.2")
    assert "It belongs to: artifex 9.9, other-thing 1.2." in site.artifex("list").stderr


@pytest.mark.parametrize("file", ["artifex/__init__.py", "artifex.py"])
def test_a_file_of_nobodys_is_to_be_removed(site, file):
    (site.folder / file).parent.mkdir(exist_ok=True)
    (site.folder / file).write_text("")
    done = site.artifex("list")
    assert done.returncode == 2
    assert "It belongs to: no installed distribution." in done.stderr
    assert f"rename or remove {site.folder / file}" in done.stderr


def test_a_core_without_its_files_is_recognised(site):
    """What uninstalling a foreign distribution leaves: it takes along the files it had overwritten."""
    code = """
        import importlib.util, sys
        import artifex_launcher
        real = importlib.util.find_spec
        class Namespace:
            origin = None
        importlib.util.find_spec = lambda name: Namespace if name in ("artifex", "artifex.core") else real(name)
        artifex_launcher.main()
    """
    done = site.python(code)
    assert done.returncode == 2
    assert "artifex/core/__init__.py is missing" in done.stderr
    assert artifex_launcher.REINSTALL in done.stderr


def test_a_core_that_cannot_be_imported_is_explained(site):
    done = site.python("import sys; sys.modules['artifex.core.cli'] = None; import artifex_launcher; artifex_launcher.main()")
    assert done.returncode == 2
    assert "artifex-core cannot be imported (" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_and_overwritten_files_are_found(site, monkeypatch):
    files = {"mine/a.py": "a = 1\n", "mine/b.py": "b = 1\n", "mine/c.py": "c = 1\n"}
    site.install("artifact-core", files)
    monkeypatch.syspath_prepend(site.folder)
    ours = doctor.metadata.distribution("artifact-core")
    monkeypatch.setattr(doctor.metadata, "distribution", lambda _: ours)
    assert doctor.damaged() == []
    (site.folder / "mine/a.py").unlink()
    (site.folder / "mine/b.py").write_text("b = 2\n")
    assert [finding.split(";")[0] for finding in doctor.damaged()] == [
        "mine/a.py of artifex-core is missing",
        "mine/b.py of artifex-core was overwritten",
    ]


# --- light ---

HEAVY = ("jax", "jaxlib", "flax", "numpy", "optax", "pydantic", "rich", "yaml", "artifex.core.config")


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "models"], ["--version"]])
def test_light_commands_import_nothing_heavy(site, arguments):
    body = (
        '@hookimpl\ndef artifex_models():\n    return [ModelEntry(name="light_model", model="x:M", config="x:C", family="f")]\n'
    )
    site.install_plugin("light-thing", body)
    code = """
        import atexit, json, sys
        atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
        from artifex_launcher import main
        main()
    """
    # Every plugin that is installed is loaded here, our own too: each has to be light.
    done = site.python(code, *arguments, ARTIFEX_DISABLE_PLUGINS="")
    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("argument", ["--help", "list"])
def test_light_commands_answer_at_once(site, argument):
    """Best of five, in processor time: the machine may be busy with other tests, and waiting is not the command's doing."""

    def seconds():
        before = os.times()
        assert site.artifex(argument, ARTIFEX_DISABLE_PLUGINS="").returncode == 0
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    assert min(seconds() for _ in range(5)) < LIGHT_SECONDS


def test_the_version_is_shown(site):
    assert re.fullmatch(r"artifex-core \d+\.\d+\S*\n", site.artifex("--version").stdout)
