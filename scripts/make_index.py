"""Writes the core's index of our own names from the plugins and configs of all distributions: ``nox -s index``.

The entries come from the plugins that are installed; the configs are the classes under ``@config`` in the sources, which are
read and not imported. ``--check`` writes nothing and ends with 1 where the file is out of date.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from artifex.core import plugins

ROOT = Path(__file__).parents[1]
FILE = ROOT / "packages/artifex-core/src/artifex/core/plugins/provided.py"
HEAD = '''"""What each of our own distributions registers, and where its configs are. Made by ``nox -s index``."""

from __future__ import annotations
'''


def index_source() -> str:
    """The text that the file should have.

    Raises:
        SystemExit: a plugin of ours cannot be loaded, or two configs have one name.
    """
    registry = plugins.registry()
    if broken := [str(failure) for failure in registry.failures if failure.plugin.distribution.startswith("artifex-")]:
        sys.exit("\n".join(broken))
    folders = distributions()
    return "\n".join(
        [HEAD, *_provides(registry, sorted(folders)), "", *_config_home(folders), "", *_modality_home(registry), ""]
    )


def distributions() -> dict[str, Path]:
    """The source folder of every distribution that has one, by name."""
    files = sorted(ROOT.glob("packages/**/pyproject.toml"))
    named = {tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]: file.parent / "src" for file in files}
    return {name: folder for name, folder in named.items() if folder.is_dir()}


def _provides(registry: plugins.Registry, names: list[str]) -> Iterator[str]:
    yield "PROVIDES: dict[str, dict[str, tuple[str, ...]]] = {"
    for name in names:
        kinds = {
            kind: sorted(plugins.entry_key(entry) for entry, plugin in registry.entries(kind) if plugin.distribution == name)
            for kind in plugins.KINDS
        }
        if any(kinds.values()):
            yield f'    "{name}": {{'
            for kind, keys in kinds.items():
                if len(keys) == 1:
                    yield f'        "{kind}": ("{keys[0]}",),'
                elif keys:
                    yield from (f'        "{kind}": (', *(f'            "{key}",' for key in keys), "        ),")
            yield "    },"
    yield "}"
    yield '"""Names by distribution and kind of entry."""'


def _config_home(folders: dict[str, Path]) -> Iterator[str]:
    homes: dict[str, tuple[str, str]] = {}
    for distribution, folder in sorted(folders.items()):
        for name, module in configs_in(folder):
            if name in homes:
                sys.exit(f"{name} is a config of {homes[name][0]} and of {module}; one path hands on all configs: rename one")
            homes[name] = (module, distribution)
    yield "CONFIG_HOME: dict[str, tuple[str, str]] = {"
    yield from (f'    "{name}": ("{module}", "{distribution}"),' for name, (module, distribution) in sorted(homes.items()))
    yield "}"
    yield '"""Module and distribution of each config class."""'


def _modality_home(registry: plugins.Registry) -> Iterator[str]:
    targets = sorted(
        (entry.modality.rpartition(":")[2], entry.modality.rpartition(":")[0], plugin.distribution)
        for entry, plugin in registry.entries("modality")
        if plugin.distribution.startswith("artifex-")
    )
    yield "MODALITY_HOME: dict[str, tuple[str, str]] = {"
    yield from (f'    "{name}": ("{module}", "{distribution}"),' for name, module, distribution in targets)
    yield "}"
    yield '"""Module and distribution of each modality\'s class."""'


def configs_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and module of every public class below ``folder`` that the decorator ``@config`` makes a config."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            decorated = isinstance(node, ast.ClassDef) and any(
                isinstance(decorator, ast.Name) and decorator.id == "config" for decorator in node.decorator_list
            )
            if decorated and not node.name.startswith("_"):
                yield node.name, ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")


def main() -> None:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where the file is out of date")
    source = index_source()
    if parser.parse_args().check:
        sys.exit(f"{FILE.name} is out of date: nox -s index" if FILE.read_text(encoding="utf-8") != source else 0)
    FILE.write_text(source, encoding="utf-8")


if __name__ == "__main__":
    main()
