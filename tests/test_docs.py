"""The README files and docs/: Python runs as it stands, run files are valid, scripts parse, what is named exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from artifex.core import plugins
from artifex.core.testing import user_environment
from artifex.training import RunConfig
from artifex.training.run_config import read_run_config

ROOT = Path(__file__).parents[1]
SKIPPED = {".nox", ".cache", ".venv", "node_modules", "runs"}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

documents = [
    path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("packages/**/README.md"), *ROOT.glob("docs/**/*.md")])
    if not SKIPPED & set(path.relative_to(ROOT).parts) and BLOCK.search(path.read_text(encoding="utf-8"))
]


def in_place(text: str) -> str:
    """The document's Python alone, on the lines where it stands, so that a traceback points into the document."""
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        code = block.group(1).splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


@pytest.mark.parametrize("document", documents, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run(document: Path, tmp_path: Path) -> None:
    program = in_place(document.read_text(encoding="utf-8"))
    run = f"exec(compile({program!r}, {str(document)!r}, 'exec'), {{'__name__': '__main__'}})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", run],
        cwd=tmp_path,
        env=user_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_blocks_keep_their_lines() -> None:
    assert in_place("a\n```python\nx = 1\n\ny = 2\n```\n```bash\nls\n```\n```python\nz\n```\n").splitlines() == [
        "", "", "x = 1", "", "y = 2", "", "", "", "", "", "z", "",
    ]  # fmt: skip


def test_there_is_something_to_run() -> None:
    assert documents


everything = [
    path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("packages/**/README.md"), *ROOT.glob("docs/**/*.md")])
    if not SKIPPED & set(path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("document", everything, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_hooks_that_are_named_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    registry = plugins.registry()
    commands = {*plugins.index.BUILT_IN_COMMANDS, *registry.names("command")}
    assert set(re.findall(r"(?:^|`)artifex ([a-z]+)", text, re.MULTILINE)) <= commands
    presets = re.findall(r"artifex train ([a-z][\w-]*)(?![\w./-])", text)
    assert set(presets) <= set(registry.names("preset"))
    hooks = {plugins.hook_name(kind) for kind in plugins.KINDS}
    named = set(re.findall(r"(?:def |`)(artifex_[a-z]+)", text)) - {"artifex_launcher"}
    assert named <= hooks


def blocks(language: str) -> list[tuple[Path, str]]:
    """Every fenced block in ``language``, with the document it stands in."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(path, text) for path in everything for text in pattern.findall(path.read_text(encoding="utf-8"))]


def named(block: tuple[Path, str]) -> str:
    return f"{block[0].relative_to(ROOT)}-{block[1].splitlines()[0]}"


@pytest.mark.parametrize("block", blocks("yaml"), ids=named)
def test_yaml_is_read_and_run_files_are_valid(block: tuple[Path, str]) -> None:
    """A run file, or sections of one, has to be accepted; other YAML (Kubernetes has apiVersion) has to be well-formed."""
    for fields in yaml.safe_load_all(block[1]):
        assert isinstance(fields, dict)
        if "apiVersion" not in fields:
            RunConfig.from_dict({**read_run_config("vae-digits").to_dict(), **fields})


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("block", blocks("(?:ba)?sh"), ids=named)
def test_scripts_parse(block: tuple[Path, str]) -> None:
    done = subprocess.run(["bash", "-n"], input=block[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [*blocks("(?:ba)?sh"), *blocks("yaml")], ids=named)
def test_options_of_commands_exist(block: tuple[Path, str]) -> None:
    for name in ("train", "sample"):
        command = typer.Typer(add_completion=False)
        command.command()(plugins.resolve(plugins.registry().get("command", name).target))
        known = {option for parameter in typer.main.get_command(command).params for option in parameter.opts}
        for line in re.findall(rf"artifex,? {name}\b(.*)", block[1]):
            assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", line)) <= known, line
