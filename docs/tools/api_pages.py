"""Build hooks of MkDocs: a page of the API reference for each public module, found in the sources without importing them.

A module is public when no part of its name begins with an underscore, and it declares ``__all__`` or a package hands on names
from it. The page of a package is a table of the names that it hands on; that of a module is what mkdocstrings makes of its
docstrings.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from docstrings import as_markdown  # beside this file

ROOT = Path(__file__).parents[2]
ALIASES = ("artifex.generative_models", "artifex.benchmarks", "artifex.data")
"""Where the longer documented paths lie: modules of a few lines that hand on the same objects."""


@dataclass(frozen=True)
class Module:
    """One module of the sources."""

    name: str
    tree: ast.Module
    is_package: bool

    @property
    def summary(self) -> str:
        """First paragraph of the docstring, on one line."""
        return " ".join((ast.get_docstring(self.tree) or "").partition("\n\n")[0].split())

    @property
    def handed_on(self) -> dict[str, str]:
        """Public name to full name, of what a package imports from its own modules: eagerly, or for type checkers alone."""
        bodies = [self.tree.body, *(node.body for node in self.tree.body if isinstance(node, ast.If))]
        imports = [node for body in bodies for node in body if isinstance(node, ast.ImportFrom)]
        return {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in imports
            for alias in node.names
            if (node.module or "").startswith("artifex.") and alias.name != "_lazy"
        }


def sources() -> list[Path]:
    """The source folder of every distribution."""
    return sorted(folder for folder in ROOT.glob("packages/**/src") if (folder / "artifex").is_dir())


@cache
def modules() -> dict[str, Module]:
    """Every public module by name."""
    found = {module.name: module for source in sources() for module in _modules_in(source)}
    chosen = {name for name, module in found.items() if _declares_all(module.tree)}
    handed_on = {home for name in chosen if found[name].is_package for home in found[name].handed_on.values()}
    homes = {home if home in found else home.rpartition(".")[0] for home in handed_on}
    return {name: module for name, module in found.items() if name in chosen | homes or is_alias(name)}


def _modules_in(source: Path) -> Iterator[Module]:
    for file in sorted(source.glob("artifex/**/*.py")):
        parts = list(file.relative_to(source).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        if not any(part.startswith("_") for part in name.split(".")):
            yield Module(name, ast.parse(file.read_text(encoding="utf-8")), is_package)


def _declares_all(tree: ast.Module) -> bool:
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return any(isinstance(node, ast.Name) and node.id == "__all__" for target in targets for node in ast.walk(target))


def is_alias(name: str) -> bool:
    """Whether the module only hands on what lies elsewhere."""
    return name.startswith(ALIASES)


@cache
def pages() -> dict[str, str]:
    """Markdown of each page by its path below ``docs/``."""
    known = modules()
    made = {f"api/{name}.md": _page(module, known) for name, module in known.items() if not is_alias(name)}
    return {"api/index.md": _index(known), **made}


def _page(module: Module, known: dict[str, Module]) -> str:
    head = f"# {module.name}\n\n::: {module.name}\n"
    if not module.is_package:
        return head
    homes = {name: defined(home, known) for name, home in sorted(module.handed_on.items())}
    links = {name: f"({home}.md)" if home in known else f"[{home}]" for name, home in homes.items()}
    rows = [f"| [`{name}`]{links[name]} | {_summary(home, known)} |" for name, home in homes.items()]
    table = "\n".join(["| name | what it is |", "|---|---|", *rows])
    return f"{head}    options:\n      members: false\n\n{table}\n"


def defined(full_name: str, known: dict[str, Module]) -> str:
    """Where a name that is imported under ``full_name`` is defined."""
    module, _, name = full_name.rpartition(".")
    if full_name not in known and module in known and name in known[module].handed_on:
        return defined(known[module].handed_on[name], known)
    return full_name


def _summary(home: str, known: dict[str, Module]) -> str:
    if home in known:
        return _cell(known[home].summary)
    module, _, name = home.rpartition(".")
    body = known[module].tree.body if module in known else []
    for node, after in pairwise([*body, None]):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return _cell(ast.get_docstring(node) or "")
        if name in _assigned(node) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return _cell(str(after.value.value))
    return ""


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _cell(text: str) -> str:
    return as_markdown(" ".join(text.partition("\n\n")[0].split()))  # a bar within code divides no cells here


def _index(known: dict[str, Module]) -> str:
    rows = [f"| [{name}]({name}.md) | {_cell(module.summary)} |" for name, module in known.items() if not is_alias(name)]
    aliases = [f"| `{name}` | {_cell(module.summary)} |" for name, module in known.items() if is_alias(name)]
    return "\n".join(
        [
            "# API reference",
            "",
            "Every public module, from its docstrings. The letters in shapes are explained at the head of a page.",
            "",
            "| module | what it holds |",
            "|---|---|",
            *rows,
            "",
            "## Longer paths",
            "",
            "These modules hand on the same objects under the longer documented paths.",
            "",
            "| module | what it holds |",
            "|---|---|",
            *aliases,
            "",
        ]
    )


def _tree() -> list[Any]:
    """The reference's part of the navigation: one group a package."""
    groups: dict[str, list[Any]] = {}
    for name, module in modules().items():
        if not is_alias(name):
            group = name if module.is_package else name.rpartition(".")[0]
            groups.setdefault(group, []).append({name.rpartition(".")[2] if name != group else name: f"api/{name}.md"})
    return ["api/index.md", *({group: found} for group, found in sorted(groups.items()))]


try:
    from mkdocs.plugins import event_priority
    from mkdocs.structure.files import File
except ImportError:  # the tests read this file without MkDocs
    pass
else:

    @event_priority(100)  # before mkdocstrings reads its own settings
    def on_config(config: Any) -> Any:
        """Tell mkdocstrings where the sources are, and put the reference into the navigation."""
        handlers = config.plugins["mkdocstrings"].config["handlers"]
        handlers["python"]["paths"] = [str(source) for source in sources()]
        for section in config.nav:
            for pages_of in section.values():
                if isinstance(pages_of, list):
                    pages_of[:] = [{"API": _tree()} if page == {"API": "api/index.md"} else page for page in pages_of]
        return config

    def on_files(files: Any, config: Any) -> Any:
        """Add the pages of the reference."""
        for path, text in pages().items():
            files.append(File.generated(config, path, content=text))
        return files
