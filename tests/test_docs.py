"""The documents are tested by the code: README files and ``docs/``.

Python blocks run as they stand, block after block, with names of their own for each document: in this process, which has
imported JAX already, and at night (as always those in ``FRESH``) in one that has not. A block whose first line is a comment
with a file's name is written to that file first: a run file (``# run.yaml``) is validated, and where there is a
``# pyproject.toml`` all such blocks make up a plugin, which is installed, as far as Python can tell, and whose commands and
tests run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import jax
import pytest
import typer
import yaml

from artifex.core import plugins
from artifex.core.cli import _command, app, main as cli_main
from artifex.core.testing import user_environment
from artifex.training import read_run_config

ROOT = Path(__file__).parents[1]
SKIPPED = {".nox", ".cache", ".venv", "node_modules", "runs"}
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# ([\w./-]+\.(?:py|toml|yaml))\n")
FRESH = {
    "docs/concepts/star.md",  # asserts that JAX is not imported
    "docs/meshes.md",  # chooses the number of devices before JAX starts
}
"""Documents whose first block needs a process of its own."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    language: str
    text: str
    line: int
    """Of the document, from 0."""

    @property
    def file(self) -> str:
        """The file that it stands for, if it names one."""
        named = NAMED.match(self.text)
        return named[1] if named else ""


def blocks(text: str) -> list[Block]:
    return [Block(found[1], found[2], text.count("\n", 0, found.start(2))) for found in FENCE.finditer(text)]


documents = {
    str(path.relative_to(ROOT)): path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("packages/**/README.md"), *ROOT.glob("docs/**/*.md")])
    if not SKIPPED & set(path.relative_to(ROOT).parts)
}
contents = {name: path.read_text(encoding="utf-8") for name, path in documents.items()}
projects = [name for name, text in contents.items() if any(block.file == "pyproject.toml" for block in blocks(text))]
programs = [
    name for name, text in contents.items() if name not in projects and any(b.language == "python" for b in blocks(text))
]
run_files = [
    (name, block.file)
    for name, text in contents.items()
    if name not in projects
    for block in blocks(text)
    if block.file.endswith(".yaml")
]


def in_place(text: str, *, as_project: bool = False) -> str:
    """The document's Python alone, on the lines where it stands, so that a traceback points into the document.

    Of a project also its commands, as calls of ``artifex``; and what it writes to files is left out.
    """
    lines = [""] * (text.count("\n") + 1)
    begun = False
    for block in blocks(text):
        begun = begun or block.file == "pyproject.toml"
        if block.language == "python" and not (as_project and block.file):
            lines[block.line : block.line + block.text.count("\n")] = block.text.splitlines()
        if block.language == "bash" and as_project and begun:
            for i, line in enumerate(block.text.splitlines(), block.line):
                lines[i] = f"artifex(*{shlex.split(line)[1:]!r})" if line.startswith("artifex ") else ""
    return "\n".join(lines)


def write_files(text: str, folder: Path) -> None:
    for block in blocks(text):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Run a program in ``tmp_path`` as the main module of this process, with the numerics that users get."""
    monkeypatch.chdir(tmp_path)

    def run(program: str, name: str) -> None:
        main = ModuleType("__main__")
        main.artifex = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "__main__", main)
        with jax.numpy_rank_promotion("allow"):
            exec(compile(program, name, "exec", dont_inherit=True), vars(main))

    return run


def command(*arguments: str) -> None:
    """The ``artifex`` command; it has to succeed."""
    code: object = 0
    try:
        cli_main(list(arguments))
    except SystemExit as end:
        code = end.code
    assert not code, f"artifex {' '.join(arguments)}: exit code {code}"


@pytest.mark.shown
@pytest.mark.parametrize("name", [name for name in programs if name not in FRESH])
def test_python_blocks_run(name: str, tmp_path: Path, run_here: Callable[[str, str], None]) -> None:
    write_files(contents[name], tmp_path)
    run_here(in_place(contents[name]), name)


@pytest.mark.shown
@pytest.mark.parametrize(
    "name", [name if name in FRESH else pytest.param(name, marks=pytest.mark.nightly) for name in programs]
)
def test_python_blocks_run_in_a_fresh_process(name: str, tmp_path: Path) -> None:
    write_files(contents[name], tmp_path)
    program = "import sys; exec(compile(sys.stdin.read(), sys.argv[1], 'exec'), {'__name__': '__main__'})"
    process = [sys.executable, "-W", "error", "-c", program, name]
    options = {"cwd": tmp_path, "env": user_environment(), "capture_output": True, "text": True}
    done = subprocess.run(process, input=in_place(contents[name]), check=False, **options)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, dict], None]]:
    """Install a project from its folder as far as this process can tell, until the test is done."""
    folders = []

    def install(folder: Path, project: dict) -> None:
        folders.append(folder)
        info = folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
        entry_points = [f"{key} = {value}\n" for key, value in project["entry-points"]["artifex"].items()]
        (info / "entry_points.txt").write_text("[artifex]\n" + "".join(entry_points))
        monkeypatch.syspath_prepend(folder / "src")
        plugins.refresh()

    yield install
    monkeypatch.undo()
    plugins.refresh()
    for name, module in list(sys.modules.items()):
        if any(folder in Path(getattr(module, "__file__", None) or "").parents for folder in folders):
            del sys.modules[name]


@pytest.mark.shown
@pytest.mark.parametrize("name", projects)
def test_plugins_that_are_shown_train_and_pass_conformance(
    name: str, tmp_path: Path, run_here: Callable[[str, str], None], installs: Callable[[Path, dict], None]
) -> None:
    text = contents[name]
    write_files(text, tmp_path)
    installs(tmp_path, tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"])
    run_here(in_place(text, as_project=True), name)
    tested = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(tested, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "xfailed" not in done.stdout


@pytest.mark.parametrize(("name", "file"), run_files, ids=lambda value: str(value))
def test_run_files_are_valid(name: str, file: str, tmp_path: Path) -> None:
    write_files(contents[name], tmp_path)
    read_run_config(str(tmp_path / file))


@pytest.mark.parametrize("name", [name for name, text in contents.items() if name not in projects and "artifex train " in text])
def test_what_is_set_on_a_command_line_is_valid(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(contents[name], tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in commands_shown(contents[name], "train"):
        if "--resume" not in words and words[0] == words[0].lower():
            read_run_config(words[0], [value for option, value in pairwise(words) if option == "--set"])


def commands_shown(text: str, command: str) -> list[list[str]]:
    """The words after ``artifex COMMAND`` on each line of the shell blocks that calls it."""
    lines = "".join(block.text for block in blocks(text) if block.language == "bash").splitlines()
    called = [shlex.split(line, comments=True) for line in lines]
    return [words[2:] for words in called if words[:2] == ["artifex", command]]


def test_blocks_keep_their_lines() -> None:
    text = "a\n```python\nx = 1\n\ny = 2\n```\n```bash\nls\nartifex list\n```\n```python\n# a.py\nz\n```\n"
    assert in_place(text).splitlines() == ["", "", "x = 1", "", "y = 2", "", "", "", "", "", "", "# a.py", "z", ""]
    text = f"```toml\n# pyproject.toml\n```\n{text}"
    assert in_place(text, as_project=True).splitlines()[3:] == [
        "", "", "x = 1", "", "y = 2", "", "", "", "artifex(*['list'])", "", "", "", "", "",
    ]  # fmt: skip


def test_there_is_something_to_run() -> None:
    assert set(programs) >= FRESH
    assert projects
    assert run_files


# What documents name exists.


def options_of(command: str) -> set[str]:
    """The options that a command takes."""
    registry = plugins.registry()
    group = typer.main.get_command(app)
    real = (
        _command(registry.get("command", command))
        if command in registry.names("command")
        else group.get_command(typer.Context(group), command)  # type: ignore[attr-defined]
    )
    return {option for parameter in real.params for option in parameter.opts}


@pytest.mark.parametrize("name", documents)
def test_commands_and_hooks_that_are_named_exist(name: str) -> None:
    text = contents[name]
    registry = plugins.registry()
    own = set(re.findall(r'CommandEntry\(name="([\w-]+)"', text))  # of a plugin that the document writes
    commands = {*plugins.index.BUILT_IN_COMMANDS, *registry.names("command")}
    assert set(re.findall(r"(?:^|`)artifex ([a-z][\w-]*)", text, re.MULTILINE)) - own <= commands
    presets = re.findall(r"artifex (?:train|info) ([a-z][\w-]*)(?![\w./-])", text)
    assert set(presets) <= {name for kind in plugins.KINDS for name in registry.names(kind)}
    hooks = {plugins.hook_name(kind) for kind in plugins.KINDS}
    named = set(re.findall(r"(?:def |`)(artifex_[a-z]+)", text)) - {"artifex_launcher"}
    assert named <= hooks


def fenced(language: str) -> list[tuple[str, str]]:
    """Every fenced block in ``language``, with the name of the document it stands in."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(name, block) for name, text in contents.items() for block in pattern.findall(text)]


@pytest.mark.parametrize(("name", "block"), fenced("yaml"))
def test_yaml_is_well_formed(name: str, block: str) -> None:
    assert all(isinstance(document, (dict, list)) for document in yaml.safe_load_all(block)), name


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(("name", "block"), fenced("(?:ba)?sh"))
def test_scripts_parse(name: str, block: str) -> None:
    done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name}: {done.stderr}"


@pytest.mark.parametrize("name", documents)
def test_options_that_are_shown_exist(name: str) -> None:
    for command in {*plugins.index.BUILT_IN_COMMANDS, *plugins.registry().names("command")}:
        for words in commands_shown(contents[name], command):
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options_of(command), words


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("name", documents)
def test_links_lead_somewhere(name: str, api_pages: object) -> None:
    text, generated = FENCE.sub("", contents[name]), {f"docs/{page}" for page in api_pages.pages()}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, fragment = target.partition("#")
        there = os.path.relpath((documents[name].parent / path).resolve(), ROOT) if path else name
        assert (ROOT / there).exists() or there in generated, f"{name}: {target}"
        if fragment:
            assert fragment in anchors(contents[there]), f"{name}: {target}"


@pytest.mark.parametrize("name", [name for name in documents if name.startswith("docs/")])
def test_api_that_is_referred_to_exists(name: str) -> None:
    for target in re.findall(r"\]\[(artifex\.[\w.]+)\]", FENCE.sub("", contents[name])):
        module, _, attribute = target.rpartition(".")
        assert plugins.resolve(f"{module}:{attribute}") is not None


@pytest.mark.parametrize("name", [name for name in documents if name.startswith("docs/")])
def test_every_page_is_in_the_navigation_and_says_where_to_go_next(name: str) -> None:
    page = name.removeprefix("docs/")
    assert re.search(rf": {re.escape(page)}$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert "**Next:**" in contents[name].rstrip().rpartition("\n\n")[2]


# Tables, the hook reference and the reference of the API follow the code.


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "tools")


@pytest.fixture
def api_pages(tools: None) -> object:
    import api_pages

    return api_pages


@pytest.mark.parametrize(
    "name", [name for name, text in contents.items() if "<!-- table: " in text and name.startswith("docs/")]
)
def test_tables_are_what_the_code_says(name: str, tools: None) -> None:
    import tables

    text = contents[name]
    assert len(tables.SECTION.findall(text)) == text.count("<!-- table: ") == text.count("<!-- end -->")
    assert tables.renewed(text) == text, "python docs/tools/tables.py brings it up to date"


def test_every_hook_has_its_section_with_an_example() -> None:
    text = contents["docs/plugins/hooks.md"]
    sections = dict(re.findall(r"^## (artifex_\w+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    assert sections.keys() == {plugins.hook_name(kind) for kind in plugins.KINDS}
    names: dict[str, object] = {}
    exec(in_place(text), names)
    for kind, entry in plugins.KINDS.items():
        hook = plugins.hook_name(kind)
        assert f"<!-- table: hook {kind} -->" in sections[hook]
        assert f"def {hook}()" in sections[hook]
        made = list(names[hook]())  # type: ignore[operator]
        assert made
        assert all(type(item) is entry for item in made)


def test_every_field_of_an_entry_is_explained(tools: None) -> None:
    import dataclasses

    import tables

    for entry in plugins.KINDS.values():
        explained = {**tables.field_docstrings(plugins.Entry), **tables.field_docstrings(entry)}
        assert explained.keys() == {field.name for field in dataclasses.fields(entry)}
        assert all(explained.values())


def test_every_public_name_is_in_the_reference(api_pages: object) -> None:
    import importlib

    modules, pages = api_pages.modules(), api_pages.pages()
    packages = [name for name, module in modules.items() if module.is_package and not api_pages.is_alias(name)]
    assert {"artifex.core", "artifex.training", "artifex.vae", "artifex.modalities.image"} <= set(packages)
    for name in packages:
        handed_on = modules[name].handed_on
        assert sorted(handed_on) == sorted(importlib.import_module(name).__all__), (
            f"{name}: what type checkers see and what is there"
        )
        for public, home in handed_on.items():
            defined = api_pages.defined(home, modules)
            assert f"api/{defined if defined in modules else defined.rpartition('.')[0]}.md" in pages, home
            assert re.search(rf"^\| \[`{public}`\]\S+ \| \S.* \|$", pages[f"api/{name}.md"], re.MULTILINE), (
                f"{home} has no docstring"
            )
