"""Every Python block of the README files and of docs/ runs as it stands, block after block, one process for each file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from artifex.core import plugins
from artifex.core.testing import user_environment

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
    presets = re.findall(r"artifex train ([a-z][\w-]*)", text)
    assert set(presets) <= set(registry.names("preset"))
    hooks = {plugins.hook_name(kind) for kind in plugins.KINDS}
    named = set(re.findall(r"(?:def |`)(artifex_[a-z]+)", text)) - {"artifex_launcher"}
    assert named <= hooks
