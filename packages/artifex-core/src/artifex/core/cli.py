"""The shell of the ``artifex`` command: listings and diagnosis here, everything else from plugins.

Neither jax nor flax is imported to list, to describe or to show help: a plugin's command is imported when it is run.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import sys
import traceback
import warnings
from contextlib import suppress
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from artifex.core import plugins
from artifex.core.errors import (
    ArtifexError,
    DataError,
    InvalidInputError,
    PluginConflictError,
    PluginError,
    RunWarning,
    UnknownNameError,
)

EXIT_USER, EXIT_INTERNAL, EXIT_PIPE = 2, 70, 128 + 13
"""A mistake of the user's, a fault of ours (``EX_SOFTWARE`` of sysexits.h), and output that nobody reads to its end (as shells
say it). 1 is left to commands whose answer is no: ``artifex doctor`` found a problem, ``artifex evaluate`` a regression."""


class PluginCommand(TyperCommand):
    """Stands for a plugin's command in listings, and becomes the real one when it is run."""

    def __init__(self, name: str, summary: str):
        super().__init__(name, help=summary, short_help=summary, add_help_option=False)

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """Parse ``args`` as the real command does; only now is it imported, and a conflict over its name raised."""
        return _command(plugins.registry().get("command", str(self.name))).make_context(info_name, args, parent=parent, **extra)


def _command(entry: plugins.CommandEntry) -> Any:
    """Import the function or typer application that ``entry`` names, as a command."""
    target = plugins.resolve(entry.target)
    if not isinstance(target, typer.Typer):
        if not callable(target):
            raise PluginError(f"the command {entry.name!r} is a {type(target).__name__}, neither a function nor a typer.Typer")
        function, target = target, typer.Typer(add_completion=False, rich_markup_mode=None)
        target.command(entry.name)(function)
    return typer.main.get_command(target)


class _Light:
    """Mixin of commands that must answer at once.

    typer imports pydantic (0.2 s) to check values, even that of a ``--help`` which is not given.
    """

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False  # a truth value already: nothing to check
        return option


class LightCommand(_Light, TyperCommand):
    """A command without declared parameters, which typer would check too."""


class PluginGroup(_Light, TyperGroup):
    """The built-in commands and those of the installed plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        built_in = list(super().list_commands(ctx))
        return built_in + [name for name in plugins.registry().names("command") if name not in built_in]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if (built_in := super().get_command(ctx, cmd_name)) is not None:
            return built_in
        registry = plugins.registry()
        try:
            return PluginCommand(cmd_name, registry.get("command", cmd_name).summary)
        except PluginConflictError:
            return PluginCommand(cmd_name, "Unusable: several plugins claim this name.")
        except UnknownNameError as error:
            if cmd_name in plugins.index.COMMANDS:
                ctx.fail(str(error))
            close = difflib.get_close_matches(cmd_name, self.list_commands(ctx), n=1)
            ctx.fail(f"No such command {cmd_name!r}." + (f" Did you mean {close[0]!r}?" if close else ""))

    def invoke(self, ctx: Any) -> Any:
        """Keep from typer the two errors that it ends with exit code 1, which says that a metric has become worse."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise DataError(f"a file is empty or was cut short: {error or 'it ended too early'}") from error
        except BrokenPipeError:  # what reads the output, `head` for one, has gone
            with suppress(OSError):  # what Python has left to flush as it ends goes nowhere
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_PIPE) from None


app = typer.Typer(
    name="artifex",
    cls=PluginGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"artifex-core {metadata.version('artifex-core')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere on the line.")
    ] = False,
) -> None:
    """Generative modelling for JAX, by the slice."""


@app.command("list", cls=LightCommand, options_metavar="[KIND]", context_settings={"allow_extra_args": True})
def list_entries(context: typer.Context) -> None:
    """List everything that the installed plugins offer, or only one KIND: model, dataset, preset, loss, metric ..."""
    if len(context.args) > 1:
        context.fail(f"list takes one KIND at most, got {' '.join(context.args)}")
    kind = context.args[0] if context.args else ""
    registry = plugins.registry()
    kinds = [_singular(kind)] if kind else list(plugins.KINDS)
    rows = [
        (k, plugins.entry_key(entry), plugin.distribution, entry.summary)
        for k in kinds
        for entry, plugin in registry.entries(k)
    ]
    if not rows:
        what = f"no {kinds[0]} is installed" if kind else "nothing is installed"
        typer.echo(f"{what}; a family such as artifex-vae brings models: pip install artifex-vae")
        return
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        typer.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())


def _singular(kind: str) -> str:
    """``artifex list models`` reads as well as ``artifex list model``."""
    return {plugins.hook_name(known).removeprefix("artifex_"): known for known in plugins.KINDS}.get(kind, kind)


@app.command()
def info(name: Annotated[str, typer.Argument(help="Name of a model, data set, preset, metric ...")]) -> None:
    """Describe what is registered under NAME."""
    registry = plugins.registry()
    for i, kind in enumerate(_kinds_of(name)):
        entry, plugin = registry.get(kind, name), registry.owner(kind, name)
        typer.echo(("\n" if i else "") + f"{kind} {name}")
        rows = {"summary": entry.summary, "from": str(plugin)} | {
            field.name: getattr(entry, field.name)
            for field in dataclasses.fields(entry)
            if field.name not in ("name", "summary")
        }
        for key, value in rows.items():
            shown = ", ".join(value) if isinstance(value, tuple) else value
            if shown != "":
                typer.echo(f"  {key}: {shown}")


@app.command()
def schema(
    name: Annotated[str, typer.Argument(help="Name of a model, data set, modality, extension or callback.")],
    kind: Annotated[str, typer.Option(help="Which kind, where NAME is the name of several: model, dataset ...")] = "",
) -> None:
    """Print the JSON Schema of the config of NAME."""
    registry = plugins.registry()
    kinds = [_singular(kind)] if kind else _kinds_of(name)
    configured = [kind for kind in kinds if hasattr(registry.get(kind, name), "config")]
    if not configured:
        raise InvalidInputError(f"{kinds[0]} {name!r} has no config; `artifex info {name}` describes it")
    if len(configured) > 1:
        raise InvalidInputError(f"{name!r} is a {' and a '.join(configured)}; say which one: --kind {configured[0]}")
    typer.echo(json.dumps(registry.config_class(configured[0], name).json_schema(), indent=2))


def _kinds_of(name: str) -> list[str]:
    """The kinds among which ``name`` is registered, or an error with close matches over all kinds."""
    registry = plugins.registry()
    if kinds := [kind for kind in plugins.KINDS if name in registry.names(kind)]:
        return kinds
    return [registry.find(name)]


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """Check the installation: plugins, what failed and why, versions, devices. Exits with 1 when something is wrong."""
    from artifex.core.doctor import examine  # here, because nothing else needs it

    findings = examine()
    typer.echo(json.dumps(findings.as_dict(), indent=2) if as_json else str(findings))
    if findings.problems:
        raise typer.Exit(1)


def _warn_in_one_line(message: Warning | str, category: type[Warning], *place: Any) -> None:
    if issubclass(category, (plugins.PluginWarning, RunWarning)):
        print(f"artifex: warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *place[:2]), end="", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    A mistake of the user's is one message and exit code 2, a fault of ours one and exit code 70; a traceback comes with
    ``--debug`` only, and the exit code is the same.
    """
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given or os.environ.get("ARTIFEX_DEBUG", "") not in ("", "0")
    warnings.showwarning = _warn_in_one_line
    for category in (plugins.PluginWarning, RunWarning):
        warnings.simplefilter("always", category)  # never an error: a broken plugin stops nobody, even under -W error
    try:
        app([argument for argument in given if argument != "--debug"], prog_name="artifex")
    except (Exception, KeyboardInterrupt) as error:
        text, code = _report(error)
        print(traceback.format_exc().rstrip() if debug else f"artifex: {text}", file=sys.stderr, flush=True)
        if _others_wait():
            os._exit(code)
        raise SystemExit(code) from None


def _others_wait() -> bool:
    """Whether other processes compute with this one, which failed: JAX would have it wait for them, and they wait for it."""
    return "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()


def _report(error: BaseException) -> tuple[str, int]:
    """What to say of ``error``, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    if isinstance(error, ArtifexError):
        return str(error), EXIT_USER
    from pydantic import ValidationError  # here, because a listing has no use for the 0.1 s that pydantic takes to import

    from artifex.core.config import explain

    if isinstance(error, ValidationError):
        return explain(error), EXIT_USER
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), EXIT_USER
    return f"internal error: {type(error).__name__}: {error}\n  Run again with --debug for the traceback.", EXIT_INTERNAL
