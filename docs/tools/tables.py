"""Writes the tables of the documentation that the code knows best: ``python docs/tools/tables.py``.

A table stands between ``<!-- table: NAME ARGUMENT -->`` and ``<!-- end -->`` in a page. The tests compare each with the code;
what is printed names the pages that changed.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import typer

from artifex.core import plugins
from artifex.core.plugins import hookspecs

DOCS = Path(__file__).parents[1]
SECTION = re.compile(r"(<!-- table: (\w+)(?: ([\w-]+))? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def registered(distribution: str) -> str:
    """Everything that a distribution registers."""
    registry = plugins.registry()
    rows = [
        (kind, f"`{plugins.entry_key(entry)}`", entry.summary)
        for kind in plugins.KINDS
        for entry, plugin in registry.entries(kind)
        if plugin.distribution == distribution
    ]
    return _table(("kind", "name", "what it is"), rows)


def hook(kind: str) -> str:
    """A hook's signature and the fields of its entry, beside those that all entries have."""
    name, entry = hookspecs.hook_name(kind), plugins.KINDS[kind]
    function = getattr(hookspecs, name)
    common = {field.name for field in dataclasses.fields(plugins.Entry)}
    rows = [_field(entry, field) for field in dataclasses.fields(entry) if field.name not in common]
    signature = f"def {name}{inspect.signature(function)}:".replace("'", "")
    return f"`{signature}`\n\n`{entry.__name__}`: {_one_line(entry.__doc__)}\n\n" + _table(("field", "type", "meaning"), rows)


def entry(kind: str) -> str:
    """The fields that all entries have."""
    del kind
    return _table(("field", "type", "meaning"), [_field(plugins.Entry, f) for f in dataclasses.fields(plugins.Entry)])


def _field(owner: type, field: dataclasses.Field[Any]) -> tuple[str, str, str]:
    known = {**field_docstrings(plugins.Entry), **field_docstrings(owner)}
    default = "" if field.default is dataclasses.MISSING else f"; left out: `{field.default!r}`"
    return f"`{field.name}`", f"`{field.type}`{default}", _one_line(known.get(field.name, ""))


def field_docstrings(cls: type) -> dict[str, str]:
    """Docstrings below the fields of a class."""
    return dict(re.findall(r'^    (\w+): [^\n]+\n    """(.*?)"""', inspect.getsource(cls), re.DOTALL | re.MULTILINE))


def commands(only: str) -> str:
    """The commands of ``artifex``: their arguments and options, as the programs declare them."""
    del only
    from artifex.core.cli import app

    group = typer.main.get_command(app)
    context: Any = typer.Context(group, info_name="artifex")
    parts = [_parameters("artifex", group)]
    parts += [_parameters(f"artifex {name}", _command(name, group, context)) for name in group.list_commands(context)]  # type: ignore[attr-defined]
    return "\n".join(parts)


def _command(name: str, group: Any, context: Any) -> Any:
    from artifex.core.cli import _command as real

    registry = plugins.registry()
    return real(registry.get("command", name)) if name in registry.names("command") else group.get_command(context, name)


def _parameters(usage: str, command: Any) -> str:
    context: Any = typer.Context(command, info_name=usage)
    records = [p.get_help_record(context) for p in command.params if p.name != "help"]
    rows = [(f"`{spelling.strip().replace('|', ' or ')}`", _one_line(meaning)) for spelling, meaning in filter(None, records)]
    places = [piece.strip("{}").upper() for piece in command.collect_usage_pieces(context)]
    text = f"## `{' '.join([usage, *places])}`\n\n{_one_line(command.help)}\n"
    return text + ("\n" + _table(("argument or option", "meaning"), rows) if rows else "")


def checks(only: str) -> str:
    """The checks of the conformance kit."""
    del only
    from artifex.core.testing.conformance import CHECKS

    return _table(("check", "what it asks"), [(f"`{name}`", _one_line(check.__doc__)) for name, check in CHECKS.items()])


def capabilities(only: str) -> str:
    """The capabilities that a model may declare."""
    del only
    from artifex.core.testing.conformance.declarations import CAPABILITIES

    return _table(
        ("capability", "protocol", "method"),
        [(f"`{name}`", f"`{cls.__name__}`", f"`{_method(name, cls)}`") for name, cls in CAPABILITIES.items()],
    )


def _method(name: str, cls: type) -> str:
    signature = inspect.signature(getattr(cls, name))
    return f"{name}{signature.replace(parameters=list(signature.parameters.values())[1:])}".replace("'", "").replace("jax.", "")


def _one_line(text: str | None) -> str:
    """The first paragraph, on one line."""
    first = " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())
    return first.replace("``", "`")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("|--- |", "|---|")


TABLES = {table.__name__: table for table in (registered, hook, entry, commands, checks, capabilities)}


def renewed(page: str) -> str:
    """The page with its tables as the code has them now."""
    return SECTION.sub(lambda found: f"{found[1]}{TABLES[found[2]](found[3])}{found[5]}", page)


if __name__ == "__main__":
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if renewed(text) != text:
            path.write_text(renewed(text), encoding="utf-8")
            print(f"wrote {path.relative_to(DOCS)}")
