"""Finding and loading plugins. One that is broken is reported and skipped; it never stops the host."""

from __future__ import annotations

import difflib
import fnmatch
import os
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
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A plugin that was skipped, and why."""

    plugin: Plugin
    reason: str
    details: str = ""
    """The traceback, where an exception was the reason."""

    def __str__(self) -> str:
        return f"plugin '{self.plugin.name}' of {self.plugin} was skipped: {self.reason}"


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
        disable: comma-separated patterns of entry-point or distribution names to leave out; by default the
            environment variable ``ARTIFEX_DISABLE_PLUGINS``.
    """
    if entry_points is None:
        import importlib_metadata

        entry_points = importlib_metadata.entry_points(group=ENTRY_POINT_GROUP)
    patterns = [p.strip() for p in (os.environ.get(DISABLE_VARIABLE, "") if disable is None else disable).split(",") if p.strip()]
    manager = pluggy.PluginManager("artifex")
    manager.add_hookspecs(hookspecs)
    loaded = LoadedPlugins(manager)
    for point in sorted(entry_points, key=_order):
        plugin = _describe(point)
        if any(fnmatch.fnmatch(name, pattern) for name in (plugin.name, plugin.distribution) for pattern in patterns):
            loaded.disabled.append(plugin)
            continue
        key = plugin.name if plugin.name not in loaded.plugins else f"{plugin.distribution}:{plugin.name}"
        try:
            module = point.load()
        except Exception as error:  # a stranger's module may raise anything at import
            loaded.failures.append(Failure(plugin, f"{type(error).__name__}: {error}", traceback.format_exc()))
            continue
        problem = _unusable(module) or _register(manager, module, key)
        if problem:
            loaded.failures.append(Failure(plugin, problem))
        else:
            loaded.plugins[key] = plugin
    return loaded


def _order(point: EntryPoint) -> tuple[str, str]:
    plugin = _describe(point)
    return plugin.distribution, plugin.name


def _describe(point: EntryPoint) -> Plugin:
    distribution = point.dist
    if distribution is None:
        return Plugin(point.name, point.value, "unknown distribution", "?")
    return Plugin(point.name, point.value, str(distribution.name), str(distribution.version))


def _unusable(module: object) -> str:
    """Why ``module`` cannot serve as a plugin of this version of Artifex; empty when it can."""
    if not isinstance(module, ModuleType):
        return f"its entry point gives a {type(module).__name__}; it has to name a module, 'my_package.plugin'"
    declared = getattr(module, "ARTIFEX_API", None)
    example = f"ARTIFEX_API = ({API_VERSION}, {API_VERSION})"
    if declared is None:
        return f"{module.__name__} does not say which plugin API it was written for; add '{example}'"
    if not (isinstance(declared, tuple) and len(declared) == 2 and all(type(v) is int for v in declared)):
        return f"{module.__name__}.ARTIFEX_API is {declared!r}; it has to be the lowest and highest version, '{example}'"
    lowest, highest = declared
    if not lowest <= API_VERSION <= highest:
        advice = "upgrade artifex-core" if lowest > API_VERSION else "upgrade the plugin"
        return f"it works with plugin API {lowest} to {highest}, and this artifex-core has {API_VERSION}; {advice}"
    return ""


def _register(manager: pluggy.PluginManager, module: ModuleType, key: str) -> str:
    """Register ``module``; on a hook that is misspelt or asks for unknown arguments undo it and say why."""
    try:
        manager.register(module, name=key)
    except pluggy.PluginValidationError as error:
        if manager.has_plugin(key):
            manager.unregister(name=key)
        return str(error)
    except ValueError:
        return f"module {module.__name__} is registered already; name it in one entry point only"
    known = [hookspecs.hook_name(kind) for kind in hookspecs.KINDS]
    for hook in manager.get_hookcallers(module) or []:
        if not hook.has_spec():
            manager.unregister(name=key)
            close = difflib.get_close_matches(hook.name, known, n=1)
            return f"there is no hook '{hook.name}'" + (f"; did you mean '{close[0]}'?" if close else f"; the hooks are {', '.join(known)}")
    return ""
