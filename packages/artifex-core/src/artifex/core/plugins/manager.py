"""Finding and loading plugins. One that is broken is reported and skipped; it never stops the host."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import os
import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import pluggy

from artifex.core.plugins import hookspecs

API_VERSION = 1
"""Version of the plugin interface. It rises when a hook or an entry changes so that older plugins would misbehave."""

ENTRY_POINT_GROUP = "artifex"
DISABLE_VARIABLE = "ARTIFEX_DISABLE_PLUGINS"
UNKNOWN = "?"
"""Version of a plugin that does not say."""


class PluginWarning(UserWarning):
    """An installed plugin could not be loaded, or claims a name that another one claims too."""


class EntryPoint(Protocol):
    """The part of ``importlib.metadata.EntryPoint`` that loading needs."""

    name: str
    value: str
    dist: Any

    def load(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that was found: its entry point and the distribution it came with."""

    name: str
    value: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()


@dataclass(frozen=True, slots=True)
class Failure:
    """A plugin that was skipped, and why."""

    plugin: Plugin
    reason: str
    details: str = ""
    """The traceback, where an exception was the reason."""
    partly: bool = False
    """Whether the rest of the plugin still serves."""

    def __str__(self) -> str:
        return f"plugin '{self.plugin.name}' of {self.plugin} {'is faulty' if self.partly else 'was skipped'}: {self.reason}"


@dataclass(slots=True)
class LoadedPlugins:
    """What one pass over the entry points gave."""

    manager: pluggy.PluginManager
    plugins: dict[str, Plugin] = field(default_factory=dict)
    """Loaded plugins by the name they are registered under."""
    failures: list[Failure] = field(default_factory=list)
    disabled: list[Plugin] = field(default_factory=list)


def load_plugins(entry_points: Iterable[EntryPoint] | None = None, *, disable: str | None = None) -> LoadedPlugins:
    """Load every plugin among ``entry_points`` (default: all that are installed in the group ``artifex``).

    Args:
        entry_points: what to load, in any order; they are sorted, so that the outcome does not depend on it.
        disable: comma-separated patterns of entry-point or distribution names to leave out (``vae,my-plugin*``); by default
            the environment variable ``ARTIFEX_DISABLE_PLUGINS``.
    """
    if entry_points is None:
        entry_points = _installed()
    given = os.environ.get(DISABLE_VARIABLE, "") if disable is None else disable
    patterns = [normalized(pattern.strip()) for pattern in given.split(",") if pattern.strip()]
    manager = pluggy.PluginManager("artifex")
    manager.add_hookspecs(hookspecs)
    loaded = LoadedPlugins(manager)
    for point in sorted(entry_points, key=_order):
        plugin = _describe(point)
        names = (normalized(plugin.name), normalized(plugin.distribution))
        if any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns):
            loaded.disabled.append(plugin)
            continue
        if point.dist is not None and plugin.version == UNKNOWN:
            loaded.failures.append(Failure(plugin, "its METADATA has no name or no version; install the distribution anew"))
            continue
        key = plugin.name if plugin.name not in loaded.plugins else f"{plugin.distribution}:{plugin.name}"
        try:
            module = point.load()
        except (Exception, SystemExit) as error:  # a stranger's module may raise anything at import
            loaded.failures.append(Failure(plugin, f"{type(error).__name__}: {error}", traceback.format_exc()))
            continue
        problem = _unusable(module) or _register(manager, module, key)
        if problem:
            loaded.failures.append(Failure(plugin, problem))
        else:
            loaded.plugins[key] = plugin
    return loaded


def normalized(name: str) -> str:
    """``name`` as distributions are compared: ``My_Plugin`` is ``my-plugin``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed() -> list[EntryPoint]:
    """Entry points of our group, of the first distribution of each name on the path.

    A distribution whose entry points cannot be read is passed over.
    """
    import importlib_metadata

    found: dict[str, list[EntryPoint]] = {}
    for distribution in importlib_metadata.distributions():
        try:
            points = list(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
        except Exception:  # not one of ours: pip would complain of it too
            continue
        if points:
            found.setdefault(normalized(_describe(points[0]).distribution), points)
    return [point for points in found.values() for point in points]


def _order(point: EntryPoint) -> tuple[str, str]:
    plugin = _describe(point)
    return plugin.distribution, plugin.name


def _describe(point: EntryPoint) -> Plugin:
    try:
        name, version = point.dist.name, point.dist.version
    except Exception:  # no distribution, or one whose METADATA is lost
        name = version = None
    if not isinstance(name, str):
        return Plugin(point.name, point.value, f"unknown distribution ({point.value})", UNKNOWN)
    return Plugin(point.name, point.value, name, version if isinstance(version, str) else UNKNOWN)


def _unusable(module: object) -> str:
    """Why ``module`` cannot serve as a plugin of this version of Artifex; empty when it can."""
    if not isinstance(module, ModuleType):
        return f"its entry point gives a {type(module).__name__}; it has to name a module, 'my_package.plugin'"
    declared = vars(module).get("ARTIFEX_API")  # getattr could import what the module keeps lazy
    example = f"ARTIFEX_API = ({API_VERSION}, {API_VERSION})"
    if declared is None:
        return f"{module.__name__} does not say which plugin API it was written for; add '{example}'"
    is_range = isinstance(declared, tuple) and len(declared) == 2 and all(type(v) is int for v in declared)
    if not is_range or declared[0] > declared[1]:
        return f"{module.__name__}.ARTIFEX_API is {declared!r}; it has to be the lowest and highest version, '{example}'"
    lowest, highest = declared
    if not lowest <= API_VERSION <= highest:
        advice = "upgrade artifex-core" if lowest > API_VERSION else "upgrade the plugin"
        return f"it works with plugin API {lowest} to {highest}, and this artifex-core has {API_VERSION}; {advice}"
    return ""


def _register(manager: pluggy.PluginManager, module: ModuleType, key: str) -> str:
    """Register ``module``; when a hook is misspelt, asks for unknown arguments or is missing, undo it and say why."""
    if manager.is_registered(module):
        return f"module {module.__name__} is registered already; name it in one entry point only"
    try:
        manager.register(module, name=key)
        problem = _hook_problem(manager, module)
    except pluggy.PluginValidationError as error:
        problem = " ".join(str(error).split())
    except Exception as error:  # reading the module's lazy names may import, and raise, anything
        problem = f"its names cannot be read: {type(error).__name__}: {error}"
    if problem and manager.is_registered(module):
        manager.unregister(module)
    return problem


def _hook_problem(manager: pluggy.PluginManager, module: ModuleType) -> str:
    """What is wrong with the hooks that ``module`` registered; empty when nothing is."""
    known = [hookspecs.hook_name(kind) for kind in hookspecs.KINDS]
    callers = manager.get_hookcallers(module) or []
    for caller in callers:
        own = [implementation for implementation in caller.get_hookimpls() if implementation.plugin is module]
        if not caller.has_spec() and not all(implementation.optionalhook for implementation in own):
            return f"there is no hook '{caller.name}'; {_suggestion(caller.name, known)}"
    registered = {caller.name for caller in callers}
    for name, value in vars(module).items():
        if name in known and inspect.isfunction(value) and name not in registered:
            return f"'{name}' in {module.__name__} lacks the decorator @hookimpl"
    if callers:
        return ""
    if {"__getattr__", "__dir__"} & vars(module).keys():
        advice = "point the entry point at the module that defines the hooks"
        return f"{module.__name__} implements no hook: its names are lazy; {advice}"
    return f"{module.__name__} implements no hook; the hooks are {', '.join(known)}"


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"the hooks are {', '.join(known)}"
